"""Sending events: beside the requests, never in their way.

A queue of 100 events, of 128 MB at most, and five workers. An event that finds the queue full, or
that its receiver does not take, is dropped and counted; the log says when that begins and when it
ends, not each time. KServe's own queue never fills, because it hands what it cannot send to ever
more goroutines; here a receiver that is down costs events and no memory.
Source: kserve ``pkg/logger/worker.go``.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence

import aiohttp

from calumma import destination
from calumma.sidecar import events, options, proxy

log = logging.getLogger(__name__)

LONGEST_QUEUE = 100
LARGEST_QUEUE = 128 << 20
"""Bytes of payload; a larger event is still taken when nothing else waits."""
PATIENCE = 30.0
"""Seconds for one delivery."""
FAREWELL = 4.0
"""Seconds to deliver what is there when the pod ends."""


class Delivery:
    """The queue and its workers. Use it as an asynchronous context manager."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        logger: options.Logger,
        attempts: Sequence[destination.Attempt],
        workers: int,
    ) -> None:
        self._session = session
        self._logger = logger
        self._attempts = attempts
        self._count = workers
        self._queue: asyncio.Queue[events.Event] = asyncio.Queue(LONGEST_QUEUE)
        self._timeout = aiohttp.ClientTimeout(total=PATIENCE)
        self._waiting = 0
        self.dropped = 0
        self._dropped_before = 0
        self._arriving: bool | None = None

    async def __aenter__(self) -> Delivery:
        self._workers = [asyncio.create_task(self._work()) for _ in range(self._count)]
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            async with asyncio.timeout(FAREWELL):
                await self._queue.join()
        except TimeoutError:
            self.dropped += self._queue.qsize()
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        if self.dropped:
            log.warning("%d events were dropped", self.dropped)

    def offer(self, event: events.Event) -> None:
        """Take an event, or drop it; never waits and never fails."""
        size = len(event.body)
        if self._queue.full() or (self._waiting and self._waiting + size > LARGEST_QUEUE):
            self._drop(f"{self._queue.qsize()} events of {self._waiting} bytes wait for it")
            return
        self._waiting += size
        self._queue.put_nowait(event)

    async def _work(self) -> None:
        while True:
            event = await self._queue.get()
            self._waiting -= len(event.body)
            try:
                reason = await self._deliver(event)
            except Exception as error:  # what is wrong with one event must not end its worker
                reason = str(error) or type(error).__name__
            if reason is None:
                self._delivered()
            else:
                self._drop(reason)
            self._queue.task_done()

    async def _deliver(self, event: events.Event) -> str | None:
        """Send one event; why it was not taken, or None."""
        reason = None
        for attempt in self._attempts:
            headers = events.headers(event, self._logger, time.time())
            if attempt.host is not None:
                headers["Host"] = attempt.host
            async with self._session.post(
                attempt.url, data=proxy.payload(event.body), headers=headers, timeout=self._timeout
            ) as reply:
                await reply.read()
                if reply.ok:
                    return None
                reason = f"it answered {reply.status}"
                if destination.UNKNOWN not in reply.headers:
                    return reason
                reason = f"the cluster has no host {attempt.host}"
        return reason

    def _drop(self, reason: str) -> None:
        self.dropped += 1
        if self._arriving is not False:
            self._arriving = False
            self._dropped_before = self.dropped - 1
            log.error("events for %s are dropped: %s", self._logger.url, reason)

    def _delivered(self) -> None:
        if not self._arriving:
            lost = self.dropped - self._dropped_before
            again = f" again; {lost} were dropped" if self._arriving is False else ""
            self._arriving = True
            log.info("events for %s arrive%s", self._logger.url, again)

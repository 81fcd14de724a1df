"""All rollouts of a cluster, each carried out by a driver of its own.

Also those that kubectl alone began: an InferenceService with the annotation
``rollout.calumma.dev/policy`` has a rollout of each new revision that comes without a share.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any

from calumma import errors
from calumma.cluster import layout, objects
from calumma.rollout import cluster, driver, metrics, service, session
from calumma.rollout.record import Record
from calumma.schedule import store

log = logging.getLogger(__name__)

PERIOD = 1.0
"""Seconds between two looks for rollouts."""

Key = tuple[str, str]


class Rollouts:
    """What one process carries out; ``only`` is a service's namespace and name, without it all."""

    def __init__(self, home: layout.Home, only: Key | None = None) -> None:
        self._cluster = cluster.Cluster()
        self._home, self._only = home, only
        self._drivers: dict[Key, asyncio.Task[None]] = {}
        self._views: dict[Key, service.View] = {}
        self._told: dict[Key, str] = {}
        self._problem = ""
        self._published = ""

    async def run(self, ended: asyncio.Event, *, until_ended: bool = False) -> None:
        """Carry rollouts out until ``ended``, or until nothing is left of them."""
        stop = asyncio.Event()
        while not ended.is_set():
            found = await self._looked(stop)
            if until_ended and found and not self._drivers:
                break
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), PERIOD)
        stop.set()
        await asyncio.gather(*self._drivers.values(), return_exceptions=True)

    async def _looked(self, stop: asyncio.Event) -> bool:
        """Look for rollouts; whether the cluster answered."""
        try:
            await self.look(stop)
        except errors.CalummaError as error:
            if str(error) != self._problem:
                log.warning("%s", error)
            self._problem = str(error)
            return False
        self._problem = ""
        return True

    async def look(self, stop: asyncio.Event) -> None:
        """Begin to carry out what nobody does, and begin rollouts that an annotation asks for."""
        known = await asyncio.to_thread(self._records)
        for isvc in await asyncio.to_thread(self._services):
            await self._annotated(isvc, known.get((objects.namespace(isvc), objects.name(isvc))))
        for key, task in list(self._drivers.items()):
            if task.done():
                del self._drivers[key]
                task.result()
        for key, record in known.items():
            if key not in self._drivers and record.open:
                one = driver.Driver(self._cluster, key[1], key[0], self._home)
                self._drivers[key] = asyncio.create_task(one.run(stop))
        self._publish(known.values())

    def _records(self) -> dict[Key, Record]:
        if self._only is None:
            found = self._cluster.records()
        else:
            one = self._cluster.record(self._only[1], self._only[0])
            found = [] if one is None else [one]
        return {(each.namespace, each.service): each for each in found}

    def _services(self) -> list[dict[str, Any]]:
        if self._only is None:
            return self._cluster.services()
        return [self._cluster.service(self._only[1], self._only[0])]

    async def _annotated(self, isvc: dict[str, Any], record: Record | None) -> None:
        """Begin the rollout that an annotation asks for, or say why there is none."""
        view = service.view(isvc)
        key = (view.namespace, view.name)
        before, self._views[key] = self._views.get(key), view
        if view.policy is None or (record is not None and record.open):
            return
        past = service.bypass(before, view)
        last = None if record is None else record.state
        judged = last is not None and last.template == view.template
        if past is None and (judged or view.canary is None):
            return
        try:
            if past is not None:
                raise errors.RolloutError(past)
            policy = await asyncio.to_thread(self._cluster.policy, view.policy, view.namespace)
            named = {"service": view.name, "namespace": view.namespace}
            begun = await asyncio.to_thread(session.start, policy.model_copy(update=named))
            log.info("%s/%s: %s begins", *key, begun)
        except errors.Conflict:
            pass  # at the next look
        except errors.RolloutError as error:
            await self._warn(isvc, key, str(error))

    async def _warn(self, isvc: dict[str, Any], key: Key, text: str) -> None:
        """Say it once, by an Event."""
        if self._told.get(key) != text:
            self._told[key] = text
            log.warning("%s/%s: %s", *key, text)
            await asyncio.to_thread(self._cluster.event, isvc, "RolloutNotBegun", text, True)

    def _publish(self, known: Any) -> None:
        """Write the metrics where they have changed."""
        text = metrics.exposition(each.state for each in known if each.state is not None)
        if text == self._published:
            return
        try:
            store.write(self._home.metrics / metrics.FILE, text)
            self._published = text
        except OSError as error:
            log.error("the metrics cannot be written: %s", error)

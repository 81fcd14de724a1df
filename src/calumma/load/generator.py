"""Sends requests at times fixed beforehand and records what became of each.

A slow service never delays the intended times. At most ``concurrency`` requests are under way at
once; further ones wait for their turn, and that wait is in their latency.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from calumma import inference
from calumma.scoring import cases

NOT_SENT = "not sent"


@dataclass(frozen=True)
class Outcome:
    """One request: when it was meant to be sent, was sent, and ended; seconds from the start.

    ``reply`` is None for a request that was still waiting for its turn when the load was stopped.
    """

    case: cases.Case
    intended: float
    sent: float
    finished: float
    reply: inference.Reply[tuple[inference.Prediction, ...]] | None

    @property
    def latency(self) -> float:
        """Seconds from the time it was meant to be sent: what a user would have waited."""
        return self.finished - self.intended

    @property
    def delay(self) -> float:
        """Seconds that the generator itself was late."""
        return self.sent - self.intended

    @property
    def failure(self) -> str | None:
        """The kind of failure, None for an answer."""
        if self.reply is None:
            return NOT_SENT
        return self.reply.failure.kind if self.reply.failure else None

    @property
    def answer(self) -> cases.Answer:
        """The outcome as scoring sees it."""
        found = self.reply.content[0] if self.reply and self.reply.content else None
        return cases.Answer(
            case=self.case,
            label=found.label if found else None,
            confidence=found.probability if found else None,
            seconds=self.latency,
            revision=self.reply.revisions.predictor if self.reply else None,
            failure=self.failure,
            probabilities=found.probabilities if found else (),
        )


async def send(
    client: inference.Client,
    times: Iterable[float],
    order: Iterable[cases.Case],
    *,
    concurrency: int = 64,
    stop: asyncio.Event | None = None,
    progress: Callable[[Outcome], None] | None = None,
) -> list[Outcome]:
    """Send the cases in their order, each at its time in seconds from now; their outcomes.

    It ends when either of them ends. Both may be endless: setting ``stop`` ends the sending,
    requests under way are waited for, and those still waiting for their turn are recorded as not
    sent. Cancelling the call drops it all. ``progress`` is called with each outcome as it comes.
    """
    load = _Load(client, concurrency, stop or asyncio.Event(), progress)
    async with asyncio.TaskGroup() as group:
        stopped = group.create_task(load.stop.wait())
        tasks = []
        for intended, case in zip(times, order, strict=False):
            await asyncio.wait({stopped}, timeout=max(0.0, intended - load.clock()))
            if stopped.done():
                break
            tasks.append(group.create_task(load.request(case, intended)))
        if tasks:
            await asyncio.wait(tasks)
        stopped.cancel()
    return [task.result() for task in tasks]


class _Load:
    """What the requests of one run share."""

    def __init__(
        self,
        client: inference.Client,
        concurrency: int,
        stop: asyncio.Event,
        progress: Callable[[Outcome], None] | None,
    ) -> None:
        self.stop = stop
        self._client = client
        self._turns = asyncio.Semaphore(concurrency)
        self._progress = progress
        self._start = asyncio.get_running_loop().time()

    def clock(self) -> float:
        """Seconds since the start."""
        return asyncio.get_running_loop().time() - self._start

    async def request(self, case: cases.Case, intended: float) -> Outcome:
        """Send one case when it is its turn."""
        async with self._turns:
            sent = self.clock()
            reply = None if self.stop.is_set() else await self._client.classify([case.image])
        outcome = Outcome(case, intended, sent, self.clock(), reply)
        if self._progress is not None:
            self._progress(outcome)
        return outcome

"""Sends requests at times fixed beforehand and records what became of each.

A slow service never delays the intended times. At most ``concurrency`` requests are under way at
once; further ones wait for their turn, and that wait is in their latency.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import math
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass

from calumma import inference
from calumma.scoring import cases

NOT_SENT = "not sent"

Reply = inference.Reply[tuple[inference.Prediction, ...]]
Ask = Callable[[cases.Case], Awaitable[Reply]]
"""Sends a case and waits for what becomes of it; it does not raise for what a service does."""


@dataclass(frozen=True)
class Outcome:
    """One request: when it was meant to be sent, was sent, and ended; seconds from the start.

    ``due`` is when the generator came to it: later than intended only where the generator itself
    was behind. From there to ``sent`` it waited for its turn. ``reply`` is None for a request that
    was still waiting when the load was stopped.
    """

    case: cases.Case
    intended: float
    due: float
    sent: float
    finished: float
    reply: Reply | None

    @property
    def latency(self) -> float:
        """Seconds from the time it was meant to be sent: what a user would have waited."""
        return self.finished - self.intended

    @property
    def delay(self) -> float:
        """Seconds that it was sent late, whoever's fault that is."""
        return self.sent - self.intended

    @property
    def behind(self) -> float:
        """Seconds by which the generator itself was late."""
        return self.due - self.intended

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
    """Send images to be classified, each at its time: :func:`play` with the general client."""

    async def ask(case: cases.Case) -> Reply:
        return await client.classify([case.image])

    return await play(ask, times, order, concurrency=concurrency, stop=stop, progress=progress)


async def play(
    ask: Ask,
    times: Iterable[float],
    order: Iterable[cases.Case],
    *,
    concurrency: int = 64,
    stop: asyncio.Event | None = None,
    patience: float = math.inf,
    progress: Callable[[Outcome], None] | None = None,
) -> list[Outcome]:
    """Send the cases in their order, each at its time in seconds from now; their outcomes.

    It ends when either of them ends. Both may be endless: setting ``stop`` ends the sending,
    requests under way are waited for, and those still waiting for their turn are recorded as not
    sent; so are those that wait longer than ``patience`` seconds after the last was due. Cancelling
    the call drops it all. ``progress`` is called with each outcome as it comes.
    """
    load = _Load(ask, concurrency, stop or asyncio.Event(), progress)
    with _no_collection():
        async with asyncio.TaskGroup() as group:
            sending = group.create_task(load.dispatch(times, order, group))
            stopped = group.create_task(load.stop.wait())
            await asyncio.wait({sending, stopped}, return_when=asyncio.FIRST_COMPLETED)
            sending.cancel()
            await asyncio.wait({sending})
            await load.until_quiet(stopped, patience)
            stopped.cancel()
    return [load.outcomes[number] for number in sorted(load.outcomes)]


class _Load:
    """What the requests of one run share."""

    def __init__(
        self,
        ask: Ask,
        concurrency: int,
        stop: asyncio.Event,
        progress: Callable[[Outcome], None] | None,
    ) -> None:
        self.stop = stop
        self.outcomes: dict[int, Outcome] = {}
        self._ask = ask
        self._turns = asyncio.Semaphore(concurrency)
        self._progress = progress
        self._start = time.monotonic()  # uvloop's own clock stands still within a pass and a ms
        self._under_way: set[asyncio.Task[None]] = set()

    async def dispatch(
        self, times: Iterable[float], order: Iterable[cases.Case], group: asyncio.TaskGroup
    ) -> None:
        """Begin each request at its time."""
        for number, (intended, case) in enumerate(zip(times, order, strict=False)):
            # Also without a pause: whoever is behind must still let answers be read.
            await asyncio.sleep(max(0.0, intended - self._clock()))
            task = group.create_task(self._request(number, case, intended, self._clock()))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def until_quiet(self, stopped: asyncio.Task[object], patience: float) -> None:
        """Wait for the requests that were begun; for those that wait for a turn, not for ever."""
        if not stopped.done() and patience < math.inf and self._under_way:
            everything = asyncio.ensure_future(asyncio.wait(set(self._under_way)))
            await asyncio.wait(
                {everything, stopped}, timeout=patience, return_when="FIRST_COMPLETED"
            )
            self.stop.set()
            await everything
        elif self._under_way:
            await asyncio.wait(set(self._under_way))

    async def _request(self, number: int, case: cases.Case, intended: float, due: float) -> None:
        """Send one case when it is its turn."""
        waits = self._turns.locked()
        async with self._turns:
            sent = self._clock()
            # What was begun and has its turn is sent, even if the stop comes in this very moment.
            reply = None if waits and self.stop.is_set() else await self._ask(case)
        outcome = Outcome(case, intended, due, sent, self._clock(), reply)
        self.outcomes[number] = outcome
        if self._progress is not None:
            self._progress(outcome)

    def _clock(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._start


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """Without the garbage collector, which would look through all outcomes again and again.

    It would stop the generator for tens of milliseconds; outcomes form no cycles.
    """
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()

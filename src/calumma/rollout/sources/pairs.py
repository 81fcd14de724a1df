"""Pairs: the same image asked of both revisions' own hosts, in the background, between looks.

They are sent in bursts. A burst's images are taken before it begins: their place is in the state
that is on disk, and only then are they sent. A process that is killed so loses what it took, and
no image is ever sent twice. Between bursts nothing is under way, which is when Prometheus counts
users' requests alone. A pair that both revisions failed says nothing of the difference and counts
for nothing; a canary that fails where stable answers is worse.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
import zlib
from typing import Self

from calumma import errors, inference
from calumma.canary import traffic
from calumma.canary.counts import Sides
from calumma.evaluation import online
from calumma.load import pairs
from calumma.rollout.sources import populations

_CONCURRENCY = 64
_TIMEOUT = 10.0
"""Seconds after which a request has failed: a canary that hangs must not hold up a burst."""


class Sender:
    """Sends a population, a burst at a time; use it as an asynchronous context manager.

    Pairs are sent to the hosts of the ``endpoint``'s two sides, ``rate`` a second; a burst lasts
    for ``seconds``. ``form`` is that of a predictor's tensors, without which one behind a
    transformer cannot be asked.
    """

    def __init__(
        self,
        endpoint: inference.Endpoint,
        population: populations.Population,
        *,
        form: online.Predictor | None,
        rate: float,
        seconds: float,
        seed: str,
    ) -> None:
        self.idle = time.time()
        """Since when nothing is under way; a process before this one may have sent until now."""
        self._endpoint, self._form, self._population = endpoint, form, population
        self._rate, self._seed = rate, seed
        self._burst = max(1, math.ceil(rate * seconds))
        self._place = 0
        self._taken: range | None = None
        self._orders: asyncio.Queue[range | None] = asyncio.Queue()
        self._under_way = 0
        self._found: list[pairs.Pair] = []
        self._lack = self._failed = ""

    async def __aenter__(self) -> Self:
        self._work = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._work.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._work

    @property
    def busy(self) -> bool:
        """Whether a burst is under way, or about to be."""
        return self._under_way > 0 and not self._work.done()

    @property
    def trouble(self) -> str:
        """What keeps pairs from being sent, or from saying anything; empty otherwise."""
        return self._failed or self._lack

    @property
    def used_up(self) -> str:
        """A sentence when everything that there is was sent; empty otherwise."""
        size = self._population.size
        if size is None or self._taken or self.busy or self._place < size:
            return ""
        return f"{self._population.name} are used up: all {size} were sent to both revisions"

    def found(self) -> list[pairs.Pair]:
        """The pairs that came back since the last call."""
        if self._work.done():
            self._work.result()  # raises what is nobody's to expect
        found, self._found = self._found, []
        return found

    def go(self, sent: int) -> None:
        """Send the burst that was taken, now that the state on disk says so by ``sent``."""
        if self._taken is not None and sent == self._taken.stop:
            self._under_way += 1
            self._orders.put_nowait(self._taken)
            self._taken = None

    def take(self, sent: int) -> int:
        """Take a burst that follows ``sent``, if none is taken: the place to be written down."""
        if self._taken is None or sent not in (self._taken.start, self._taken.stop):
            size = self._population.size or 0
            self._place = sent
            self._taken = range(sent, min(sent + self._burst, size)) if size > sent else None
            if size < sent + self._burst:
                self._orders.put_nowait(None)
        return sent if self._taken is None else self._taken.stop

    async def _run(self) -> None:
        """Send one burst after another, and look for more to send."""
        try:
            targets = traffic.hosts(self._endpoint, self._form, "sources.pairs.predictor")
            async with self._client(targets[0]) as stable, self._client(targets[1]) as canary:
                clients = Sides(stable, canary)
                while True:
                    await self._refresh()
                    burst = await self._orders.get()
                    if burst is not None:
                        await self._send(burst, clients, targets)
                        self._under_way -= 1
                        self.idle = time.time()
        except* errors.CalummaError as group:
            self._failed = str(group.exceptions[0])
            self.idle = time.time()

    async def _refresh(self) -> None:
        """Find out what there is; a folder of feedback that is not there may come."""
        try:
            await asyncio.to_thread(self._population.refresh)
        except errors.FeedbackError as error:
            self._lack = str(error)
        else:
            there = self._population.size
            self._lack = "" if there else f"of {self._population.name} there are none yet"

    async def _send(
        self, burst: range, clients: Sides[inference.Client], targets: Sides[inference.Target]
    ) -> None:
        chosen = await asyncio.to_thread(self._population.cases, burst.start, burst.stop)
        failed: list[str] = []

        def came(pair: pairs.Pair) -> None:
            attributed = traffic.attributed(pair, targets)
            if pair.stable.failure is None or pair.canary.failure is None:
                self._found.append(attributed)
            else:  # what fails for both says nothing of the difference
                failed.append(pair.stable.failure)

        await pairs.send(
            *clients,
            chosen,
            rate=self._rate,
            seed=zlib.crc32(f"{self._seed} {burst.start}".encode()),
            concurrency=_CONCURRENCY,
            progress=came,
        )
        self._failed = ""
        if failed:
            self._failed = (
                f"{len(failed)} of {len(chosen)} pairs count for nothing, because neither revision "
                f"answered: {failed[-1]}"
            )

    def _client(self, target: inference.Target) -> inference.Client:
        return traffic.client(str(target.url), self._endpoint.model, self._form, timeout=_TIMEOUT)

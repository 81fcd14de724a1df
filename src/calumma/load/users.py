"""Users who are there all the time: constant traffic in the background of whatever is done.

Requests are sent by a thread with an event loop of its own, so that the caller may block. A
rollout under such traffic shows whether anybody noticed.
"""

from __future__ import annotations

import asyncio
import threading
from types import TracebackType
from typing import Self

from calumma import datasets, inference
from calumma.load import generator, schedule, summary


class Users:
    """Sends labelled images of ``dataset`` to a service at ``rate`` requests a second.

    Use it as a context manager; ``count`` says how many were answered so far, ``outcomes`` and
    ``summary`` are there once it has ended.
    """

    def __init__(self, url: str, model: str, rate: float, dataset: str = "digits") -> None:
        self._url, self._model, self._rate = url, model, rate
        self._population = datasets.held_out(dataset)
        self._thread = threading.Thread(target=lambda: asyncio.run(self._send()), daemon=True)
        self._started = threading.Event()
        self.count = 0
        self.outcomes: list[generator.Outcome] = []

    @property
    def summary(self) -> summary.Summary:
        """What became of the requests."""
        return summary.summarise(self.outcomes)

    def __enter__(self) -> Self:
        self._thread.start()
        self._started.wait()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    async def _send(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self._started.set()
        async with inference.Client(self._url, self._model) as client:
            self.outcomes = await generator.send(
                client,
                schedule.constant(self._rate),
                schedule.shuffled(self._population, seed=1),
                stop=self._stop,
                progress=self._take_note,
            )

    def _take_note(self, _: generator.Outcome) -> None:
        self.count += 1

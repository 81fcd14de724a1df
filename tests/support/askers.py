"""Programs that ask a predictor for tensors all the time, as a transformer would."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from typing import Any

from calumma import inference
from calumma.models import digits

HELD_OUT = digits.held_out()


class Askers:
    """Programs that send one image after the other to the predictor's host, all the time."""

    def __init__(self, url: str, number: int = 4) -> None:
        self.replies: list[inference.Reply[Any]] = []
        self._url, self._number = url, number
        self._ends = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._ask()), daemon=True)

    def __enter__(self) -> Askers:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join()

    async def _ask(self) -> None:
        async with inference.Client(self._url, "digits") as client:
            await asyncio.gather(*(self._keep_asking(client) for _ in range(self._number)))

    async def _keep_asking(self, client: inference.Client) -> None:
        while not self._ends.is_set():
            self.replies.append(await client.infer({"image": HELD_OUT.images[:1]}))
            await asyncio.sleep(0.01)

    @property
    def failures(self) -> list[str]:
        """What went wrong."""
        return [str(reply.failure) for reply in self.replies if reply.failure is not None]

    def answers(self, since: int = 0) -> Counter[tuple[str, ...]]:
        """How often which Deployment answered which logits."""
        found: Counter[tuple[str, ...]] = Counter()
        for reply in self.replies[since:]:
            logits = str(reply.content["logits"].round(3)) if reply.content else ""
            found[str(reply.revisions.predictor), logits] += 1
        return found

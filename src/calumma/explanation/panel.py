"""Asks one revision of a service about many images, within a number of requests.

While a canary shares the traffic, the gateway decides who answers. A reply of another revision, and
a request that failed, is put aside and the images are sent again: an explanation that mixes two
models explains neither.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from calumma import errors, inference

BATCH = 16
"""Images in one request, at most."""

# Of their files together, so that a request stays below a megabyte; one image may have more.
_BYTES = 700_000


class Panel:
    """What the questions of one explanation share.

    ``revision`` is the predictor revision whose answers count, None for any; ``most`` bounds the
    requests, those put aside included. ``requests`` counts them.
    """

    def __init__(self, client: inference.Client, revision: str | None, most: int) -> None:
        self.requests = 0
        self._client = client
        self._revision = revision
        self._most = most
        self._aside: Counter[str] = Counter()

    async def ask(self, images: Sequence[bytes]) -> NDArray[np.float64]:
        """The probabilities of all classes, [images, classes].

        Raises :class:`~calumma.errors.EvaluationError` when the requests do not suffice.
        """
        rows: list[tuple[float, ...]] = []
        for batch in _batches(images):
            rows += [prediction.probabilities for prediction in await self._batch(batch)]
        return np.array(rows, dtype=np.float64)

    async def _batch(self, images: Sequence[bytes]) -> tuple[inference.Prediction, ...]:
        while self.requests < self._most:
            self.requests += 1
            reply = await self._client.classify(images)
            if reply.failure is not None or reply.content is None:
                self._aside[reply.failure.kind if reply.failure else "no content"] += 1
            elif self._revision not in (None, reply.revisions.predictor):
                self._aside[f"answered by {reply.revisions.predictor}"] += 1
            else:
                return reply.content
        aside = ", ".join(f"{kind}: {n}" for kind, n in sorted(self._aside.items()))
        raise errors.EvaluationError(
            f"{self._most} requests to {self._client.url} did not suffice for an explanation "
            f"({aside or 'all of them were needed'}); allow more of them, or explain fewer answers"
        )


def _batches(images: Sequence[bytes]) -> Iterator[list[bytes]]:
    batch: list[bytes] = []
    for image in images:
        if batch and (len(batch) == BATCH or sum(map(len, batch)) + len(image) > _BYTES):
            yield batch
            batch = []
        batch.append(image)
    if batch:
        yield batch

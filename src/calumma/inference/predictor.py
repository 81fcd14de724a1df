"""Asking a predictor itself, past its transformer, and getting what the transformer would answer.

A revision's own host leads to its predictor, which takes pixels and gives logits. What lies between
an image and its label is the transformer's work; here the same code does it
(:mod:`calumma.serving.images`), so that both revisions see what users' images become.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from calumma import errors
from calumma.inference import classification, client, tensors
from calumma.serving import images

MOST_PIXELS = 64_000_000


class Form(NamedTuple):
    """The tensors of a classifier: ``input`` takes images, ``output`` gives a logit for a class."""

    input: str
    output: str
    classes: tuple[str, ...]
    image: images.Format


class Client(client.Client):
    """A client whose :meth:`classify` asks for tensors in the V2 protocol.

    ``url`` is the host of a revision's predictor.
    """

    def __init__(self, url: str, model: str, form: Form, *, timeout: float = 30.0) -> None:
        super().__init__(url, model, timeout=timeout)
        self._form = form

    async def classify(
        self, images: Sequence[bytes]
    ) -> client.Reply[tuple[classification.Prediction, ...]]:
        """Decode encoded images, ask the predictor, and name the classes of its logits."""
        try:
            batch = np.stack([self._pixels(image) for image in images])
        except errors.RequestRefused as error:
            failure = client.Failure("unreadable image", str(error))
            return client.Reply(None, 0.0, client.Revisions(), failure=failure)
        found = await self.infer({self._form.input: batch}, [self._form.output])
        if found.content is None:
            return client.Reply(found.status, found.seconds, found.revisions, None, found.failure)
        try:
            content = self._named(found.content, len(images))
        except errors.InferenceError as error:
            failure = client.Failure("unreadable", f"{self.url}: {error}")
            return client.Reply(found.status, found.seconds, found.revisions, failure=failure)
        return client.Reply(found.status, found.seconds, found.revisions, content)

    def _pixels(self, image: bytes) -> NDArray[np.uint8]:
        return images.pixels(image, self._form.image, max_pixels=MOST_PIXELS)

    def _named(
        self, found: tensors.Tensors, expected: int
    ) -> tuple[classification.Prediction, ...]:
        logits = found.get(self._form.output)
        wanted = (expected, len(self._form.classes))
        if logits is None or logits.shape != wanted or not np.isfinite(logits).all():
            shape = None if logits is None else logits.shape
            raise errors.InferenceError(
                f"the output {self._form.output} has shape {shape}; finite logits {wanted} for "
                "the declared classes were expected"
            )
        exponentials = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
        shares = exponentials / exponentials.sum(axis=1, keepdims=True)
        return tuple(
            classification.Prediction(
                self._form.classes[int(row.argmax())],
                int(row.argmax()),
                float(row.max()),
                tuple(row.tolist()),
            )
            for row in shares
        )

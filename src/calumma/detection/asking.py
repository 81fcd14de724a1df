"""Asks a served box model, over the V2 protocol, and says what it found on the pictures.

The model gets what its users send it: the image file itself where the service decodes it, or the
image placed in the model's input where that is the caller's part. A request that fails is an
answer without detections; an answer of another form than the declared one ends the evaluation,
because every further one would have it too.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from calumma import errors, inference
from calumma.detection import boxes, decoding, letterbox, pictures


@dataclass(frozen=True)
class Model:
    """How a box model is asked.

    ``input`` is the tensor's name. With ``size`` it is float32 [1, 3, height, width] from 0 to 1
    with the image placed in it (:mod:`~calumma.detection.letterbox`); without, it is the image file
    as one element of bytes, and boxes are on the image as it is. ``classes`` are in the order of
    the model; detections below the score ``floor`` are dropped.
    """

    input: str
    size: boxes.Size | None
    output: decoding.Output
    classes: tuple[str, ...]
    floor: float = 0.001


async def ask(
    client: inference.Client,
    asked: Sequence[pictures.Picture],
    model: Model,
    *,
    concurrency: int = 4,
    tell: Callable[[str], None] | None = None,
) -> list[pictures.Answer]:
    """Ask about each picture once, ``concurrency`` at a time; the answers in the same order.

    ``tell`` is called ten times with a sentence on how far it is. Raises
    :class:`~calumma.errors.EvaluationError` for a picture that cannot be read, and for answers
    that do not have the declared form or units.
    """
    panel = _Panel(client, model, concurrency, _Progress(len(asked), tell))
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(panel.request(each)) for each in asked]
    except ExceptionGroup as found:
        raise found.exceptions[0] from None
    largest = max((number for number in panel.largest if number is not None), default=None)
    boxes.check_units(largest, model.output.units, "the boxes that the model gives")
    return [task.result() for task in tasks]


class _Panel:
    """What the requests of one evaluation share."""

    def __init__(
        self,
        client: inference.Client,
        model: Model,
        concurrency: int,
        progress: _Progress,
    ) -> None:
        self.largest: list[float | None] = []
        self._client = client
        self._model = model
        self._turns = asyncio.Semaphore(concurrency)
        self._progress = progress

    async def request(self, picture: pictures.Picture) -> pictures.Answer:
        """Ask about one picture when it is its turn."""
        async with self._turns:
            tensor = await asyncio.to_thread(_tensor, picture.path, self._model.size)
            reply = await self._client.infer(
                {self._model.input: tensor}, self._model.output.outputs
            )
        failure = reply.failure.kind if reply.failure else None
        found = None if reply.content is None else self._found(picture, reply.content)
        answer = pictures.Answer(picture, found, reply.seconds, reply.revisions.predictor, failure)
        self._progress.count(answer)
        return answer

    def _found(self, picture: pictures.Picture, tensors: dict[str, NDArray[Any]]) -> pictures.Found:
        model = self._model
        if missing := [name for name in model.output.outputs if name not in tensors]:
            raise errors.EvaluationError(
                f"the model gave {', '.join(tensors) or 'nothing'} and no {', '.join(missing)}"
            )
        sent = model.size or picture.size
        decoded = model.output.decode(tensors, len(model.classes), sent, model.floor)
        self.largest.append(decoded.largest)
        drawn = decoded.found.boxes
        if model.size is None:
            placed = drawn.clipped()
        else:
            placed = letterbox.back(drawn, letterbox.fit(picture.size, model.size))
        return pictures.Found(placed, decoded.found.classes, decoded.found.scores)


class _Progress:
    """Tells how far it is, at every tenth."""

    def __init__(self, total: int, tell: Callable[[str], None] | None) -> None:
        self._total, self._tell = total, tell
        self._done = self._failed = 0

    def count(self, answer: pictures.Answer) -> None:
        """Take note of an answer."""
        self._done += 1
        self._failed += answer.failure is not None
        if self._tell and self._done * 10 // self._total > (self._done - 1) * 10 // self._total:
            self._tell(f"{self._done} of {self._total} pictures, {self._failed} failed")


def _tensor(path: Path, size: boxes.Size | None) -> NDArray[Any]:
    file = path.read_bytes()
    if size is None:
        return np.array([file], dtype=np.object_)
    try:
        with Image.open(io.BytesIO(file)) as image:
            placed = letterbox.place(image, size)
    except OSError as error:
        raise errors.EvaluationError(f"{path} cannot be decoded: {error}") from error
    tensor: NDArray[np.float32] = placed.transpose(2, 0, 1)[None].astype(np.float32) / 255
    return np.ascontiguousarray(tensor)

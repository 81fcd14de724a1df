"""What is asked of a box model and what came back: the records that its metrics come from.

Every picture here is labelled: one without boxes shows nothing of the classes, and a box that is
found on it is wrong. An answer that failed found nothing, because its caller got nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calumma.detection import boxes

Numbers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Truth:
    """The labelled boxes of a picture.

    ``classes`` [n] are positions in the model's list of classes, ``areas`` [n] the objects' areas
    in square pixels (of the outline, where the labels have one), and ``crowd`` [n] says which boxes
    hold many objects: they are neither missed nor found (COCO's ``iscrowd``).
    """

    boxes: boxes.Boxes
    classes: Numbers
    areas: NDArray[np.float64]
    crowd: NDArray[np.bool_]


@dataclass(frozen=True)
class Picture:
    """A labelled image file."""

    id: str
    path: Path
    truth: Truth

    @property
    def size(self) -> boxes.Size:
        """In pixels."""
        return self.truth.boxes.size


@dataclass(frozen=True, eq=False)
class Found:
    """What a model found on a picture: ``classes`` [n] and ``scores`` [n] from 0 to 1."""

    boxes: boxes.Boxes
    classes: Numbers
    scores: NDArray[np.float64]


@dataclass(frozen=True)
class Answer:
    """What a service said about a picture; ``found`` is None when ``failure`` says why.

    ``seconds`` is the latency of the request, ``revision`` the predictor revision that answered,
    None when nobody says.
    """

    picture: Picture
    found: Found | None
    seconds: float
    revision: str | None
    failure: str | None


def nothing(size: boxes.Size) -> Found:
    """No detection."""
    return Found(boxes.none(size), np.zeros(0, dtype=np.int64), np.zeros(0))

"""From a box model's output tensors to detections on what it was sent.

Two forms: the raw output of the YOLO family, whose overlapping candidates are thinned out here, and
three tensors with boxes, scores and labels, as models give them that do all of that themselves. An
output of another shape is refused, because reading it anyway gives boxes and no sense.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from calumma import errors
from calumma.detection import boxes, pictures

MOST = 300
"""Detections that are kept of one image, the surest."""

# By which a score of 1 may be missed in floats of 16 bits.
_ROUNDING = 0.002


class Decoded(NamedTuple):
    """Detections in pixels of what was sent, and the largest number that a box was given in."""

    found: pictures.Found
    largest: float | None


@dataclass(frozen=True)
class Yolo:
    """One output [1, 4 + classes, anchors]: centre, size in pixels, and a score for each class.

    An anchor counts with its best class. Of candidates of a class that overlap by more than ``iou``
    only the surest stays (non-maximum suppression). It is what Ultralytics exports for YOLOv8 and
    later, without its own suppression (``nms=False``).
    """

    output: str
    iou: float = 0.7
    units: boxes.Units = boxes.Units.PIXELS

    @property
    def outputs(self) -> tuple[str, ...]:
        """The tensors that are asked for."""
        return (self.output,)

    def decode(
        self, tensors: Mapping[str, NDArray[Any]], classes: int, size: boxes.Size, floor: float
    ) -> Decoded:
        """Detections with a score of at least ``floor`` on an input of ``size``.

        Raises :class:`~calumma.errors.EvaluationError` for an output of another form.
        """
        raw = tensors[self.output]
        if raw.ndim != 3 or raw.shape[:2] != (1, 4 + classes):
            raise errors.EvaluationError(
                f"the output {self.output} is {list(raw.shape)}; for {classes} classes "
                f"[1, {4 + classes}, anchors] is expected: centre, size, and a score for each class"
            )
        numbers = raw[0].T.astype(np.float64)
        scores = _probabilities(self.output, numbers[:, 4:])
        best = scores.argmax(axis=1)
        sure = scores[np.arange(len(scores)), best]
        chosen = np.flatnonzero(sure >= floor)
        drawn = boxes.read(numbers[chosen, :4], boxes.Layout.CXCYWH, self.units, size)
        kept = suppress(drawn.corners, sure[chosen], best[chosen], self.iou)[:MOST]
        found = pictures.Found(drawn.take(kept), best[chosen][kept], sure[chosen][kept])
        return Decoded(found, _largest(numbers[:, :4]))


@dataclass(frozen=True)
class Plain:
    """Three outputs of one image: boxes [n, 4], scores [n] and labels [n], or each with [1, n]."""

    box_output: str
    score_output: str
    label_output: str
    layout: boxes.Layout = boxes.Layout.XYXY
    units: boxes.Units = boxes.Units.PIXELS

    @property
    def outputs(self) -> tuple[str, ...]:
        """The tensors that are asked for."""
        return (self.box_output, self.score_output, self.label_output)

    def decode(
        self, tensors: Mapping[str, NDArray[Any]], classes: int, size: boxes.Size, floor: float
    ) -> Decoded:
        """Detections with a score of at least ``floor``; what is below may be mere padding."""
        numbers, raw, labels = (
            each[0] if each.ndim > usual and each.shape[0] == 1 else each
            for each, usual in zip((tensors[name] for name in self.outputs), (2, 1, 1), strict=True)
        )
        if numbers.shape != (len(raw), 4) or labels.shape != raw.shape or raw.ndim != 1:
            raise errors.EvaluationError(
                f"the outputs {', '.join(self.outputs)} are "
                f"{', '.join(str(list(tensors[name].shape)) for name in self.outputs)}; "
                "[n, 4], [n] and [n] are expected, for one image"
            )
        scores = _probabilities(self.score_output, raw.astype(np.float64))
        chosen = np.flatnonzero(scores >= floor)
        chosen = chosen[np.argsort(-scores[chosen], kind="stable")][:MOST]
        numbers, scores, said = numbers[chosen], scores[chosen], labels[chosen].astype(np.int64)
        if said.size and (said.min() < 0 or said.max() >= classes):
            raise errors.EvaluationError(
                f"the output {self.label_output} has labels from {said.min()} to {said.max()}; "
                f"{classes} classes are declared, so 0 to {classes - 1} are expected"
            )
        drawn = boxes.read(numbers, self.layout, self.units, size)
        return Decoded(pictures.Found(drawn, said, scores), _largest(numbers))


Output = Yolo | Plain


def suppress(
    corners: boxes.Corners, scores: NDArray[np.float64], classes: NDArray[Any], iou: float
) -> NDArray[np.intp]:
    """Greedy non-maximum suppression within each class: which of [n] boxes stay, surest first.

    A box stays when it overlaps every box of its class that stays before it by at most ``iou``.
    """
    order = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    while order.size:
        first, rest = order[0], order[1:]
        kept.append(int(first))
        same = classes[rest] == classes[first]
        covered = boxes.overlaps(corners[[first]], corners[rest])[0] > iou
        order = rest[~(same & covered)]
    return np.array(kept, dtype=np.intp)


def _probabilities(name: str, scores: NDArray[np.float64]) -> NDArray[np.float64]:
    low, high = scores.min(initial=0), scores.max(initial=0)
    if not (low >= 0 and high <= 1 + _ROUNDING):  # neither holds for what is not a number
        raise errors.EvaluationError(
            f"the output {name} has scores from {low:g} to {high:g}; "
            "probabilities from 0 to 1 are expected"
        )
    return np.minimum(scores, 1.0)


def _largest(numbers: NDArray[Any]) -> float | None:
    return float(np.abs(numbers).max()) if numbers.size else None

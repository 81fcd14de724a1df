"""Boxes in one form: corners in pixels of the image that they are on.

Others write centres, sizes, or shares of the image. Mixing two of these up gives no error, only
boxes that never overlap, and so a score of zero: each border therefore says what it takes, and
:func:`check_units` refuses numbers that cannot be that.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from calumma import errors

Corners = NDArray[np.float64]

# Of the image's side; a model may draw a little beyond the image, but not that far.
_LARGEST_SHARE = 2.0


class Size(NamedTuple):
    """Of an image, in pixels."""

    width: int
    height: int


class Layout(StrEnum):
    """The four numbers of a box: two corners, a corner and the size, or the centre and the size."""

    XYXY = "xyxy"
    XYWH = "xywh"
    CXCYWH = "cxcywh"


class Units(StrEnum):
    """What the four numbers count: pixels, or shares of the image's width and height."""

    PIXELS = "pixels"
    NORMALISED = "normalised"


@dataclass(frozen=True, eq=False)
class Boxes:
    """The boxes on an image of ``size``: ``corners`` [n, 4] are left, top, right, bottom in pixels.

    Pixel (0, 0) covers the square from 0 to 1, so that a box's area is its width times its height.
    """

    corners: Corners
    size: Size

    def __post_init__(self) -> None:
        if self.corners.ndim != 2 or self.corners.shape[1] != 4:
            raise errors.EvaluationError(
                f"boxes are an array [n, 4], not {list(self.corners.shape)}"
            )
        low, high = self.corners[:, :2], self.corners[:, 2:]
        wrong = ~np.isfinite(self.corners).all(axis=1) | (low > high).any(axis=1)
        if wrong.any():
            first = self.corners[wrong][0].tolist()
            raise errors.EvaluationError(
                f"a box has the corners {first}; left and top must be finite numbers and not "
                "beyond right and bottom"
            )

    def __len__(self) -> int:
        return len(self.corners)

    @property
    def areas(self) -> NDArray[np.float64]:
        """In square pixels, [n]."""
        areas: NDArray[np.float64] = np.prod(self.corners[:, 2:] - self.corners[:, :2], axis=1)
        return areas

    def clipped(self) -> Boxes:
        """The parts of the boxes that are on the image."""
        width, height = self.size
        limit = np.array([width, height, width, height], dtype=np.float64)
        return Boxes(np.clip(self.corners, 0.0, limit), self.size)

    def take(self, indices: NDArray[np.intp]) -> Boxes:
        """Some of the boxes, in this order."""
        return Boxes(self.corners[indices], self.size)


def none(size: Size) -> Boxes:
    """No box on an image of this size."""
    return Boxes(np.zeros((0, 4)), size)


def read(numbers: NDArray[Any], layout: Layout, units: Units, size: Size) -> Boxes:
    """Boxes from others' numbers [n, 4] on an image of ``size``.

    Raises :class:`~calumma.errors.EvaluationError` for numbers that are no boxes. Whether the
    units are the declared ones is :func:`check_units`' to say, over many images.
    """
    found = np.asarray(numbers, dtype=np.float64).reshape(-1, 4)
    if units is Units.NORMALISED:
        found = found * np.array([size.width, size.height] * 2, dtype=np.float64)
    start, end = found[:, :2], found[:, 2:]
    if layout is Layout.CXCYWH:
        start, end = start - end / 2, start + end / 2
    elif layout is Layout.XYWH:
        end = start + end
    return Boxes(np.hstack([start, end]), size)


def check_units(largest: float | None, units: Units, name: str) -> None:
    """Refuse boxes whose ``largest`` number, over all of them, shows that they have other units.

    ``largest`` is None where there is no box; ``name`` names the boxes in the sentence. Raises
    :class:`~calumma.errors.EvaluationError`.
    """
    if largest is None:
        return
    if units is Units.PIXELS and largest <= 1:
        raise errors.EvaluationError(
            f"{name} are declared to be in pixels, and no number in them is above {largest:g}: "
            "they are shares of the image; declare them as normalised"
        )
    if units is Units.NORMALISED and largest > _LARGEST_SHARE:
        raise errors.EvaluationError(
            f"{name} are declared to be shares of the image, from 0 to 1, and there is "
            f"{largest:g} among them: they are pixels; declare them as pixels"
        )


def overlaps(one: Corners, others: Corners) -> NDArray[np.float64]:
    """The intersection over union of each pair: [n, 4] and [m, 4] give [n, m]; 0 without area."""
    start = np.maximum(one[:, None, :2], others[None, :, :2])
    end = np.minimum(one[:, None, 2:], others[None, :, 2:])
    shared = np.prod(np.clip(end - start, 0.0, None), axis=2)
    ours, theirs = (np.prod(each[:, 2:] - each[:, :2], axis=1) for each in (one, others))
    union = ours[:, None] + theirs[None, :] - shared
    found: NDArray[np.float64] = np.divide(
        shared, union, out=np.zeros_like(shared), where=union > 0
    )
    return found

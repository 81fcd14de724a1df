"""What is hidden of an image, how, and the map that follows from the answers.

The image is divided into cells. A patch of two by two cells is hidden at every place, so that
neighbouring patches share cells, and each cell's value is the mean over the patches that hold it.
What is hidden is replaced by a strong blur of the image: a black or grey patch would be an object
of its own, with edges that a model may react to.
"""

from __future__ import annotations

import io
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

Pixels = NDArray[np.uint8]
Cells = NDArray[np.bool_]
Value = TypeVar("Value", bound=np.generic)

MOST_CELLS = 12
"""Each way; fewer in images with fewer pixels."""

LARGEST = (256, 512)
"""Pixels of the longer side: an image is scaled down to the first at which its answer stays."""

_PATCH = 2
# Of the longer side: only the mean colour of the surroundings is left.
_BLUR = 0.25
# Powers of ten.
_SUREST = 6.0


class Subject(NamedTuple):
    """An image to explain: ``image`` [h, w] or [h, w, 3], its ``blur``, and its cells each way."""

    image: Pixels
    blur: Pixels
    cells: int


def subjects(file: bytes) -> list[Subject]:
    """The image in a file at each of the sizes; raises Pillow's OSError for what is none."""
    with Image.open(io.BytesIO(file)) as found:
        image = found.convert("L" if found.mode == "L" else "RGB")
    return [_scaled(image, largest) for largest in LARGEST]


def _scaled(image: Image.Image, largest: int) -> Subject:
    image = image.copy()
    image.thumbnail((largest, largest))  # which never enlarges
    blur = image.filter(ImageFilter.GaussianBlur(_BLUR * max(image.size)))
    return Subject(np.asarray(image), np.asarray(blur), min(MOST_CELLS, *image.size))


def patches(cells: int) -> list[Cells]:
    """Every place of the patch, each as the cells [cells, cells] that it hides."""
    side = min(_PATCH, cells)
    found = []
    for row in range(cells - side + 1):
        for column in range(cells - side + 1):
            hidden = np.zeros((cells, cells), dtype=np.bool_)
            hidden[row : row + side, column : column + side] = True
            found.append(hidden)
    return found


def hide(shown: Subject, hidden: Cells) -> bytes:
    """The image with the hidden cells blurred, as a PNG file."""
    where = spread(hidden, shown.image.shape[:2])
    if shown.image.ndim == 3:
        where = where[..., None]
    buffer = io.BytesIO()
    image = Image.fromarray(np.where(where, shown.blur, shown.image))
    image.save(buffer, format="png", compress_level=1)
    return buffer.getvalue()


def evidence(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """The decimal logarithm of each class's odds against all others, [..., classes].

    A classifier that is sure says 0.9999 and then 0.999: the probability hardly moves, and the odds
    are a tenth of what they were. Beyond a million to one nothing is told apart.
    """
    count = probabilities.shape[-1]
    # The others' sum rather than 1 minus the one, which would be rounded to nothing.
    others = probabilities @ (1.0 - np.eye(count))
    with np.errstate(divide="ignore", invalid="ignore"):
        found: NDArray[np.float64] = np.log10(probabilities) - np.log10(others)
    return np.clip(np.nan_to_num(found), -_SUREST, _SUREST)


def heat(
    whole: NDArray[np.float64], without: NDArray[np.float64], cells: int
) -> NDArray[np.float64]:
    """How much each cell supports each class, [classes, cells, cells].

    ``whole`` [classes] is the evidence of the whole image, ``without`` [patches, classes] that
    with each patch hidden. A cell's value is the mean fall of the evidence over the patches that
    hold it: positive where it speaks for the class, negative where against.
    """
    hidden = np.array(patches(cells), dtype=np.float64)
    fall = whole[None] - without
    total = np.einsum("pc,pij->cij", fall, hidden)
    found: NDArray[np.float64] = total / hidden.sum(axis=0)
    return found


def spread(values: NDArray[Value], shape: tuple[int, ...]) -> NDArray[Value]:
    """Values of cells [cells, cells] as values of pixels [h, w]."""
    rows, columns = (
        np.arange(length) * size // length for length, size in zip(shape, values.shape, strict=True)
    )
    found: NDArray[Value] = values[np.ix_(rows, columns)]
    return found

"""Numbers from an image: statistics that people understand, and a vector for what they miss.

Nothing here is fitted, so that reference and current images are treated alike and every test on
these numbers keeps its promise. What an image is like to the model stands in its probabilities,
which the detectors look at beside these.

================ ======================================================================
brightness       mean luminance, 0 to 1
contrast         standard deviation of the luminance
sharpness        mean absolute difference of neighbouring pixels over the contrast
saturation       mean distance of the channels from the luminance; 0 for grey images
width, height    in pixels
================ ======================================================================

The embedding has 288 dimensions: the luminance at 16 x 16, and on a grid of 4 x 4 the sharpness
and the mean of both colour differences' absolute value, each about as large as the luminance.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from calumma.drift.detection import Values
from calumma.scoring import cases

STATISTICS = ("brightness", "contrast", "sharpness", "saturation", "width", "height")

_LUMINANCE = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
_FINE, _COARSE = 16, 4


@dataclass(frozen=True)
class Features:
    """The numbers of readable images, in their order.

    ``statistics`` has an array [n] for each of :data:`STATISTICS`, ``embedding`` has shape
    [n, 288], ``images`` are those that they belong to, and ``unreadable`` the others.
    """

    images: tuple[cases.Case, ...]
    statistics: dict[str, Values]
    embedding: Values
    unreadable: tuple[cases.Case, ...]

    def some(self, rows: NDArray[np.int64]) -> Features:
        """Those of the images in these rows."""
        return replace(
            self,
            images=tuple(self.images[row] for row in rows),
            statistics={name: values[rows] for name, values in self.statistics.items()},
            embedding=self.embedding[rows],
        )


def measure(found: Iterable[cases.Case]) -> Features:
    """The features of images; one that cannot be decoded is counted as unreadable."""
    readable, unreadable, rows, vectors = [], [], [], []
    for case in found:
        try:
            with Image.open(io.BytesIO(case.image)) as image:
                pixels = np.asarray(image.convert("RGB"), dtype=np.float64) / 255
        except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError):
            unreadable.append(case)
            continue
        readable.append(case)
        rows.append(statistics(pixels))
        vectors.append(embed(pixels))
    table = np.array(rows, dtype=np.float64).reshape(len(rows), len(STATISTICS))
    dimensions = _FINE**2 + 2 * _COARSE**2
    return Features(
        tuple(readable),
        dict(zip(STATISTICS, table.T, strict=True)),
        np.array(vectors, dtype=np.float64).reshape(len(rows), dimensions),
        tuple(unreadable),
    )


def statistics(pixels: Values) -> list[float]:
    """The :data:`STATISTICS` of an image, [height, width, 3] from 0 to 1."""
    luminance = pixels @ _LUMINANCE
    contrast = float(luminance.std())
    height, width = luminance.shape
    sharpness = float(_roughness(luminance).mean()) / contrast if contrast > 1e-6 else 0.0
    saturation = float(np.abs(pixels - luminance[..., None]).mean())
    found = [float(luminance.mean()), contrast, sharpness, saturation, float(width), float(height)]
    # Rounded, so that what is equal but for the order of additions is equal.
    return [round(value, 9) for value in found]


def embed(pixels: Values) -> Values:
    """The embedding [288] of an image, [height, width, 3] from 0 to 1."""
    luminance = pixels @ _LUMINANCE
    colour = np.abs(pixels[..., [0, 2]] - luminance[..., None]).mean(axis=-1)
    return np.concatenate(
        [
            _resized(luminance, _FINE),
            4 * _resized(_roughness(luminance), _COARSE),
            4 * _resized(colour, _COARSE),
        ]
    )


def varying(reference: Features, current: Features) -> tuple[str, ...]:
    """The statistics that are not the same for all images of both sides together."""
    return tuple(
        name
        for name in STATISTICS
        if np.ptp(np.concatenate([reference.statistics[name], current.statistics[name]])) > 0
    )


def chosen(found: Features, names: Sequence[str]) -> dict[str, Values]:
    """Some of the statistics."""
    return {name: found.statistics[name] for name in names}


def _roughness(luminance: Values) -> Values:
    """The mean absolute difference of each pixel from its right and lower neighbour."""
    right = np.abs(np.diff(luminance, axis=1, append=luminance[:, -1:]))
    below = np.abs(np.diff(luminance, axis=0, append=luminance[-1:]))
    mean: Values = (right + below) / 2
    return mean


def _resized(plane: Values, side: int) -> Values:
    image = Image.fromarray(plane.astype(np.float32))
    resized = image.resize((side, side), Image.Resampling.BOX)
    found: Values = np.asarray(resized, dtype=np.float64).ravel()
    return found

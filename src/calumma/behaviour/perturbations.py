"""One image and a severity in, another image out: the changes that users' cameras make.

Sizes are shares of the image's shorter side, so that the same severity means the same on a
thumbnail and on a photo. The result has the size of the image that came in, except where a crop
makes it smaller. The same arguments give the same pixels.

========== =================================================== =========
kind       severity                                            no change
========== =================================================== =========
rotate     degrees, counter-clockwise; -180 to 180             0
blur       radius of a Gaussian blur, as a share; 0 to 0.5     0
brightness factor of all values; 0 to 4                        1
contrast   factor of the distance from the mean; 0 to 4        1
noise      standard deviation of Gaussian noise, as a share    0
           of the full range; 0 to 1
crop       share that is cut off at each border; 0 to 0.45     0
jpeg       quality of the file; 95 to 1                        none
shift      share by which the image moves right, edges being   0
           repeated; -0.5 to 0.5
flip       1: left becomes right                               0
========== =================================================== =========
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from calumma import errors

Pixels = NDArray[np.float64]
Random = np.random.Generator


class Kind(NamedTuple):
    """A perturbation: what it does, and the severities that it takes."""

    apply: Callable[[Image.Image, float, Random], Image.Image]
    least: float
    most: float


def variant(content: bytes, kind: str, severity: float, *, side: int, key: str) -> bytes:
    """The image file after a perturbation; a PNG, but a JPEG for ``jpeg``.

    It is first made smaller, so that no side is longer than ``side`` pixels. ``key`` decides the
    noise: the same key, kind and severity give the same bytes.
    Raises :class:`~calumma.errors.EvaluationError` for a kind or a severity that is not known.
    """
    found = require(kind, severity)
    image = _small(content, side)
    if kind == "jpeg":
        return _file(image, "JPEG", quality=round(severity))
    seed = hashlib.sha256(f"{key} {kind} {severity:g}".encode()).digest()[:8]
    random = np.random.default_rng(int.from_bytes(seed, "big"))
    return _file(found.apply(image, severity, random), "PNG", compress_level=1)


def unperturbed(content: bytes, *, side: int) -> bytes:
    """The image as it is before a perturbation: what the answers to variants are compared with."""
    return _file(_small(content, side), "PNG", compress_level=1)


def require(kind: str, severity: float) -> Kind:
    """The kind of this name; raises EvaluationError when it, or the severity, is not known."""
    found = KINDS.get(kind)
    if found is None:
        raise errors.EvaluationError(
            f"the perturbation {kind!r} is not known; there are {', '.join(KINDS)}"
        )
    if not found.least <= severity <= found.most:
        raise errors.EvaluationError(
            f"the severity {severity:g} of {kind} is not possible; it is from {found.least:g} to "
            f"{found.most:g}"
        )
    return found


def _small(content: bytes, side: int) -> Image.Image:
    """The image in grey or RGB, as the transformers see it, and not larger than needed."""
    with Image.open(io.BytesIO(content)) as opened:
        opened.draft("RGB", (side, side))
        image: Image.Image = opened
        if image.mode == "P":
            image = image.convert("RGBA")
        image = image.convert("L" if image.mode in ("1", "L", "I;16") else "RGB")
    image.thumbnail((side, side), Image.Resampling.BOX)
    return image


def _file(image: Image.Image, format: str, **options: int) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def _rotate(image: Image.Image, degrees: float, _: Random) -> Image.Image:
    return image.rotate(degrees, Image.Resampling.BILINEAR, fillcolor=_border(image))


def _blur(image: Image.Image, share: float, _: Random) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(share * min(image.size)))


def _brightness(image: Image.Image, factor: float, _: Random) -> Image.Image:
    return _image(_pixels(image) * factor)


def _contrast(image: Image.Image, factor: float, _: Random) -> Image.Image:
    pixels = _pixels(image)
    return _image(pixels.mean() + factor * (pixels - pixels.mean()))


def _noise(image: Image.Image, deviation: float, random: Random) -> Image.Image:
    pixels = _pixels(image)
    return _image(pixels + random.normal(0, 255, pixels.shape) * deviation)


def _crop(image: Image.Image, share: float, _: Random) -> Image.Image:
    width, height = image.size
    across, down = round(share * width), round(share * height)
    # Half a pixel more would leave nothing of a tiny image.
    across, down = min(across, (width - 1) // 2), min(down, (height - 1) // 2)
    return image.crop((across, down, width - across, height - down))


def _shift(image: Image.Image, share: float, _: Random) -> Image.Image:
    pixels = np.asarray(image)
    columns = np.arange(pixels.shape[1]) - round(share * min(image.size))
    return Image.fromarray(pixels[:, np.clip(columns, 0, pixels.shape[1] - 1)])


def _flip(image: Image.Image, severity: float, _: Random) -> Image.Image:
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if severity else image


def _same(image: Image.Image, _quality: float, _: Random) -> Image.Image:
    return image


def _border(image: Image.Image) -> int | tuple[int, ...]:
    """The mean colour of the outermost pixels, by which corners that come into view are filled."""
    pixels = np.asarray(image)
    edges = [pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]
    mean = np.rint(np.concatenate(edges).mean(axis=0)).astype(int)
    return int(mean) if mean.ndim == 0 else tuple(mean.tolist())


def _pixels(image: Image.Image) -> Pixels:
    return np.asarray(image, dtype=np.float64)


def _image(pixels: Pixels) -> Image.Image:
    return Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))


KINDS: Mapping[str, Kind] = {
    "rotate": Kind(_rotate, -180, 180),
    "blur": Kind(_blur, 0, 0.5),
    "brightness": Kind(_brightness, 0, 4),
    "contrast": Kind(_contrast, 0, 4),
    "noise": Kind(_noise, 0, 1),
    "crop": Kind(_crop, 0, 0.45),
    "jpeg": Kind(_same, 1, 95),
    "shift": Kind(_shift, -0.5, 0.5),
    "flip": Kind(_flip, 0, 1),
}

"""From the bytes of a JPEG or PNG file to the pixels that a model takes.

A file is decoded only after its size in pixels is known to be bearable, a JPEG (unless the model
wants it exactly) at the smallest of its built-in scales that still covers the model's image.
Whatever is wrong with a file is the sender's mistake, :class:`~calumma.errors.RequestRefused` with
a sentence.
:mod:`calumma.serving.transformer` calls this on threads of its own.
"""

from __future__ import annotations

import io
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from calumma import errors

FORMATS = ("JPEG", "PNG")


class Format(NamedTuple):
    """The image that a model takes.

    ``mode`` is Pillow's: ``L`` gives pixels [height, width], ``RGB`` [height, width, 3]. An image
    of another size is squeezed to ``width`` x ``height`` with the filter ``resampling``. A large
    JPEG is decoded at a part of its size, which is faster and gives slightly other pixels; with
    ``exact`` it is decoded whole, for models that were measured so and are easily disturbed.
    """

    mode: str
    width: int
    height: int
    resampling: Image.Resampling = Image.Resampling.BILINEAR
    exact: bool = False


def pixels(file: bytes, wanted: Format, *, max_pixels: int) -> NDArray[np.uint8]:
    """The pixels of one image file in the ``wanted`` format.

    Raises :class:`~calumma.errors.RequestRefused` for what is not a JPEG or PNG file, cannot be
    decoded, or has more than ``max_pixels``.
    """
    if not file:
        raise errors.RequestRefused("The image is empty; a JPEG or PNG file is expected.")
    try:
        with Image.open(io.BytesIO(file), formats=FORMATS) as image:
            _check_size(image, max_pixels)
            return _decode(image, wanted)
    except errors.RequestRefused:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise errors.RequestRefused(_too_large("more", max_pixels), 413) from error
    except UnidentifiedImageError as error:
        raise errors.RequestRefused(
            f"The image is neither a JPEG nor a PNG file: its {len(file)} bytes start with "
            f"{file[:8]!r}."
        ) from error
    except Exception as error:  # Pillow's decoders raise OSError, SyntaxError, ValueError, ...
        raise errors.RequestRefused(f"The image cannot be decoded: {error}.") from error


def _check_size(image: Image.Image, max_pixels: int) -> None:
    width, height = image.size
    if width * height > max_pixels:
        raise errors.RequestRefused(_too_large(f"{width} x {height}", max_pixels), 413)


def _too_large(found: str, max_pixels: int) -> str:
    return f"The image has {found} pixels; at most {max_pixels} are taken."


def _decode(image: Image.Image, wanted: Format) -> NDArray[np.uint8]:
    size = (wanted.width, wanted.height)
    if not wanted.exact:
        image.draft(wanted.mode, size)  # JPEG only: decode at 1/2, 1/4 or 1/8 where that is enough
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")  # as Pillow asks for; the colours stay as they are
    if image.mode != wanted.mode:
        image = image.convert(wanted.mode)
    if image.size != size:
        image = image.resize(size, wanted.resampling)
    return np.asarray(image)

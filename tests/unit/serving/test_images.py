"""Image files to pixels, and what is refused."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from calumma import errors
from calumma.serving import images

COLOUR = images.Format("RGB", width=32, height=24)
GREY = images.Format("L", width=8, height=8, resampling=Image.Resampling.BOX)
LIMIT = 1_000_000


def encoded(image: Image.Image, format: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    shape = (height, width, 3)
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8))


def test_an_image_of_the_right_size_keeps_its_pixels() -> None:
    image = noise(32, 24)
    pixels = images.pixels(encoded(image, "PNG"), COLOUR, max_pixels=LIMIT)
    np.testing.assert_array_equal(pixels, np.asarray(image))


def test_a_larger_image_is_resized_as_pillow_does() -> None:
    image = noise(100, 50)
    pixels = images.pixels(encoded(image, "PNG"), COLOUR, max_pixels=LIMIT)
    np.testing.assert_array_equal(
        pixels, np.asarray(image.resize((32, 24), Image.Resampling.BILINEAR))
    )
    assert pixels.shape == (24, 32, 3)


def test_a_model_may_want_a_large_jpeg_decoded_whole() -> None:
    file = encoded(noise(400, 300), "JPEG", quality=90)
    with Image.open(io.BytesIO(file)) as image:
        whole = np.asarray(image.convert("RGB").resize((32, 24), Image.Resampling.BILINEAR))
    exact = images.pixels(file, COLOUR._replace(exact=True), max_pixels=LIMIT)
    np.testing.assert_array_equal(exact, whole)
    assert (images.pixels(file, COLOUR, max_pixels=LIMIT) != whole).any()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA"])
@pytest.mark.parametrize("wanted", [COLOUR, GREY])
def test_every_kind_of_png_is_converted(mode: str, wanted: images.Format) -> None:
    pixels = images.pixels(encoded(noise(40, 40).convert(mode), "PNG"), wanted, max_pixels=LIMIT)
    assert pixels.dtype == np.uint8
    assert pixels.shape[:2] == (wanted.height, wanted.width)


def test_a_palette_with_transparency_keeps_its_colours() -> None:
    image = Image.new("P", (32, 24), 1)
    image.putpalette([0, 0, 0, 10, 200, 30])
    file = encoded(image, "PNG", transparency=b"\x00\x80")
    pixels = images.pixels(file, COLOUR, max_pixels=LIMIT)
    assert (pixels == (10, 200, 30)).all()


def test_a_large_jpeg_looks_the_same_when_decoded_small() -> None:
    """At a quarter of its size, which is nearly what averaging its pixels gives."""
    rows, columns = np.mgrid[0:480, 0:640]
    gradient = np.stack([rows / 2, columns / 3, (rows + columns) / 5], axis=-1).astype(np.uint8)
    image = Image.fromarray(gradient)
    pixels = images.pixels(encoded(image, "JPEG", quality=95), COLOUR, max_pixels=LIMIT)
    expected = np.asarray(image.resize((32, 24), Image.Resampling.BOX))
    assert np.abs(pixels.astype(int) - expected).max() <= 4


def test_a_jpeg_of_a_digit_is_averaged_to_its_pixels() -> None:
    digit = np.zeros((8, 8), np.uint8)
    digit[2:6, 3:5] = 255
    large = Image.fromarray(digit).resize((256, 256), Image.Resampling.NEAREST)
    pixels = images.pixels(encoded(large, "JPEG", quality=95), GREY, max_pixels=LIMIT)
    assert np.abs(pixels.astype(int) - digit).max() <= 8


def png_of(width: int, height: int) -> bytes:
    """A PNG file that claims a size, of which hardly any pixels are there."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + checksum

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(b"\0" * 1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels


@pytest.mark.parametrize(
    ("file", "status", "sentence"),
    [
        (b"", 400, "The image is empty"),
        (b"hello", 400, "neither a JPEG nor a PNG file: its 5 bytes start with b'hello'"),
        (encoded(noise(4, 4), "GIF"), 400, "neither a JPEG nor a PNG file"),
        (encoded(noise(64, 64), "JPEG")[:200], 400, "cannot be decoded"),
        (encoded(noise(64, 64), "PNG")[:200], 400, "cannot be decoded"),
        (encoded(noise(64, 64), "JPEG")[:3], 400, "neither a JPEG nor a PNG file"),
        (png_of(0, 0), 400, "cannot be decoded|neither a JPEG"),
        (png_of(0, 10), 400, "cannot be decoded|neither a JPEG"),
        (png_of(2000, 1000), 413, "2000 x 1000 pixels; at most 1000000 are taken"),
        (png_of(10_000, 10_000), 413, "pixels; at most 1000000 are taken"),
        (png_of(60_000, 60_000), 413, "pixels; at most 1000000 are taken"),
        (png_of(2**31 - 1, 2**31 - 1), 413, "pixels; at most 1000000 are taken"),
    ],
)
def test_what_is_no_image_or_too_large_is_refused(file: bytes, status: int, sentence: str) -> None:
    with pytest.raises(errors.RequestRefused, match=sentence) as refusal:
        images.pixels(file, COLOUR, max_pixels=LIMIT)
    assert refusal.value.status == status

"""Perturbations: no change at the neutral severity, the same for the same key, always an image."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageStat

from calumma import errors
from calumma.behaviour import perturbations

NEUTRAL = {
    "rotate": 0,
    "blur": 0,
    "brightness": 1,
    "contrast": 1,
    "noise": 0,
    "crop": 0,
    "shift": 0,
}
KINDS = sorted(perturbations.KINDS)


def encoded(image: Image.Image, format: str = "PNG") -> bytes:
    file = io.BytesIO()
    image.save(file, format)
    return file.getvalue()


def decoded(file: bytes) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(file)) as image:
        return np.asarray(image)


@st.composite
def pictures(draw: st.DrawFn) -> bytes:
    width, height = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    mode = draw(st.sampled_from(["L", "RGB", "RGBA", "P", "LA", "1"]))
    pixels = np.random.default_rng(draw(st.integers(0, 99))).integers(
        0, 256, (height, width, 3), dtype=np.uint8
    )
    return encoded(Image.fromarray(pixels).convert(mode))


@st.composite
def severities(draw: st.DrawFn) -> tuple[str, float]:
    kind = draw(st.sampled_from(KINDS))
    found = perturbations.KINDS[kind]
    return kind, draw(st.floats(found.least, found.most))


@given(pictures(), severities())
@settings(max_examples=150, deadline=None)
def test_any_image_becomes_an_image_and_the_same_again(
    picture: bytes, asked: tuple[str, float]
) -> None:
    kind, severity = asked
    first = perturbations.variant(picture, kind, severity, side=64, key="a")
    assert first == perturbations.variant(picture, kind, severity, side=64, key="a")
    plain = decoded(perturbations.unperturbed(picture, side=64))
    if kind != "crop":
        assert decoded(first).shape == plain.shape
    assert decoded(first).size > 0


@given(pictures(), st.sampled_from(sorted(NEUTRAL)))
@settings(max_examples=80, deadline=None)
def test_the_severity_of_no_change_changes_nothing(picture: bytes, kind: str) -> None:
    same = perturbations.variant(picture, kind, NEUTRAL[kind], side=64, key="a")
    expected = decoded(perturbations.unperturbed(picture, side=64))
    np.testing.assert_array_equal(decoded(same), expected)


@given(pictures())
@settings(max_examples=30, deadline=None)
def test_a_flip_is_undone_by_another(picture: bytes) -> None:
    once = perturbations.variant(picture, "flip", 1, side=64, key="a")
    twice = perturbations.variant(once, "flip", 1, side=64, key="a")
    np.testing.assert_array_equal(
        decoded(twice), decoded(perturbations.unperturbed(picture, side=64))
    )


def ramp() -> Image.Image:
    return Image.fromarray(np.tile(np.arange(60, 180, 2, dtype=np.uint8), (60, 1)))


def statistics(kind: str, severity: float) -> tuple[float, float]:
    found = perturbations.variant(encoded(ramp()), kind, severity, side=64, key="a")
    with Image.open(io.BytesIO(found)) as image:
        figures = ImageStat.Stat(image)
        return figures.mean[0], figures.stddev[0]


def test_each_does_what_it_is_called() -> None:
    mean, spread = ImageStat.Stat(ramp()).mean[0], ImageStat.Stat(ramp()).stddev[0]
    assert statistics("brightness", 1.2)[0] == pytest.approx(1.2 * mean, rel=0.01)
    assert statistics("contrast", 0.5) == pytest.approx((mean, spread / 2), rel=0.02)
    assert statistics("noise", 0.1)[1] > 1.1 * spread
    noise = perturbations.variant(encoded(ramp()), "noise", 0.02, side=64, key="a")
    added = decoded(noise).astype(float) - np.asarray(ramp())
    assert added.std() == pytest.approx(0.02 * 255, rel=0.1)
    shifted = decoded(perturbations.variant(encoded(ramp()), "shift", 0.1, side=64, key="a"))
    np.testing.assert_array_equal(shifted[:, 6:], np.asarray(ramp())[:, :-6])
    np.testing.assert_array_equal(shifted[:, :6], np.asarray(ramp())[:, :1].repeat(6, axis=1))
    cropped = decoded(perturbations.variant(encoded(ramp()), "crop", 0.1, side=64, key="a"))
    np.testing.assert_array_equal(cropped, np.asarray(ramp())[6:-6, 6:-6])
    turned = decoded(perturbations.variant(encoded(ramp()), "rotate", 90, side=64, key="a"))
    np.testing.assert_array_equal(turned, np.rot90(np.asarray(ramp())))


def test_more_blur_is_smoother_and_worse_quality_a_smaller_file() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    noisy = encoded(Image.fromarray(pixels))
    spreads = [
        decoded(perturbations.variant(noisy, "blur", share, side=64, key="a")).std()
        for share in (0.01, 0.03, 0.1)
    ]
    assert spreads == sorted(spreads, reverse=True)
    files = [perturbations.variant(noisy, "jpeg", q, side=64, key="a") for q in (90, 50, 10)]
    assert [len(file) for file in files] == sorted((len(file) for file in files), reverse=True)
    assert all(file.startswith(b"\xff\xd8") for file in files)


def test_noise_differs_by_key_and_severity() -> None:
    file = encoded(ramp())
    one, other = (perturbations.variant(file, "noise", 0.1, side=64, key=key) for key in "ab")
    assert one != other


def test_large_images_are_made_smaller_before() -> None:
    large = encoded(Image.new("RGB", (900, 300), "red"), "JPEG")
    assert decoded(perturbations.unperturbed(large, side=90)).shape == (30, 90, 3)


@pytest.mark.parametrize(
    ("kind", "severity", "said"),
    [
        ("twist", 1, "'twist' is not known; there are rotate, blur"),
        ("blur", -0.1, "severity -0.1 of blur is not possible; it is from 0 to 0.5"),
        ("jpeg", 100, "it is from 1 to 95"),
    ],
)
def test_what_is_not_known_is_refused(kind: str, severity: float, said: str) -> None:
    with pytest.raises(errors.EvaluationError, match=said):
        perturbations.variant(encoded(ramp()), kind, severity, side=64, key="a")

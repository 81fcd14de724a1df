"""Drift on purpose: what a detector would do if the images changed so.

A shift is written ``kind=amount``, several with commas between: ``blur=2`` or
``brightness=1.5,noise=0.1``.

============= =========================================================================
blur          a Gaussian blur of this radius, in pixels of an image 32 wide
brightness    all pixels times this
contrast      the distance of all pixels from their mean times this
noise         Gaussian noise, its standard deviation as a share of full scale
labels        the images of the last half of the labels are dropped with this probability
subpopulation images darker than the median are dropped with this probability
outliers      images are replaced by pictures of something else with this probability
============= =========================================================================
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from PIL import Image, ImageFilter

from calumma import errors
from calumma.drift import features
from calumma.drift.detection import Values
from calumma.scoring import cases

Cases = list[cases.Case]
_Change = Callable[[Values, float, np.random.Generator], Values]
_Choice = Callable[[Sequence[cases.Case], float, np.random.Generator], Cases]


def parse(text: str) -> dict[str, float]:
    """The shifts in a text, by kind; raises :class:`~calumma.errors.EvaluationError`."""
    found = {}
    for part in filter(None, (each.strip() for each in text.split(","))):
        kind, _, amount = part.partition("=")
        try:
            value = float(amount)
        except ValueError:
            value = float("nan")
        if kind not in KINDS or not 0 <= value < float("inf"):
            raise errors.EvaluationError(
                f"the shift {part!r} is not understood; write kind=amount, like blur=2, with the "
                f"amount 0 or more and the kind one of {', '.join(KINDS)}"
            )
        if kind in _CHOICES and value > 1:
            raise errors.EvaluationError(
                f"the shift {part!r} has a probability of {value:g}; it can be from 0 to 1"
            )
        found[kind] = value
    return found


def apply(shift: Mapping[str, float], found: Sequence[cases.Case], *, seed: int) -> Cases:
    """The shifted images, in their order. The same seed gives the same images."""
    generator = np.random.default_rng(seed)
    shifted = list(found)
    for kind, amount in shift.items():
        if kind in _CHOICES:
            shifted = _CHOICES[kind](shifted, amount, generator)
        else:
            shifted = [_changed(case, _CHANGES[kind], amount, generator) for case in shifted]
    return shifted


def pictures(count: int, *, side: int = 64, seed: int = 0) -> list[bytes]:
    """PNG files of things that are no digits and no X-rays: noise, gradients, waves, patches."""
    generator = np.random.default_rng(seed)
    return [_encoded(_PICTURES[n % len(_PICTURES)](side, generator), "RGB") for n in range(count)]


def _changed(
    case: cases.Case, change: _Change, amount: float, generator: np.random.Generator
) -> cases.Case:
    with Image.open(io.BytesIO(case.image)) as image:
        mode = image.mode if image.mode in ("L", "RGB") else "RGB"
        pixels = np.asarray(image.convert(mode), dtype=np.float64) / 255
    return replace(case, image=_encoded(change(pixels, amount, generator), mode))


def _encoded(pixels: Values, mode: str) -> bytes:
    file = io.BytesIO()
    levels = np.rint(np.clip(pixels, 0, 1) * 255).astype(np.uint8)
    Image.fromarray(levels).convert(mode).save(file, "PNG")
    return file.getvalue()


def _blurred(pixels: Values, amount: float, _: np.random.Generator) -> Values:
    image = Image.fromarray(np.rint(pixels * 255).astype(np.uint8))
    radius = amount * image.width / 32
    blurred: Values = np.asarray(image.filter(ImageFilter.GaussianBlur(radius)), dtype=np.float64)
    return blurred / 255


def _brightened(pixels: Values, amount: float, _: np.random.Generator) -> Values:
    return pixels * amount


def _contrasted(pixels: Values, amount: float, _: np.random.Generator) -> Values:
    middle = float(pixels.mean())
    return middle + (pixels - middle) * amount


def _noisy(pixels: Values, amount: float, generator: np.random.Generator) -> Values:
    return pixels + generator.normal(0, amount, pixels.shape)


def _fewer_of_some_labels(
    found: Sequence[cases.Case], amount: float, generator: np.random.Generator
) -> Cases:
    labels = sorted({case.label for case in found if case.label is not None})
    dropped = set(labels[len(labels) // 2 :])
    chance = generator.uniform(size=len(found))
    return [
        case
        for case, drawn in zip(found, chance, strict=True)
        if case.label not in dropped or drawn >= amount
    ]


def _fewer_of_the_dark(
    found: Sequence[cases.Case], amount: float, generator: np.random.Generator
) -> Cases:
    measured = features.measure(found)
    brightness = dict(
        zip((case.id for case in measured.images), measured.statistics["brightness"], strict=True)
    )
    middle = float(np.median(list(brightness.values()))) if brightness else 0.0
    chance = generator.uniform(size=len(found))
    return [
        case
        for case, drawn in zip(found, chance, strict=True)
        if brightness.get(case.id, 1.0) >= middle or drawn >= amount
    ]


def _some_of_something_else(
    found: Sequence[cases.Case], amount: float, generator: np.random.Generator
) -> Cases:
    others = pictures(len(found), seed=int(generator.integers(1 << 31)))
    chance = generator.uniform(size=len(found))
    return [
        replace(case, image=other, label=None) if drawn < amount else case
        for case, other, drawn in zip(found, others, chance, strict=True)
    ]


def _grid(side: int) -> tuple[Values, Values]:
    rows, columns = np.mgrid[0:side, 0:side] / side
    return rows, columns


def _noise(side: int, generator: np.random.Generator) -> Values:
    found: Values = generator.uniform(size=(side, side, 3))
    return found


def _gradient(side: int, generator: np.random.Generator) -> Values:
    rows, columns = _grid(side)
    angle, ends = generator.uniform(0, 6.283), generator.uniform(size=(2, 3))
    share = (rows * np.sin(angle) + columns * np.cos(angle) + 1.5) / 3
    found: Values = ends[0] + share[..., None] * (ends[1] - ends[0])
    return found


def _waves(side: int, generator: np.random.Generator) -> Values:
    rows, columns = _grid(side)
    down, across = generator.uniform(5, 60, size=2)
    wave = (np.sin(down * rows + across * columns) + 1) / 2
    found: Values = wave[..., None] * generator.uniform(0.3, 1, size=3)
    return found


def _patches(side: int, generator: np.random.Generator) -> Values:
    """A sky above a ground with boxes on it, as cars stand in a car park."""
    found = np.empty((side, side, 3))
    found[: side // 3] = generator.uniform(0.5, 1, size=3)
    found[side // 3 :] = generator.uniform(0.2, 0.5)
    for _ in range(12):
        top, left = generator.integers(side // 3, side - 6), generator.integers(0, side - 8)
        found[top : top + 5, left : left + 8] = generator.uniform(size=3)
    return np.clip(found + generator.normal(0, 0.03, found.shape), 0, 1)


_PICTURES = (_patches, _noise, _gradient, _waves)
_CHANGES: Mapping[str, _Change] = {
    "blur": _blurred,
    "brightness": _brightened,
    "contrast": _contrasted,
    "noise": _noisy,
}
_CHOICES: Mapping[str, _Choice] = {
    "labels": _fewer_of_some_labels,
    "subpopulation": _fewer_of_the_dark,
    "outliers": _some_of_something_else,
}
KINDS = (*_CHANGES, *_CHOICES)

"""Parts of the data by what is known of an image: its metadata, its true label, how it looks.

An average hides the group that fares badly. A slice names a group by conditions that must all be
true, each on one key: a piece of metadata (or ``label``) that fits one of some patterns, or a
property of the image that lies in a range. A slice with fewer cases than its ``minimum`` is shown,
and decides nothing. Who looks at many slices finds one that looks bad by chance: the report says
how many were looked at.
"""

from __future__ import annotations

import fnmatch
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from calumma import errors
from calumma.scoring import cases, metrics, sampling

LABEL = "label"
PROPERTIES = ("brightness", "contrast", "width", "height", "bytes")
"""Mean and standard deviation of grey, 0 to 1; sizes in pixels; the size of the file."""


@dataclass(frozen=True)
class Range:
    """A range of a property, its limits included."""

    low: float = -np.inf
    high: float = np.inf


Condition = tuple[str, ...] | Range
Where = Mapping[str, Condition]


@dataclass(frozen=True)
class Slice:
    """A named part of the data, and the number of cases below which it decides nothing."""

    name: str
    where: Where
    minimum: int = 1


def properties(image: bytes) -> dict[str, float]:
    """The properties of an image file by name."""
    with Image.open(io.BytesIO(image)) as opened:
        width, height = opened.size
        opened.draft("L", (256, 256))
        # A palette with transparency is to be converted in two steps, as Pillow asks for.
        plain = opened.convert("RGBA") if opened.mode == "P" else opened
        grey = np.asarray(plain.convert("L"), dtype=np.float64) / 255
    values = (float(grey.mean()), float(grey.std()), width, height, len(image))
    return dict(zip(PROPERTIES, map(float, values), strict=True))


def select(population: Sequence[cases.Case], where: Where, name: str) -> list[cases.Case]:
    """The cases that meet all conditions.

    Raises :class:`~calumma.errors.DatasetInvalid` for a condition on what no image has: most
    likely a typing error, which would make ``name`` empty for ever.
    """
    keys = {key for case in population for key in case.metadata} | {LABEL, *PROPERTIES}
    for key, condition in where.items():
        if key not in keys:
            raise errors.DatasetInvalid(
                f"{name} asks for {key!r}, which no image has; there are {', '.join(sorted(keys))}"
            )
        if isinstance(condition, Range) != (key in PROPERTIES):
            raise errors.DatasetInvalid(
                f"{name} asks for {key}, which takes "
                f"{'at_least and at_most' if key in PROPERTIES else 'a text or a list of them'}"
            )
    looks = bool(set(where) & set(PROPERTIES))
    return [case for case in population if _meets(case, where, looks)]


def measure(
    slices: Iterable[Slice], population: Sequence[cases.Case], sample: sampling.Sample
) -> list[tuple[Slice, sampling.Selects, metrics.Metric]]:
    """The accuracy of each slice, ``accuracy of <name>``, with what selects its answers."""
    found = []
    for each in slices:
        ids = {case.id for case in select(population, each.where, f"the slice {each.name!r}")}
        inside = _inside(ids)
        found.append(
            (
                each,
                inside,
                sample.share(f"accuracy of {each.name}", inside, sampling.right, picked=True),
            )
        )
    return found


def caution(number: int) -> str:
    """What to keep in mind when looking at so many slices at once, in a sentence."""
    if number < 2:
        return "Its interval is at 95%."
    missed = 1 - 0.95**number
    return (
        f"{number} were looked at, each with an interval at 95%: the chance that at least one of "
        f"them misses the truth is up to {missed:.0%}, so that one slice that looks bad may be "
        "chance; look at it again on new images."
    )


def _inside(ids: set[str]) -> Callable[[cases.Answer], bool]:
    return lambda answer: answer.case.id in ids


def _meets(case: cases.Case, where: Where, looks: bool) -> bool:
    looked = properties(case.image) if looks else {}
    for key, condition in where.items():
        if isinstance(condition, Range):
            if not condition.low <= looked[key] <= condition.high:
                return False
            continue
        value = (case.label or "") if key == LABEL else case.metadata.get(key, "")
        if not any(fnmatch.fnmatchcase(value, pattern) for pattern in condition):
            return False
    return True

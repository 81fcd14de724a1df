"""Slices by metadata, label and look: shown when they are small, refused when mistyped."""

from __future__ import annotations

import dataclasses
import io

import pytest
from PIL import Image

from calumma import errors
from calumma.scoring import cases, sampling, slices

from .conftest import Make


def grey(level: int, size: tuple[int, int] = (8, 4)) -> bytes:
    file = io.BytesIO()
    Image.new("L", size, level).save(file, "PNG")
    return file.getvalue()


POPULATION = [
    cases.Case("a", grey(0), "1", {"camera": "old", "folder": "night/x"}),
    cases.Case("b", grey(128), "2", {"camera": "new", "folder": "night/y"}),
    cases.Case("c", grey(255, (100, 50)), "2", {"folder": "day"}),
]


@pytest.mark.parametrize(
    ("where", "ids"),
    [
        ({"camera": ("old",)}, "a"),
        ({"folder": ("night/*",)}, "ab"),
        ({"folder": ("night/*", "day")}, "abc"),
        ({"label": ("2",)}, "bc"),
        ({"label": ("2",), "camera": ("new",)}, "b"),
        ({"brightness": slices.Range(0.4, 0.6)}, "b"),
        ({"brightness": slices.Range(low=0.4)}, "bc"),
        ({"width": slices.Range(high=8), "contrast": slices.Range(high=0)}, "ab"),
        ({"camera": ("none",)}, ""),
    ],
)
def test_all_conditions_must_be_true(where: slices.Where, ids: str) -> None:
    assert [case.id for case in slices.select(POPULATION, where, "x")] == list(ids)


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ({"colour": ("red",)}, "the slice asks for 'colour', which no image has; there are bright"),
        ({"brightness": ("0.5",)}, "asks for brightness, which takes at_least and at_most"),
        ({"camera": slices.Range(1, 2)}, "asks for camera, which takes a text or a list"),
    ],
)
def test_what_can_never_be_true_is_refused(where: slices.Where, said: str) -> None:
    with pytest.raises(errors.DatasetInvalid, match=said):
        slices.select(POPULATION, where, "the slice")


def test_properties_are_those_of_the_picture() -> None:
    found = slices.properties(grey(51, (20, 10)))
    assert found["brightness"] == pytest.approx(0.2)
    assert (found["contrast"], found["width"], found["height"]) == (0, 20, 10)
    assert set(found) == set(slices.PROPERTIES)


def test_a_slice_has_its_accuracy_however_small(make: Make) -> None:
    answers = [dataclasses.replace(make(case.label, "2"), case=case) for case in POPULATION]
    sample = sampling.of(answers, sampling.Plan())
    wanted = [
        slices.Slice("old", {"camera": ("old",)}, 20),
        slices.Slice("two", {"label": ("2",)}),
        slices.Slice("none", {"camera": ("x",)}),
    ]
    found = [metric for _, _, metric in slices.measure(wanted, POPULATION, sample)]
    assert [(m.name, m.count, m.n) for m in found] == [
        ("accuracy of old", 0, 1),
        ("accuracy of two", 2, 2),
        ("accuracy of none", 0, 0),
    ]
    assert "up to 14%" in slices.caution(3) and "95%" in slices.caution(1)

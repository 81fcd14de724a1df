"""Drift on purpose is what was asked for, or refused."""

from __future__ import annotations

import numpy as np
import pytest

from calumma import datasets, errors
from calumma.drift import features, shifts
from calumma.scoring import cases


@pytest.fixture(scope="module")
def population() -> list[cases.Case]:
    return datasets.held_out("digits")[:120]


def statistics(found: list[cases.Case]) -> dict[str, float]:
    return {name: float(row.mean()) for name, row in features.measure(found).statistics.items()}


def test_each_kind_does_what_its_name_says(population: list[cases.Case]) -> None:
    before = statistics(population)
    changed = {
        text: statistics(shifts.apply(shifts.parse(text), population, seed=0))
        for text in ("brightness=0.5", "contrast=0.5", "blur=3", "noise=0.2", "outliers=0.5")
    }
    assert changed["brightness=0.5"]["brightness"] == pytest.approx(before["brightness"] / 2, 0.02)
    assert changed["contrast=0.5"]["contrast"] == pytest.approx(before["contrast"] / 2, 0.05)
    assert changed["blur=3"]["contrast"] < before["contrast"] * 0.9
    assert changed["noise=0.2"]["sharpness"] > before["sharpness"] * 1.1
    assert changed["outliers=0.5"]["width"] > 20


def test_images_are_left_out_by_label_and_by_kind(population: list[cases.Case]) -> None:
    rest = shifts.apply(shifts.parse("labels=1"), population, seed=0)
    assert {case.label for case in rest} == set("01234")
    light = shifts.apply(shifts.parse("subpopulation=1"), population, seed=0)
    middle = np.median(features.measure(population).statistics["brightness"])
    assert features.measure(light).statistics["brightness"].min() >= middle
    assert 50 < len(light) < 70


def test_nothing_is_changed_by_nothing_and_the_seed_decides(population: list[cases.Case]) -> None:
    assert shifts.apply(shifts.parse(""), population, seed=0) == population
    one, two, other = (
        shifts.apply(shifts.parse("noise=0.1, blur=1"), population, seed=seed) for seed in (1, 1, 2)
    )
    assert one == two != other


@pytest.mark.parametrize("text", ["fog=1", "blur", "blur=-1", "blur=much", "labels=2", "=1"])
def test_what_is_not_understood_is_a_sentence(text: str) -> None:
    with pytest.raises(errors.EvaluationError, match="the shift "):
        shifts.parse(text)

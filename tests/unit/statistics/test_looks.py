"""Tests for planned looks, pairs, quantiles and ranks against published numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from calumma import errors
from calumma.statistics import groups, quantiles, ranks


def test_looking_again_and_again_at_five_percent() -> None:
    """Armitage, McPherson and Rowe 1969, table 2."""
    table = {1: 0.050, 2: 0.083, 3: 0.107, 4: 0.126, 5: 0.142, 10: 0.193, 20: 0.248, 50: 0.320}
    for looks, published in table.items():
        found = groups.error([1.959964] * looks, range(1, looks + 1))
        assert found == pytest.approx(published, abs=6e-4)


@pytest.mark.parametrize(
    ("looks", "pocock", "obrien_fleming"),
    [(2, 2.178, 1.977), (3, 2.289, 2.004), (4, 2.361, 2.024), (5, 2.413, 2.040)],
)
def test_constants(looks: int, pocock: float, obrien_fleming: float) -> None:
    """Jennison and Turnbull 2000, tables 2.1 and 2.3."""
    assert groups.pocock(looks) == pytest.approx(pocock, abs=1e-3)
    assert groups.obrien_fleming(looks)[-1] == pytest.approx(obrien_fleming, abs=1e-3)


@pytest.mark.parametrize("one_sided", [False, True])
def test_what_is_spent_is_alpha_whenever_the_looks_come(one_sided: bool) -> None:
    information = [0.1, 0.3, 0.35, 0.8, 1.0]
    critical = groups.spent(information, 0.05, one_sided=one_sided)
    assert groups.error(critical, information, one_sided=one_sided) == pytest.approx(0.05, abs=1e-6)
    assert groups.spent(information[:3], 0.05, one_sided=one_sided) == pytest.approx(critical[:3])
    assert critical == sorted(critical, reverse=True)
    beyond = groups.spent([0.5, 1.4], 0.05, one_sided=one_sided)
    assert groups.error(beyond, [0.5, 1.4], one_sided=one_sided) == pytest.approx(0.05, abs=1e-6)


@pytest.mark.parametrize("information", [[0.5, 0.5], [0.5, 0.4], [0.0, 1.0], [1.0, 1.1]])
def test_looks_that_cannot_be_planned_are_refused(information: list[float]) -> None:
    with pytest.raises(errors.EvaluationError, match="must increase"):
        groups.spent(information)


@pytest.mark.parametrize(
    ("p", "shift", "published"),
    [(0.5, 70, 0.814704), (0.5, 85, 0.0838055), (0.5, 100, 0.0054947), (0.9, 55, 0.0340463)],
)
def test_two_quantiles(p: float, shift: int, published: float) -> None:
    """The authors' own test: 1 to 1000 against the same, shifted."""
    ours = np.arange(1.0, 1001.0)
    for one, other in ((ours, ours + shift), (ours + shift, ours)):
        assert quantiles.p_value(one, other, p, n_opt=100) == pytest.approx(published, abs=1e-6)


def test_a_quantile_is_in_its_interval_at_all_looks() -> None:
    generator = np.random.default_rng(2)
    missed = 0
    for _ in range(100):
        sample = generator.exponential(1.0, 600)
        looks = [quantiles.interval(sample[:n], 0.9, n_opt=300) for n in range(50, 601, 50)]
        missed += any(not low <= -math.log(0.1) <= high for low, high in looks)
    assert missed <= 11
    assert quantiles.interval(sample[:3], 0.9, n_opt=300) == (-math.inf, math.inf)


def test_a_shift_of_ranks() -> None:
    """R's wilcox.test, as the canary judge Kayenta records it."""
    found = ranks.shift(np.array([10.0, 20.0, 30.0, 40.0]), np.array([1.0, 2.0, 3.0, 4.0]))
    assert found == (22.5, (6.0, 39.0))


def test_a_shift_covers_the_truth_of_skewed_samples_with_ties() -> None:
    generator = np.random.default_rng(3)
    hits = [
        low <= 0.5 <= high
        for low, high in (
            ranks.shift(
                np.round(generator.exponential(1.0, 60), 1) + 0.5,
                np.round(generator.exponential(1.0, 80), 1),
            ).interval
            for _ in range(300)
        )
    ]
    assert np.mean(hits) == pytest.approx(0.95, abs=0.035)


def test_samples_that_say_nothing_are_refused() -> None:
    with pytest.raises(errors.EvaluationError, match="at least one value"):
        ranks.shift(np.array([]), np.array([1.0]))
    with pytest.raises(errors.EvaluationError, match="all values are the same"):
        ranks.shift(np.ones(3), np.ones(2))
    with pytest.raises(errors.EvaluationError, match="between 0 and 1"):
        quantiles.p_value(np.ones(3), np.ones(2), 1.0, n_opt=10)
    with pytest.raises(errors.EvaluationError, match="at least one observation"):
        quantiles.p_value(np.ones(3), np.array([]), 0.5, n_opt=10)

"""Windows of two arms: exact at small counts, blind to a changing split, never wrong too often."""

from __future__ import annotations

import math
from itertools import accumulate

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from calumma import errors
from calumma.statistics import windows as room
from calumma.statistics.windows import Window


def simulated(
    generator: np.random.Generator, rate: float, other: float, n: int, other_n: int, windows: int
) -> list[Window]:
    return [
        Window(n, int(ours), other_n, int(theirs))
        for ours, theirs in zip(
            generator.binomial(n, rate, windows),
            generator.binomial(other_n, other, windows),
            strict=True,
        )
    ]


def test_one_table_is_the_mixture_of_noncentral_hypergeometrics() -> None:
    window = Window(20, 6, 60, 5)
    places, weights = room._prior(1.6)
    ratios = [
        stats.nchypergeom_fisher(80, 11, 20, math.exp(place)).pmf(6) for place in places
    ] / stats.hypergeom(80, 11, 20).pmf(6)
    assert room.p_value([window]) == pytest.approx(1 / float(ratios @ weights), rel=1e-9)


@given(
    st.integers(1, 30).flatmap(
        lambda n: st.tuples(st.just(n), st.integers(1, 60), st.integers(0, n))
    )
)
def test_its_mean_over_all_tables_with_the_same_totals_is_one(case: tuple[int, int, int]) -> None:
    """The defining property of evidence: nobody gains by betting against the truth."""
    n, other_n, total = case
    tables = stats.hypergeom(n + other_n, total, n)
    weights = room._prior(1.6)[1]
    mean = 0.0
    for events in range(max(0, total - other_n), min(n, total) + 1):
        ratios = np.exp(room._log_ratios(Window(n, events, other_n, total - events), 1.6))
        mean += tables.pmf(events) * float(ratios @ weights)
    assert mean == pytest.approx(1.0, rel=1e-9)


@pytest.mark.parametrize(("n", "rate"), [(20, 0.1), (100, 0.1), (400, 0.005)])
def test_an_identical_arm_is_rarely_ever_found_worse(n: int, rate: float) -> None:
    generator = np.random.default_rng(n)
    runs = 200
    found = 0
    for _ in range(runs):
        windows = simulated(generator, rate, rate, n, 9 * n, 25)
        found += any(room.p_value(windows[: look + 1]) <= 0.05 for look in range(0, 25, 4))
    assert found / runs <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / runs)


def test_a_worse_arm_is_found() -> None:
    generator = np.random.default_rng(1)
    found = [
        room.p_value(simulated(generator, 0.15, 0.10, 100, 900, 25)) <= 0.05 for _ in range(60)
    ]
    assert np.mean(found) >= 0.95


def test_a_share_that_grows_while_the_day_gets_worse_is_no_difference() -> None:
    """Pooled, ours has 18% events and theirs 12%: Simpson's paradox."""
    windows = [Window(100, 10, 900, 90), Window(900, 180, 100, 20)]
    pooled = Window(*map(sum, zip(*windows, strict=True)))
    assert room.p_value([pooled]) < 0.001
    assert room.p_value(windows) > 0.5
    low, high = room.bounds(windows)
    assert low < 0 < high
    assert room.bounds([pooled]).low > 0


def test_the_bounds_hold_the_truth_at_all_looks_and_close_in() -> None:
    generator = np.random.default_rng(2)
    missed = 0
    for _ in range(150):
        windows = simulated(generator, 0.15, 0.10, 50, 200, 30)
        looks = [
            room.bounds(seen) for seen in accumulate(([each] for each in windows), list.__add__)
        ]
        missed += any(not low <= 0.05 <= high for low, high in looks)
    assert missed / 150 <= 0.1 + 2 * math.sqrt(0.09 / 150)
    assert looks[-1].high - looks[-1].low < (looks[4].high - looks[4].low) / 2


def test_nothing_says_nothing() -> None:
    assert room.p_value([]) == 1.0
    assert room.bounds([]) == (-1.0, 1.0)
    empty = [Window(0, 0, 50, 7), Window(50, 7, 0, 0), Window(50, 0, 50, 0)]
    assert room.p_value(empty) == pytest.approx(1.0)
    assert room.bounds(empty[:2]) == (-1.0, 1.0)


@pytest.mark.parametrize("window", [Window(5, 6, 1, 0), Window(5, 1, 1, 2), Window(5, -1, 1, 0)])
def test_impossible_counts_are_refused(window: Window) -> None:
    with pytest.raises(errors.EvaluationError, match="from 0 to its observations"):
        room.p_value([window])
    with pytest.raises(errors.EvaluationError, match="from 0 to its observations"):
        room.bounds([window])

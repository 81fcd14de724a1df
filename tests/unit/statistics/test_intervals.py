"""Intervals for proportions against published numbers, and their coverage by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calumma import errors
from calumma.statistics import intervals


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [
        # Newcombe 1998 (Statistics in Medicine 17:857-872), table I, method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_gives_the_published_intervals(
    successes: int, n: int, low: float, high: float
) -> None:
    assert intervals.wilson(successes, n) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(
    ("ours", "theirs", "low", "high"),
    [
        # Newcombe 1998 (Statistics in Medicine 17:873-890), table II, method 10.
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((6, 7), (2, 7), 0.0582, 0.8062),
        ((5, 56), (0, 29), -0.0381, 0.1926),
        ((0, 10), (0, 20), -0.1611, 0.2775),
        ((0, 10), (0, 10), -0.2775, 0.2775),
        ((10, 10), (0, 20), 0.6791, 1.0000),
        ((10, 10), (0, 10), 0.6075, 1.0000),
    ],
)
def test_newcombe_gives_the_published_intervals(
    ours: tuple[int, int], theirs: tuple[int, int], low: float, high: float
) -> None:
    assert intervals.newcombe(*ours, *theirs) == pytest.approx((low, high), abs=5e-5)


def test_without_data_everything_is_possible() -> None:
    assert intervals.wilson(0, 0) == (0.0, 1.0)
    assert intervals.newcombe(0, 0, 5, 10) == (-1.0, 1.0)
    assert intervals.newcombe(5, 10, 0, 0) == (-1.0, 1.0)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_holds_the_proportion_and_stays_inside_zero_and_one(counts: tuple[int, int]) -> None:
    successes, n = counts
    low, high = intervals.wilson(successes, n)
    assert 0.0 <= low <= successes / n <= high <= 1.0
    assert intervals.wilson(n - successes, n) == pytest.approx((1 - high, 1 - low))


@pytest.mark.parametrize(("p", "n"), [(0.05, 40), (0.5, 20), (0.9, 100), (0.97, 360)])
def test_wilson_covers_close_to_its_level(p: float, n: int) -> None:
    """The mean coverage over a neighbourhood of p: at one p it oscillates, as for every method."""
    generator = np.random.default_rng(1)
    truths = generator.uniform(p - 0.02, p + 0.02, 4000)
    bounds = [intervals.wilson(k, n) for k in range(n + 1)]
    hits = [
        bounds[k].low <= truth <= bounds[k].high
        for truth, k in zip(truths, generator.binomial(n, truths), strict=True)
    ]
    assert np.mean(hits) == pytest.approx(0.95, abs=0.015)


@pytest.mark.parametrize(("p", "n", "q", "m"), [(0.95, 100, 0.95, 400), (0.9, 60, 0.8, 300)])
def test_newcombe_covers_close_to_its_level(p: float, n: int, q: float, m: int) -> None:
    generator = np.random.default_rng(2)
    ours = generator.binomial(n, p, 4000)
    theirs = generator.binomial(m, q, 4000)
    found = [intervals.newcombe(int(a), n, int(b), m) for a, b in zip(ours, theirs, strict=True)]
    hits = [interval.low <= p - q <= interval.high for interval in found]
    assert np.mean(hits) == pytest.approx(0.95, abs=0.02)


def test_impossible_counts_and_levels_are_refused() -> None:
    with pytest.raises(errors.EvaluationError, match="5 successes in 3 trials"):
        intervals.wilson(5, 3)
    with pytest.raises(errors.EvaluationError, match="confidence level of 95"):
        intervals.wilson(1, 3, confidence=95)


def test_a_difference_of_estimates_is_newcombes_on_wilsons_intervals() -> None:
    ours, theirs = intervals.wilson(56, 70), intervals.wilson(48, 80)
    found = intervals.difference(56 / 70, ours, 48 / 80, theirs)
    assert found == intervals.newcombe(56, 70, 48, 80)
    certain = intervals.Interval(3.0, 3.0)
    wide = intervals.Interval(1.0, 2.0)
    assert intervals.difference(3.0, certain, 1.5, wide) == pytest.approx((1.0, 2.0))

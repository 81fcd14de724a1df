"""The interval for a count, against its published table and its promise."""

from __future__ import annotations

import pytest
from scipy import stats

from calumma import errors
from calumma.statistics import counts


@pytest.mark.parametrize(
    ("count", "low", "high"),
    # E. S. Pearson and H. O. Hartley, Biometrika Tables for Statisticians, table 40.
    [(0, 0.0, 3.69), (1, 0.0253, 5.57), (2, 0.242, 7.22), (10, 4.80, 18.39), (50, 37.11, 65.92)],
)
def test_it_is_the_one_in_the_tables(count: int, low: float, high: float) -> None:
    assert counts.garwood(count) == pytest.approx((low, high), abs=0.005)


@pytest.mark.parametrize("mean", [0.3, 1.0, 4.5, 20.0])
def test_it_holds_the_mean_at_least_as_often_as_it_says(mean: float) -> None:
    held = sum(
        stats.poisson.pmf(count, mean)
        for count in range(200)
        if counts.garwood(count).low <= mean <= counts.garwood(count).high
    )
    assert held >= 0.95


def test_a_negative_count_is_refused() -> None:
    with pytest.raises(errors.EvaluationError, match="a count of -1"):
        counts.garwood(-1)

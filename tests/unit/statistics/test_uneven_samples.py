"""Strata, clusters and pairs: intervals that hold the truth as often as they say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calumma import errors
from calumma.statistics import clusters as clustering
from calumma.statistics import intervals, pairs, weighted
from calumma.statistics.pairs import Table
from calumma.statistics.weighted import Estimate

ROUNDS = 3000
# A 95% interval that is simulated 3000 times holds the truth in 94.2 to 95.8% of them, when exact.
LEAST = 0.935

counts = st.integers(0, 60)


def proportion(hits: int, n: int) -> Estimate:
    return Estimate(hits / n, intervals.wilson(hits, n))


def test_one_stratum_is_wilsons_and_a_difference_is_newcombes() -> None:
    only = weighted.total([(1.0, proportion(7, 20))])
    assert only.interval == pytest.approx(intervals.wilson(7, 20))
    found = intervals.difference(*proportion(56, 70), *proportion(48, 80))
    assert found == pytest.approx(intervals.newcombe(56, 70, 48, 80))


def test_a_stratified_interval_holds_the_truth() -> None:
    generator = np.random.default_rng(0)
    weights, rates, sizes = (0.9, 0.1), (0.95, 0.5), (60, 40)
    truth = sum(weight * rate for weight, rate in zip(weights, rates, strict=True))
    held = naive = 0
    for _ in range(ROUNDS):
        hits = [int(generator.binomial(*each)) for each in zip(sizes, rates, strict=True)]
        parts = [proportion(*each) for each in zip(hits, sizes, strict=True)]
        low, high = weighted.total(list(zip(weights, parts, strict=True))).interval
        held += low <= truth <= high
        low, high = intervals.wilson(sum(hits), sum(sizes))
        naive += low <= truth <= high
    assert held / ROUNDS > LEAST
    assert naive / ROUNDS < 0.5  # averaging random and hard images as they come


@pytest.mark.parametrize(("clusters", "size", "alike"), [(9, 9, 2.0), (30, 5, 3.0)])
def test_a_clustered_interval_holds_the_truth(clusters: int, size: int, alike: float) -> None:
    generator = np.random.default_rng(1)
    held = naive = 0
    for _ in range(ROUNDS):
        rates = generator.beta(0.8 * alike, 0.2 * alike, clusters)
        hits = generator.binomial(size, rates)
        low, high = clustering.interval(hits.tolist(), [size] * clusters)
        held += low <= 0.8 <= high
        low, high = intervals.wilson(int(hits.sum()), size * clusters)
        naive += low <= 0.8 <= high
    assert held / ROUNDS > LEAST
    assert naive / ROUNDS < 0.88


def test_clusters_of_one_are_no_clusters_and_agreeing_trials_count_once() -> None:
    assert clustering.interval([1, 0, 1], [1, 1, 1]) == intervals.wilson(2, 3)
    assert clustering.interval([], []) == (0.0, 1.0)
    all_right = clustering.interval([9] * 9, [9] * 9)
    assert all_right.low < intervals.wilson(9, 9).low


def test_a_paired_interval_holds_the_truth_and_is_shorter() -> None:
    generator = np.random.default_rng(2)
    shares = [0.85, 0.06, 0.03, 0.06]
    held, widths = 0, []
    for _ in range(ROUNDS):
        table = Table(*map(int, generator.multinomial(200, shares)))
        low, high = pairs.newcombe(table)
        held += low <= 0.03 <= high
        ours, theirs = table.both + table.only_first, table.both + table.only_second
        unpaired = intervals.newcombe(ours, 200, theirs, 200)
        widths.append((high - low) / (unpaired.high - unpaired.low))
    assert held / ROUNDS > LEAST
    assert np.mean(widths) < 0.8


@given(counts, counts, counts, counts)
def test_a_paired_interval_holds_its_estimate_and_turns_with_the_models(
    both: int, first: int, second: int, neither: int
) -> None:
    low, high = pairs.newcombe(Table(both, first, second, neither))
    n = both + first + second + neither
    assert -1 - 1e-9 <= low <= high <= 1 + 1e-9
    if n:
        assert low - 1e-9 <= (first - second) / n <= high + 1e-9
    turned = pairs.newcombe(Table(both, second, first, neither))
    assert (-turned.high, -turned.low) == pytest.approx((low, high))


def test_weights_are_shares() -> None:
    assert weighted.shares([3, 1, 0]) == [0.75, 0.25, 0]
    for wrong in ([0.0], [-1.0, 2.0], [float("nan")]):
        with pytest.raises(errors.EvaluationError, match="at least 0, and one above it"):
            weighted.shares(wrong)

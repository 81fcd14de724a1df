"""Exact tests, pairs, weighted strata and mixes: known values, and what they promise, simulated."""

from __future__ import annotations

import numpy as np
import pytest

from calumma import errors
from calumma.statistics import categories, exact, intervals, pairs, weighted


def test_mcnemar_is_the_exact_one() -> None:
    assert pairs.mcnemar(pairs.Table(50, 1, 9, 40)) == pytest.approx(0.021484, abs=1e-6)
    assert pairs.mcnemar(pairs.Table(0, 25, 12, 0)) == pytest.approx(0.04703, abs=1e-5)
    assert pairs.mcnemar(pairs.Table(50, 0, 0, 50)) == 1


def test_clopper_pearson_holds_what_the_binomial_test_does_not_refuse() -> None:
    assert exact.clopper_pearson(4, 10) == pytest.approx((0.12155, 0.73762), abs=1e-5)
    assert exact.clopper_pearson(0, 0) == (0, 1)
    for edge in exact.clopper_pearson(30, 100, 0.999):
        assert exact.binomial(30, 100, edge) == pytest.approx(0.001)
    with pytest.raises(errors.EvaluationError, match="5 successes in 4 trials"):
        exact.clopper_pearson(5, 4)


def test_pairs_make_a_narrower_interval_than_two_samples() -> None:
    table = pairs.Table(36, 12, 2, 0)
    assert table.difference == pytest.approx(0.2)
    assert pairs.newcombe(table) == pytest.approx((0.0569, 0.3404), abs=1e-4)
    same = pairs.Table(80, 5, 3, 12)
    paired, unpaired = pairs.newcombe(same), intervals.newcombe(85, 100, 83, 100)
    assert paired.high - paired.low < 0.7 * (unpaired.high - unpaired.low)
    assert pairs.newcombe(pairs.Table(0, 0, 0, 0)) == (-1, 1)


def test_one_stratum_is_the_plain_proportion() -> None:
    found = weighted.proportion([weighted.Stratum(90, 100, 1000), weighted.Stratum(0, 0, 0)])
    assert found is not None
    assert found.value == 0.9
    assert found.interval == pytest.approx(intervals.wilson(90, 100))


def test_a_stratum_of_which_nothing_is_known_makes_the_whole_unknown() -> None:
    assert weighted.proportion([weighted.Stratum(9, 10, 20), weighted.Stratum(0, 0, 5)]) is None
    assert weighted.proportion([]) is None


def test_weights_undo_that_hard_cases_are_labelled_more_often() -> None:
    """900 easy ones at 0.95 of which 1 in 10 is labelled, 100 hard ones at 0.4, all labelled."""
    generator = np.random.default_rng(5)
    values, covered, plain = [], 0, []
    for _ in range(1000):
        easy, hard = int(generator.binomial(90, 0.95)), int(generator.binomial(100, 0.4))
        found = weighted.proportion(
            [weighted.Stratum(easy, 90, 900), weighted.Stratum(hard, 100, 100)]
        )
        assert found is not None
        values.append(found.value)
        covered += found.interval.low <= 0.895 <= found.interval.high
        plain.append((easy + hard) / 190)
    assert np.mean(values) == pytest.approx(0.895, abs=0.003)
    assert 930 < covered < 985
    assert np.mean(plain) < 0.7


def test_equal_mixes_are_refused_as_seldom_as_said() -> None:
    generator = np.random.default_rng(7)
    refused = 0
    for number in range(200):
        ours, theirs = (drawn(generator, (0.6, 0.3, 0.08, 0.02), n) for n in (60, 300))
        refused += categories.permutation(ours, theirs, seed=number, permutations=400) < 0.05
    assert refused < 22  # 10 are expected, with a standard deviation of 3


def test_the_interval_of_the_distance_holds_where_it_is_weakest() -> None:
    """Many classes in small samples, where 3000 draws gave 94.3%."""
    generator = np.random.default_rng(13)
    held = 0
    for _ in range(1000):
        ours, theirs = (drawn(generator, (0.1,) * 10, n) for n in (60, 300))
        held += categories.distance_interval(ours, theirs).low == 0
    assert 920 < held < 965  # three standard deviations around it


def drawn(generator: np.random.Generator, shares: tuple[float, ...], n: int) -> dict[str, int]:
    return {str(k): int(count) for k, count in enumerate(generator.multinomial(n, shares))}


def test_a_class_that_only_one_answers_is_a_difference() -> None:
    ours, theirs = {"a": 50, "b": 50}, {"a": 100}
    assert categories.distance(ours, theirs) == 0.5
    low, high = categories.distance_interval(ours, theirs)
    assert 0.35 < low < 0.5 < high < 0.65
    assert categories.permutation(ours, theirs, seed=0) < 0.001
    assert categories.permutation({"a": 3}, {"a": 9}, seed=0) == 1
    with pytest.raises(errors.EvaluationError, match="no answers"):
        categories.distance({}, theirs)

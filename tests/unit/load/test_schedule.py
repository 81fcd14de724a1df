"""Times and order: exact, seeded, and as their distributions promise."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from calumma import errors
from calumma.load import schedule
from calumma.scoring import cases

FOUR = [cases.Case(str(number), b"", None) for number in range(4)]


def test_a_constant_rate_has_equal_distances_and_ends_in_time() -> None:
    assert list(schedule.constant(4, seconds=1.0)) == [0.0, 0.25, 0.5, 0.75]


def test_without_an_end_it_is_endless() -> None:
    *_, last = itertools.islice(schedule.constant(1000), 100_001)
    assert last == 100.0


def test_poisson_gaps_are_exponential_and_seeded() -> None:
    times = list(schedule.poisson(200, seed=1, seconds=100))
    assert times == list(schedule.poisson(200, seed=1, seconds=100))
    assert times != list(schedule.poisson(200, seed=2, seconds=100))
    gaps = np.diff(times)
    assert gaps.mean() == pytest.approx(1 / 200, rel=0.03)
    assert gaps.std() == pytest.approx(1 / 200, rel=0.03)
    counts = np.histogram(times, bins=1000, range=(0, 100))[0]
    assert counts.var() == pytest.approx(counts.mean(), rel=0.15)


@pytest.mark.parametrize("rate", [0, -1, float("inf"), float("nan")])
def test_a_rate_that_cannot_be_sent_is_refused(rate: float) -> None:
    with pytest.raises(errors.EvaluationError, match="cannot be sent"):
        schedule.constant(rate)
    with pytest.raises(errors.EvaluationError, match="cannot be sent"):
        schedule.poisson(rate, seed=0)


def test_each_round_holds_every_case_in_another_order() -> None:
    first = list(itertools.islice(schedule.shuffled(FOUR, seed=3), 40))
    rounds = [tuple(case.id for case in first[start : start + 4]) for start in range(0, 40, 4)]
    assert all(sorted(order) == ["0", "1", "2", "3"] for order in rounds)
    assert len(set(rounds)) > 3
    assert first == list(itertools.islice(schedule.shuffled(FOUR, seed=3), 40))


def test_no_cases_are_refused() -> None:
    with pytest.raises(errors.EvaluationError, match="no case to send"):
        next(schedule.shuffled([], seed=0))

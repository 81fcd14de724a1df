"""The search against services whose limit is known: it is found, and nobody is hurt."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from calumma import errors
from calumma.evaluation import document
from calumma.load import curve
from calumma.scoring import metrics
from calumma.statistics import intervals

SEARCH = {"start": 10, "maximum": 1000, "precision": 1.1, "repeats": 3}


def search(**changes: object) -> curve.Search:
    return document.check({**SEARCH, **changes}, curve.Search, "search")


def step(
    rate: float, *, holds: bool, mean: float = 0.01, sound: bool = True, alive: bool = True
) -> curve.Step:
    interval = intervals.Interval(900 * mean, 1100 * mean)
    latency = metrics.Metric("latency p99", 1000 * mean, 100, interval, "ms")
    return curve.Step(rate, 100, rate, rate, mean, latency, 0.0, holds, sound, alive, 0.0, 1.0)


def measuring(found: Callable[[float], curve.Step]) -> curve.Measure:
    async def measure(rate: float) -> curve.Step:
        return found(rate)

    return measure


async def test_the_limit_is_between_what_held_and_what_did_not() -> None:
    found = await curve.explore(measuring(lambda rate: step(rate, holds=rate <= 137)), search())
    assert len(found.limits) == 3
    for limit in found.limits:
        assert limit.missed is not None
        assert limit.held <= 137 < limit.missed <= 1.1001 * limit.held
    assert found.limit.interval is not None
    low, high = found.limit.interval
    assert low <= 137 < high and found.limit.n == 3 and found.limit.level == 0.75
    rates = [each.rate for each in found.steps]
    assert rates[:6] == [10, 20, 40, 80, 160, 160], "what misses is tried again"
    assert max(rates) == 160


async def test_a_noisy_limit_gets_a_wide_interval() -> None:
    chance = random.Random(3)
    noisy = measuring(lambda rate: step(rate, holds=rate * chance.uniform(0.6, 1.4) <= 137))
    found = await curve.explore(noisy, search(repeats=6))
    limit = found.limit
    assert limit.interval is not None and limit.value is not None
    low, high = limit.interval
    assert high / low > 1.2 and low <= limit.value <= high
    assert limit.level == pytest.approx(0.96875)


async def test_a_service_that_holds_everywhere_is_only_known_to_hold_the_maximum() -> None:
    found = await curve.explore(measuring(lambda rate: step(rate, holds=True)), search())
    assert [each.rate for each in found.steps] == [10, 20, 40, 80, 160, 320, 640, 1000, 1000, 1000]
    assert found.limit.value == 1000 and found.limit.interval == intervals.Interval(1000, 1000)
    assert all(limit.missed is None for limit in found.limits)


async def test_a_service_that_holds_nowhere_has_the_limit_zero() -> None:
    found = await curve.explore(measuring(lambda rate: step(rate, holds=False)), search(repeats=2))
    limit = found.limit
    assert limit.value == 0 and limit.interval is not None and limit.interval.low == 0


async def test_a_generator_that_falls_behind_is_no_fault_of_the_service() -> None:
    slow = measuring(lambda rate: step(rate, holds=rate <= 100, sound=rate <= 100))
    found = await curve.explore(slow, search())
    assert found.ended == "the generator could not send 160/s on time"
    assert [each.rate for each in found.steps] == [10, 20, 40, 80, 160, 80, 80]
    assert found.limit.value == 80 and found.limit.n == 3
    assert found.limit.interval == intervals.Interval(80, 80), "at least"
    never = await curve.explore(
        measuring(lambda rate: step(rate, holds=False, sound=False)), search()
    )
    assert len(never.steps) == 1 and never.limit.value is None


async def test_a_service_that_does_not_come_back_is_left_alone() -> None:
    dying = measuring(lambda rate: step(rate, holds=rate <= 40, alive=rate <= 40))
    found = await curve.explore(dying, search())
    assert [each.rate for each in found.steps] == [10, 20, 40, 80]
    assert found.ended == "after 80/s the service did not come back"
    assert found.limit.value is None and found.limit.n == 0


async def test_the_knee_of_a_queue_is_where_it_is_half_full() -> None:
    """Of M/M/1 the mean time is 1 / (capacity - rate), whose power peaks at half the capacity."""
    queue = measuring(lambda rate: step(rate, holds=rate < 90, mean=1 / max(100 - rate, 1)))
    found = await curve.explore(queue, search(start=12.5, maximum=200, repeats=1))
    assert found.knee is not None and found.knee.rate == 50
    rising = await curve.explore(measuring(lambda rate: step(rate, holds=rate <= 20)), search())
    assert rising.knee is None, "the power still rises at the highest rate"


async def test_rates_are_listed_with_their_repetitions() -> None:
    found = await curve.explore(
        measuring(lambda rate: step(rate, holds=True)), search(start=500, repeats=2)
    )
    assert [each.name for each in curve.table(found)] == [
        *("latency p99 at 500/s", "latency p99 at 1000/s", "latency p99 at 1000/s (2)"),
    ]


def test_an_objective_without_data_is_not_met() -> None:
    objective = curve.Objective(latency_ms=100, quantile=0.99, failed=0.01)
    assert str(objective) == "p99 at most 100 ms and at most 1% failed"
    assert objective.is_met(100, 0.01)
    assert not objective.is_met(101, 0) and not objective.is_met(1, 0.02)
    assert not objective.is_met(None, 0) and not objective.is_met(1, None)


def test_a_search_that_goes_nowhere_is_refused() -> None:
    with pytest.raises(errors.DocumentInvalid, match="the maximum 5 is below the start 10"):
        search(maximum=5)

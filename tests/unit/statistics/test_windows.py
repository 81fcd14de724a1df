"""Windows of two arms: exact at small counts, blind to a changing split, never wrong too often."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from calumma import errors
from calumma.statistics import windows as room
from calumma.statistics.designs import Design
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
    places, weights = room._prior()
    ratios = [
        stats.nchypergeom_fisher(80, 11, 20, math.exp(place)).pmf(6) for place in places
    ] / stats.hypergeom(80, 11, 20).pmf(6)
    found = room._mixed(room._log_ratios(window))
    assert found == pytest.approx(math.log(float(ratios @ np.exp(weights))), rel=1e-9)


@given(
    st.integers(1, 30).flatmap(
        lambda n: st.tuples(st.just(n), st.integers(1, 60), st.integers(0, n))
    )
)
def test_its_mean_over_all_tables_with_the_same_totals_is_one(case: tuple[int, int, int]) -> None:
    """The defining property of evidence: nobody gains by betting against the truth."""
    n, other_n, total = case
    tables = stats.hypergeom(n + other_n, total, n)
    weights = room._prior()[1]
    mean = 0.0
    for events in range(max(0, total - other_n), min(n, total) + 1):
        ratios = np.exp(room._log_ratios(Window(n, events, other_n, total - events)))
        mean += tables.pmf(events) * float(ratios @ np.exp(weights))
    assert mean == pytest.approx(1.0, rel=1e-9)


@pytest.mark.parametrize("planned", [None, 600])
@pytest.mark.parametrize(("n", "rate"), [(20, 0.1), (100, 0.1), (400, 0.005)])
def test_an_identical_arm_is_rarely_ever_found_worse(
    n: int, rate: float, planned: int | None
) -> None:
    generator = np.random.default_rng(n + 1)
    runs = 300
    found = sum(
        room.follow(simulated(generator, rate, rate, n, 9 * n, 25), Design(0.05, planned))[-1].worse
        for _ in range(runs)
    )
    assert found / runs <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / runs)


def test_a_worse_arm_is_found_sooner_by_plan() -> None:
    generator = np.random.default_rng(1)
    runs = [simulated(generator, 0.15, 0.10, 100, 900, 25) for _ in range(200)]
    sequence, planned = (
        [[each.worse for each in room.follow(run, design)] for run in runs]
        for design in (Design(), Design(0.05, 600))
    )
    assert np.mean([run[5] for run in sequence]) < 0.85
    assert np.mean([run[5] for run in planned]) >= 0.93
    assert np.mean([run[-1] for run in sequence]) >= 0.99


def test_what_is_worse_after_the_plan_is_found_too() -> None:
    generator = np.random.default_rng(3)
    same = simulated(generator, 0.10, 0.10, 100, 900, 6)
    worse = simulated(generator, 0.20, 0.10, 100, 900, 20)
    found = [each.worse for each in room.follow([*same, *worse], Design(0.05, 600))]
    assert found[5] is False
    assert found[-1] is True


def test_a_share_that_grows_while_the_day_gets_worse_is_no_difference() -> None:
    """Pooled, ours has 18% events and theirs 12%: Simpson's paradox."""
    windows = [Window(100, 10, 900, 90), Window(900, 180, 100, 20)]
    pooled = Window(*map(sum, zip(*windows, strict=True)))
    for design in (Design(), Design(0.05, 200)):
        last = room.follow(windows, design)[-1]
        assert not last.worse
        assert last.low < 0 < last.high
        assert last.estimate == pytest.approx(0)
        assert room.follow([pooled], design)[-1].worse


@pytest.mark.parametrize("planned", [None, 500])
@pytest.mark.parametrize(("rate", "other"), [(0.15, 0.10), (0.10, 0.10), (0.01, 0.02)])
def test_the_bounds_hold_the_truth_at_all_looks_and_close_in(
    rate: float, other: float, planned: int | None
) -> None:
    generator = np.random.default_rng(2)
    above = below = 0
    for _ in range(200):
        looks = room.follow(simulated(generator, rate, other, 50, 200, 30), Design(0.05, planned))
        above += any(each.low > rate - other for each in looks)
        below += any(each.high < rate - other for each in looks)
    assert max(above, below) / 200 <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 200)
    assert looks[-1].high - looks[-1].low < 0.6 * (looks[4].high - looks[4].low)


def test_few_observations_without_events_do_not_make_an_arm_fine() -> None:
    """Of 50 observations with 5% events none has one in one case of thirteen."""
    last = room.follow([Window(50, 0, 5000, 0)], Design(0.05, 50))[-1]
    assert last.high > 0.05


def test_nothing_says_nothing() -> None:
    assert room.follow([], Design()) == []
    assert room.follow([Window(0, 0, 50, 7), Window(50, 7, 0, 0)], Design()) == []
    (found,) = room.follow([Window(50, 0, 50, 0)], Design(0.05, 50))
    assert found.low < 0 < found.high
    assert not found.worse


@pytest.mark.parametrize("window", [Window(5, 6, 1, 0), Window(5, 1, 1, 2), Window(5, -1, 1, 0)])
def test_impossible_counts_are_refused(window: Window) -> None:
    with pytest.raises(errors.EvaluationError, match="from 0 to its observations"):
        room.follow([window], Design())

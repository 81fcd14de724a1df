"""Two arms at all looks: pairs, means and the division of requests, by simulation and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from calumma import errors
from calumma.statistics import designs, groups, means, mixtures, pairs, splits
from calumma.statistics.designs import Chance, Design, Look
from calumma.statistics.intervals import Interval

NOWHERE = Interval(-1.0, 1.0)


def tosses(heads: int, n: int) -> Chance:
    return Chance(heads, 0, np.array([math.comb(n, k) for k in range(n + 1)]) / 2**n)


def look(heads: int, n: int) -> Look:
    return Look(n, heads / n, 0.5, lambda z: NOWHERE, NOWHERE, False, tosses(heads, n))


def test_one_planned_look_is_the_exact_binomial_test() -> None:
    """Of 20 tosses, 15 heads or more have the probability 0.0207, 14 or more 0.0577."""
    design = Design(0.05, 20)
    assert design.early == pytest.approx(0.045)
    assert designs.follow([look(15, 20)], design)[-1].worse
    assert not designs.follow([look(14, 20)], design)[-1].worse
    assert not designs.follow([look(15, 20)], Design(0.02, 20))[-1].worse


def test_planned_looks_together_err_as_often_as_said() -> None:
    generator = np.random.default_rng(1)
    runs = 3000
    found = sum(
        designs.follow([look(int(k), 40) for k in row], Design(0.1, 200))[-1].worse
        for row in generator.binomial(40, 0.5, (runs, 8))
    )
    assert 0.06 < found / runs <= 0.09 + 2 * math.sqrt(0.09 / runs)


def test_looks_that_come_too_often_are_taken_together() -> None:
    """A thousand looks within the plan cost no more than thirty."""
    found = designs.follow([look(1, 1)] * 1000, Design(0.05, 1000))
    assert found[-1].worse
    few = designs._spent.cache_info().misses
    designs.follow([look(0, 1)] * 1000, Design(0.05, 1000))
    assert designs._spent.cache_info().misses == few


def test_a_plan_that_is_over_stays_known_until_something_else_is_seen() -> None:
    def seen(within: Interval, always: Interval) -> Look:
        return Look(10, 0.1, 0.1, lambda z: within, always, False, None)

    first = seen(Interval(-0.1, 0.2), NOWHERE)
    later = seen(NOWHERE, Interval(-0.5, 0.3))
    other = seen(NOWHERE, Interval(0.25, 0.3))
    found = designs.follow([first, later], Design(0.05, 10))
    assert [each[2:] for each in found] == [(-0.1, 0.2, False)] * 2
    assert designs.follow([first, other], Design(0.05, 10))[-1].high == 0.3


@pytest.mark.parametrize(("alpha", "planned"), [(0.0, 600), (0.5, 600), (math.nan, 1), (0.05, 0)])
def test_an_impossible_design_is_refused(alpha: float, planned: int) -> None:
    with pytest.raises(errors.EvaluationError, match=r"alpha of|were planned"):
        Design(alpha, planned)


def test_the_sequence_grants_what_the_mixture_does() -> None:
    design = Design(0.05, tight=100)
    bound = mixtures.bound(mixtures.Normal(100.0), 400.0, 0.05)
    assert design.critical(400) == pytest.approx(bound / 20)
    assert groups.spending(2.0, 0.05) == pytest.approx(0.05)


def table(generator: np.random.Generator, n: int, won: float, lost: float) -> pairs.Table:
    return pairs.Table(*map(int, generator.multinomial(n, [0.85 - won, won, lost, 0.15 - lost])))


@pytest.mark.parametrize("planned", [None, 400])
def test_pairs_at_all_looks(planned: int | None) -> None:
    generator = np.random.default_rng(4)
    worse = above = below = found_out = 0
    for _ in range(300):
        same = pairs.follow(
            [table(generator, 40, 0.04, 0.04) for _ in range(15)], Design(0.05, planned)
        )
        worse += same[-1].worse
        above += any(each.low > 0 for each in same)
        below += any(each.high < 0 for each in same)
        lost = pairs.follow(
            [table(generator, 40, 0.02, 0.07) for _ in range(15)], Design(0.05, planned)
        )
        found_out += lost[-1].worse
    assert max(worse, above, below) / 300 <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 300)
    assert found_out / 300 > 0.9
    assert lost[-1].estimate == pytest.approx(0.05, abs=0.03)


def test_pairs_that_never_differ_are_bounded_by_their_number() -> None:
    """No discordant pair of 100: what happens in 3% of them would be seen 95 times of 100."""
    (found,) = pairs.follow([pairs.Table(90, 0, 0, 10)], Design(0.05, 100))
    assert -found.low == found.high > 0.025
    assert not found.worse
    assert pairs.follow([pairs.Table(0, 0, 0, 0)], Design()) == []
    with pytest.raises(errors.EvaluationError, match="0 or more"):
        pairs.follow([pairs.Table(1, -1, 0, 0)], Design())


def test_the_evidence_of_pairs_at_any_look() -> None:
    assert pairs.sequential_loss(pairs.Table(0, 9, 60, 0)) < 0.001
    assert pairs.sequential_loss(pairs.Table(0, 60, 9, 0)) == 1.0
    assert pairs.sequential_loss(pairs.Table(8, 0, 0, 8)) == 1.0


def costs(generator: np.random.Generator, n: int, other_n: int, wrong: float) -> means.Window:
    """Most answers cost nothing, one mistake in five 50, the others 5."""
    arms = []
    for size, share in ((n, wrong), (other_n, 0.1)):
        sample = np.where(generator.random(size) < share, 5.0, 0.0)
        sample[(sample > 0) & (generator.random(size) < 0.2)] = 50.0
        arms += [size, float(sample.sum()), float((sample**2).sum())]
    return means.Window(*arms)  # type: ignore[arg-type]


@pytest.mark.parametrize("planned", [None, 600])
def test_means_at_all_looks(planned: int | None) -> None:
    generator = np.random.default_rng(5)
    worse = below = found_out = 0
    for _ in range(150):
        same = means.follow(
            [costs(generator, 100, 300, 0.1) for _ in range(12)], Design(0.05, planned), most=50
        )
        worse += any(each.low > 0 or each.worse for each in same)
        below += any(each.high < 0 for each in same)
        lost = means.follow(
            [costs(generator, 100, 300, 0.3) for _ in range(12)], Design(0.05, planned), most=50
        )
        found_out += lost[-1].worse
    assert max(worse, below) / 150 <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 150)
    assert found_out / 150 > 0.9
    assert lost[-1].estimate == pytest.approx(2.8, abs=1.5)
    assert same[-1].theirs == pytest.approx(1.4, abs=0.6)


def test_the_sequence_of_means_does_not_need_to_know_the_variance() -> None:
    """Half 0, half 1 varies as much as anything can."""
    generator = np.random.default_rng(6)
    missed = 0
    for _ in range(150):
        drawn = generator.binomial(60, 0.5, (20, 2))
        looks = [means.Window(60, float(a), float(a), 60, float(b), float(b)) for a, b in drawn]
        missed += any(
            not each.low <= 0 <= each.high for each in means.follow(looks, Design(), most=1)
        )
    assert missed / 150 <= 0.1 + 2 * math.sqrt(0.09 / 150)


def test_sums_that_cannot_be_are_refused() -> None:
    with pytest.raises(errors.EvaluationError, match="from 0 to 5 for each"):
        means.follow([means.Window(2, 11.0, 60.0, 1, 1.0, 1.0)], Design(), most=5)
    with pytest.raises(errors.EvaluationError, match="must be above 0"):
        means.follow([], Design(), most=0)


def test_requests_that_are_divided_as_declared_are_rarely_ever_suspected() -> None:
    generator = np.random.default_rng(7)
    suspected = 0
    for _ in range(300):
        ours = np.cumsum(generator.binomial(500, 0.1, 20))
        suspected += any(
            splits.p_value([splits.Step(0.1, int(k), 500 * at - int(k))], alpha=0.05) <= 0.05
            for at, k in enumerate(ours, 1)
        )
    assert suspected / 300 <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 300)


def test_a_split_that_is_off_is_found_over_steps() -> None:
    assert splits.p_value([]) == 1.0
    assert splits.p_value([splits.Step(0.1, 0, 0)]) == 1.0
    assert splits.p_value([splits.Step(0.1, 130, 870)]) > 0.001
    steps = [splits.Step(0.1, 650, 4350), splits.Step(0.5, 2700, 2300)]
    assert splits.p_value(steps) < 1e-6
    assert splits.p_value([splits.Step(0.1, 0, 300)]) < 1e-3
    with pytest.raises(errors.EvaluationError, match="between 0 and 1"):
        splits.p_value([splits.Step(1.0, 3, 0)])

"""What is promised of decisions, simulated; ``benchmarks/decisions.py`` measures it closely.

Stable is right in 90 of 100 answers, the canary has 10% of the traffic, and 25 times one looks.
"""

from __future__ import annotations

from itertools import accumulate

import numpy as np
import pytest

from calumma.rollout import judgement, policy
from calumma.rollout.state import Tally, Verdict, Window
from calumma.statistics import windows
from calumma.statistics.designs import Design

METRIC = policy.Correct(
    kind="correct", name="accuracy", source="feedback", margin=0.03, planned=600
)
DESIGN = Design(0.05, 600)


def simulated(
    generator: np.random.Generator, n: int, rate: float, looks: int
) -> list[windows.Window]:
    drawn = zip(
        generator.binomial(n, rate, looks), generator.binomial(9 * n, 0.10, looks), strict=True
    )
    return [windows.Window(n, int(ours), 9 * n, int(theirs)) for ours, theirs in drawn]


def rolled_back(seen: list[windows.Window]) -> bool:
    verdicts = (judgement.verdict(each, METRIC.margin) for each in windows.follow(seen, DESIGN))
    return any(each is Verdict.WORSE for each in verdicts)


@pytest.mark.parametrize("n", [20, 100, 400])
def test_an_identical_canary_is_rolled_back_at_most_once_in_twenty(n: int) -> None:
    generator = np.random.default_rng([n, 1])
    found = sum(rolled_back(simulated(generator, n, 0.10, 25)) for _ in range(1000))
    assert found / 1000 <= 0.05


def test_five_points_of_accuracy_are_found_within_six_looks() -> None:
    generator = np.random.default_rng(6)
    found = sum(rolled_back(simulated(generator, 100, 0.15, 6)) for _ in range(4000))
    assert found / 4000 >= 0.95


def test_readings_follow_what_was_simulated() -> None:
    """The same by way of tallies, as a rollout counts them."""
    generator = np.random.default_rng(8)
    for rate, verdict in ((0.10, Verdict.FINE), (0.15, Verdict.WORSE)):
        seen = simulated(generator, 100, rate, 25)
        names = ("n", "events", "other_n", "other_events")
        looks = (
            Tally(windows=(Window(step=0, **dict(zip(names, each, strict=True))),)) for each in seen
        )
        verdicts = [
            judgement.read(METRIC, tally, 0.05).verdict
            for tally in accumulate(looks, judgement.add, initial=Tally())
        ]
        assert verdicts[0] is Verdict.UNCLEAR
        assert verdicts[1:] == [
            judgement.verdict(each, METRIC.margin) for each in windows.follow(seen, DESIGN)
        ]
        assert verdicts[-1] is verdict


def test_a_canary_that_was_fine_and_gets_worse_is_found() -> None:
    """Better than stable until the plan is over, and five points worse after it."""
    generator = np.random.default_rng(10)
    fine = 0
    for _ in range(20):
        seen = simulated(generator, 100, 0.09, 6) + simulated(generator, 100, 0.15, 30)
        verdicts = [judgement.verdict(each, METRIC.margin) for each in windows.follow(seen, DESIGN)]
        if verdicts[5] is Verdict.FINE:
            fine += 1
            assert verdicts[-1] is Verdict.WORSE
    assert fine > 10


def test_a_share_that_grows_when_the_day_gets_harder_rolls_nothing_back() -> None:
    """From 10% to 50% of the traffic, from 10% to 15% wrong answers of both."""
    generator = np.random.default_rng(9)
    ours = theirs = 0
    for _ in range(400):
        seen = []
        for n, rate in [(100, 0.10)] * 8 + [(500, 0.15)] * 12:
            wrong, other = generator.binomial((n, 1000 - n), rate)
            seen.append(windows.Window(n, int(wrong), 1000 - n, int(other)))
        ours += rolled_back(seen)
        pooled = windows.Window(*map(sum, zip(*seen, strict=True)))
        theirs += windows.follow([pooled], DESIGN)[-1].worse
    assert ours / 400 <= 0.05
    assert theirs / 400 > 0.9

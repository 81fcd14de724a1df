"""What answers and counts mean for each kind of metric."""

from __future__ import annotations

import math
from typing import Any

import pytest

from calumma.canary.counts import Sides
from calumma.load.pairs import Pair
from calumma.monitoring.counting import Counts
from calumma.rollout import policy, state
from calumma.rollout.sources import tallies
from calumma.rollout.sources.tallies import Judged
from calumma.scoring import cases

CORRECT = policy.Correct(kind="correct", name="correct", margin=0.05)
SEVENS = policy.Correct(kind="correct", name="sevens", margin=0.05, labels=("7",))
AGREEMENT = policy.Agreement(kind="agreement", name="agreement", at_least=0.9)
LATENCY = policy.Latency(kind="latency", name="latency", margin=0.2)
ERRORS = policy.Errors(kind="errors", name="errors", margin=0.01)
VALUE = policy.Value(
    kind="value",
    name="value",
    margin=0.1,
    missed={"7": 100.0},
    falseAlarm={"1": 3.0},
    other=0.5,
)


def answer(truth: str | None, label: str | None, ms: float) -> cases.Answer:
    case = cases.Case(f"{truth} {label}", b"image", truth)
    failure = None if label else "status 503"
    return cases.Answer(case, label, 0.9 if label else None, ms / 1000, "r", failure)


def pair(
    truth: str | None, stable: str | None, canary: str | None, ms: tuple[float, float] = (10, 20)
) -> Pair:
    return Pair(answer(truth, stable, ms[0]), answer(truth, canary, ms[1]))


PAIRS = [
    pair("7", "7", "7", (12.34, 99.6)),
    pair("7", "7", "1", (12.44, 1234)),
    pair("1", "7", "1", (0.0123, 99.6)),
    pair("1", "1", None, (12.0, 5.0)),
    pair(None, "3", "3"),
    pair("2", "3", "4"),
]


def test_pairs_are_counted_by_what_each_metric_asks() -> None:
    found = tallies.of_pairs([CORRECT, SEVENS, AGREEMENT, ERRORS], PAIRS, 0)
    assert found == {
        "correct": state.Tally(pairs=(1, 1, 2, 1)),  # a failed request is wrong
        "sevens": state.Tally(pairs=(1, 0, 1, 0)),
        "agreement": state.Tally(agreed=(2, 6)),  # and agrees with nothing
    }


def test_latencies_have_two_digits_and_failed_requests_none() -> None:
    found = tallies.of_pairs([LATENCY], PAIRS, 0)["latency"]
    assert found.times == {"100": 2, "1200": 1, "20": 2}
    assert found.other_times == {"12": 3, "0.012": 1, "10": 2}


@pytest.mark.parametrize(
    ("truth", "label", "cost"),
    [
        ("7", "7", 0.0),
        ("7", "1", 103.0),
        ("7", "2", 100.0),
        ("2", "1", 3.0),
        ("2", "3", 0.5),
        ("7", None, 0.5),
    ],
)
def test_an_answer_costs_what_it_misses_and_what_it_says(
    truth: str, label: str | None, cost: float
) -> None:
    assert tallies.cost(VALUE, Judged(truth, label)) == cost


def test_costs_are_moments_of_both_sides() -> None:
    (found,) = tallies.of_pairs([VALUE], PAIRS, 3)["value"].moments
    assert (found.step, found.n, found.total, found.squares) == (3, 5, 104.0, 103.0**2 + 0.5)
    assert (found.other_n, found.other_total, found.other_squares) == (5, 1.0, 0.5)


def test_nothing_new_adds_nothing() -> None:
    metrics: list[policy.Metric] = [CORRECT, AGREEMENT, LATENCY, VALUE, ERRORS]
    assert tallies.of_pairs(metrics, [], 0) == {}
    assert tallies.of_requests(metrics, Sides([Counts()], [Counts()]), 0) == {}
    assert tallies.of_feedback(metrics, {}) == {}
    unlabelled = tallies.of_pairs([CORRECT, VALUE], [pair(None, "3", "3")], 0)
    assert unlabelled == {}


def test_requests_are_windows_over_all_components_that_are_rolled_out() -> None:
    slow = policy.Slow(kind="slow", name="slow", margin=0.05, milliseconds=60)
    beyond = policy.Slow(kind="slow", name="beyond", margin=0.05, milliseconds=6000)
    stable = Counts(100, 1, {50.0: 90, 100.0: 99, math.inf: 100})
    canary = Counts(10, 2, {50.0: 1, 100.0: 4, math.inf: 9})
    found = tallies.of_requests([ERRORS, slow, beyond], Sides([stable, stable], [canary]), 2)
    window: dict[str, Any] = {"step": 2, "n": 10, "events": 2, "other_n": 200, "other_events": 2}
    assert found["errors"].windows == (state.Window(**window),)
    assert found["slow"].windows == (state.Window(**{**window, "n": 9, "events": 5}),)
    assert "beyond" not in found


def test_feedback_has_a_window_for_each_step_of_its_requests() -> None:
    by_feedback = policy.Correct(kind="correct", name="f", margin=0.1, source="feedback")
    value = VALUE.model_copy(update={"source": "feedback"})
    answers = {
        1: Sides([Judged("7", "7"), Judged("7", "1")], [Judged("7", "2")]),
        0: Sides([Judged("1", "1")], [Judged("1", "1")]),
    }
    found = tallies.of_feedback([by_feedback, CORRECT, value], answers)
    assert [(w.step, w.n, w.events, w.other_n, w.other_events) for w in found["f"].windows] == [
        (0, 1, 0, 1, 0),
        (1, 1, 1, 2, 1),
    ]
    assert [(m.total, m.other_total) for m in found["value"].moments] == [
        (0.0, 0.0),
        (100.0, 103.0),
    ]
    assert "correct" not in found

"""Gates: three-valued, by the whole interval, and nothing passes without data."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calumma.scoring import gates, metrics
from calumma.scoring.gates import Bound, Gate, Verdict

PASS, FAIL, INCONCLUSIVE = Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE


@pytest.mark.parametrize(
    ("count", "n", "bound", "threshold", "verdict", "because"),
    [
        (95, 100, Bound.AT_LEAST, 0.85, PASS, "all of it at least 0.850"),
        (60, 100, Bound.AT_LEAST, 0.85, FAIL, "all of it below 0.850"),
        (88, 100, Bound.AT_LEAST, 0.85, INCONCLUSIVE, "on both sides of 0.850"),
        (0, 100, Bound.AT_MOST, 0.05, PASS, "all of it at most 0.050"),
        (50, 100, Bound.AT_MOST, 0.05, FAIL, "all of it above 0.050"),
        (4, 100, Bound.AT_MOST, 0.05, INCONCLUSIVE, "on both sides of 0.050"),
        (103, 1000, Bound.EQUAL_TO, 0.10, PASS, "agrees with 0.100"),
        (300, 1000, Bound.EQUAL_TO, 0.10, INCONCLUSIVE, "does not agree with 0.100"),
    ],
)
def test_a_gate_looks_at_the_whole_interval(
    count: int, n: int, bound: Bound, threshold: float, verdict: Verdict, because: str
) -> None:
    decision = gates.judge(
        [Gate("accuracy", bound, threshold)], [metrics.proportion("accuracy", count, n)]
    )
    (ruling,) = decision.rulings
    assert (decision.verdict, ruling.verdict) == (verdict, verdict)
    assert because in ruling.reason
    assert f"accuracy is {count / n:.3f}" in ruling.reason and f"n = {n}" in ruling.reason


def test_too_few_observations_decide_nothing() -> None:
    gate = Gate("accuracy", Bound.AT_LEAST, 0.5, minimum=50)
    (ruling,) = gates.judge([gate], [metrics.proportion("accuracy", 49, 49)]).rulings
    assert ruling.verdict is INCONCLUSIVE
    assert ruling.reason == "accuracy rests on 49 observations, and 50 are needed"
    assert gates.judge([gate], [metrics.proportion("accuracy", 50, 50)]).verdict is PASS


@given(st.floats(-1, 1), st.sampled_from(list(Bound)), st.integers(0, 3))
def test_an_empty_set_never_passes(threshold: float, bound: Bound, minimum: int) -> None:
    gate = Gate("accuracy", bound, threshold, minimum)
    assert gates.judge([gate], [metrics.accuracy([])]).verdict is INCONCLUSIVE
    assert gates.judge([gate], []).verdict is INCONCLUSIVE


def test_all_requests_failing_fails() -> None:
    gate = Gate("accuracy", Bound.AT_LEAST, 0.85)
    assert gates.judge([gate], [metrics.proportion("accuracy", 0, 100)]).verdict is FAIL


def test_the_verdict_follows_from_the_worst_ruling_and_says_why() -> None:
    measured = [metrics.proportion(name, k, 100) for name, k in [("a", 99), ("b", 85), ("c", 10)]]
    a, b, c = (Gate(name, Bound.AT_LEAST, 0.85) for name in "abc")
    assert gates.judge([a], measured).sentence == "pass: all 1 gates passed"
    unsure = gates.judge([a, b], measured)
    assert unsure.verdict is INCONCLUSIVE
    assert unsure.sentence.startswith("inconclusive: b is 0.850 (95% interval 0.767 to 0.907")
    failed = gates.judge([a, b, c], measured)
    assert failed.verdict is FAIL
    assert failed.sentence.startswith("fail: c is 0.100")
    assert [ruling.verdict for ruling in failed.rulings] == [PASS, INCONCLUSIVE, FAIL]


def test_without_gates_nothing_was_decided() -> None:
    decision = gates.judge([], [metrics.proportion("accuracy", 100, 100)])
    assert decision.verdict is INCONCLUSIVE and "no gate" in decision.sentence


def test_a_change_gate_allows_the_margin_and_no_more() -> None:
    stable = metrics.proportion("accuracy of stable", 950, 1000)
    gate = Gate("canary minus stable", Bound.AT_LEAST, -0.05)
    verdicts = []
    for count in (950, 910, 700):
        canary = metrics.proportion("accuracy of canary", count, 1000)
        change = metrics.difference("canary minus stable", canary, stable)
        verdicts.append(gates.judge([gate], [change]).verdict)
    assert verdicts == [PASS, INCONCLUSIVE, FAIL]

"""Readings: each kind of metric, no verdict on no data, and what is said of it."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from calumma import errors
from calumma.rollout import judgement, policy, state
from calumma.rollout.state import Moments, Tally, Verdict, Window

ACCURACY = policy.Correct(kind="correct", name="accuracy", margin=0.03, planned=600)
LABELS = ACCURACY.model_copy(update={"source": "feedback"})
ERRORS = policy.Errors(kind="errors", name="errors", margin=0.01, planned=2000)
SLOW = policy.Slow(kind="slow", name="slow", margin=0.02, milliseconds=250)
P95 = policy.Latency(kind="latency", name="p95", margin=0.2)
AGREEMENT = policy.Agreement(kind="agreement", name="agreement", at_least=0.9)
COST = policy.Value(
    kind="value", name="cost", margin=0.05, missed={"a": 10.0, "b": 2.0}, other=1.0, planned=500
)
METRICS = (ACCURACY, LABELS, ERRORS, SLOW, P95, AGREEMENT, COST)


def windows(*counts: tuple[int, int, int, int], step: int = 0) -> Tally:
    names = ("n", "events", "other_n", "other_events")
    return Tally(
        windows=tuple(Window(step=step, **dict(zip(names, each, strict=True))) for each in counts)
    )


def times(generator: np.random.Generator, scale: float, n: int) -> dict[str, int]:
    return dict(Counter(f"{float(f'{x:.2g}'):g}" for x in generator.gamma(5, scale, n)))


def moments(mean: float, other: float) -> Tally:
    arms = {"total": 600 * mean, "squares": 6000 * mean}
    others = {"other_total": 5400 * other, "other_squares": 54000 * other}
    return Tally(moments=(Moments(step=0, n=600, **arms, other_n=5400, **others),))


def paired(*counts: int) -> Tally:
    both, ours, theirs, neither = counts
    return judgement.add(Tally(), Tally(pairs=(both, ours, theirs, neither)))


GENERATOR = np.random.default_rng(1)


@pytest.mark.parametrize(
    ("metric", "tally", "verdict", "said"),
    [
        (ACCURACY, paired(500, 10, 52, 40), "worse", "share of wrong answers is 6.98 points hi"),
        (ACCURACY, paired(540, 12, 10, 40), "not worse", "0.917 against 0.914 of stable"),
        (ACCURACY, paired(50, 2, 3, 4), "unclear", "59 observations against 59, margin 3 points"),
        (LABELS, windows((600, 96, 5400, 540)), "worse", "0.840 against 0.900 of stable"),
        (ERRORS, windows((2000, 4, 18000, 36)), "not worse", "0.20% against 0.20% of stable"),
        (ERRORS, windows((200, 8, 1800, 4)), "unclear", "share of errors is 3.78 points higher"),
        (ERRORS, windows((2000, 30, 18000, 36)), "worse", "share of errors is 1.3 points higher"),
        (SLOW, windows((2000, 200, 2000, 80)), "worse", "requests slower than 250 ms is 6 points"),
        (
            P95,
            Tally(times=times(GENERATOR, 14, 3000), other_times=times(GENERATOR, 10, 3000)),
            "worse",
            "95th percentile is",
        ),
        (
            P95,
            Tally(times=times(GENERATOR, 10, 3000), other_times=times(GENERATOR, 10, 3000)),
            "not worse",
            "margin 20% of stable's",
        ),
        (P95, Tally(times={"80": 9}, other_times={"80": 9}), "unclear", "too few pairs for bounds"),
        (AGREEMENT, Tally(agreed=(960, 1000)), "not worse", "0.960 of 1000 pairs"),
        (AGREEMENT, Tally(agreed=(800, 1000)), "worse", "too seldom"),
        (AGREEMENT, Tally(agreed=(19, 20)), "unclear", "where 0.9 is demanded: unclear"),
        (COST, moments(2.0, 0.5), "worse", "2 EUR an answer against 0.5"),
        (COST, moments(0.5, 0.5), "not worse", "margin 0.5 EUR"),
    ],
)
def test_a_verdict_and_its_sentence(
    metric: policy.Metric, tally: Tally, verdict: str, said: str
) -> None:
    found = judgement.read(metric, tally, 0.05)
    assert found.verdict == verdict
    assert said in found.sentence
    assert found.sentence.startswith(f"{metric.name}: ")
    assert found.low <= (found.estimate or 0) <= found.high
    assert state.Reading.model_validate_json(found.model_dump_json()) == found


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    "tally",
    [
        Tally(),
        windows((0, 0, 500, 3), (0, 0, 40, 0)),
        windows((500, 400, 0, 0)),
        Tally(times={"10": 500}),
        Tally(other_times={"10": 500}),
    ],
)
def test_there_is_no_verdict_on_no_data(metric: policy.Metric, tally: Tally) -> None:
    found = judgement.read(metric, tally, 0.05)
    assert found.verdict is Verdict.UNCLEAR
    assert found.value is None
    assert "unclear, as " in found.sentence
    assert not judgement.better(found)
    assert state.Reading.model_validate_json(found.model_dump_json()) == found


def test_worse_by_less_than_the_margin_is_tolerated() -> None:
    """Half a point worse beyond doubt, and two points are allowed."""
    found = judgement.read(SLOW, windows((200000, 2000, 200000, 1000)), 0.05)
    assert found.verdict is Verdict.FINE
    assert found.low > 0
    assert "worse, but by less than the margin" in found.sentence


def test_better_is_below_zero() -> None:
    found = judgement.read(LABELS, windows((600, 30, 600, 90)), 0.05)
    assert judgement.better(found)
    assert not judgement.better(judgement.read(LABELS, windows((60, 3, 60, 9)), 0.05))
    assert not judgement.better(judgement.read(AGREEMENT, Tally(agreed=(999, 1000)), 0.05))


def test_alpha_is_divided_and_reports_say_so() -> None:
    document = policy.Policy.model_validate(
        {
            "service": "digits",
            "steps": [{"weight": 10}],
            "metrics": [
                {"kind": "errors", "name": "errors", "margin": 0.01},
                {"kind": "slow", "name": "slow", "margin": 0.01, "milliseconds": 250.0},
            ],
        },
        strict=False,
    )
    assert judgement.alphas(document) == {"errors": 0.025, "slow": 0.025}
    assert "0.025 for each of the 2 metrics errors, slow" in judgement.division(document)
    one = document.model_copy(update={"metrics": document.metrics[:1]})
    assert judgement.division(one).endswith("with a chance of at most 0.05")


@pytest.mark.parametrize("metric", METRICS)
def test_an_impossible_alpha_gets_a_sentence(metric: policy.Metric) -> None:
    with pytest.raises(errors.EvaluationError, match=f"the metric {metric.name}: an alpha of 0.7"):
        judgement.read(metric, Tally(), 0.7)


def test_a_margin_that_no_canary_can_be_shown_to_keep_gets_a_sentence() -> None:
    tight = ERRORS.model_copy(update={"margin": 0.01, "planned": 100})
    found = judgement.impossible(tight, 0.05)
    assert found is not None
    assert "plan at least 286" in found
    enough = tight.model_copy(update={"planned": 286})
    assert judgement.impossible(enough, 0.05) is None
    perfect = judgement.read(enough, windows((286, 0, 10**9, 0)), 0.05)
    assert perfect.verdict is Verdict.FINE
    for metric in (P95, AGREEMENT, tight.model_copy(update={"planned": None})):
        assert judgement.impossible(metric, 0.05) is None


def test_prices_of_nothing_get_a_sentence() -> None:
    free = policy.Value(kind="value", name="cost", margin=0.05)
    with pytest.raises(
        errors.EvaluationError, match="all mistakes of the metric cost cost nothing"
    ):
        judgement.read(free, Tally(), 0.05)


def test_what_comes_is_added() -> None:
    first = Tally(pairs=(5, 1, 0, 2), agreed=(6, 8), times={"10": 3}, other_times={"12": 1})
    both = judgement.add(judgement.add(Tally(), first), first)
    assert both.pairs == (10, 2, 0, 4)
    assert both.pair_looks == (first.pairs, first.pairs)
    assert both.agreed == (12, 16)
    assert both.times == {"10": 6}
    assert judgement.add(both, Tally()) == both
    assert judgement.add(both, windows((0, 0, 0, 0))) == both
    assert Tally.model_validate_json(both.model_dump_json()) == both


def test_a_window_stays_open_until_both_arms_are_in_it() -> None:
    found = Tally()
    for counts in ((0, 0, 9, 1), (0, 0, 9, 2), (1, 1, 0, 0), (2, 0, 7, 0)):
        found = judgement.add(found, windows(counts))
    assert found.windows == windows((1, 1, 18, 3), (2, 0, 7, 0)).windows
    found = judgement.add(found, windows((0, 0, 9, 1)))
    found = judgement.add(found, windows((4, 0, 4, 0), step=1))
    assert [each.step for each in found.windows] == [0, 0, 0, 1]


def test_the_split_of_requests() -> None:
    found = judgement.split([(0, 0, 50), (10, 101, 899), (50, 480, 520)])
    assert found.n == 2000
    assert found.declared == pytest.approx(0.3)
    assert not found.mismatch
    assert "as chance would have it" in found.sentence
    found = judgement.split([(10, 200, 800)])
    assert found.mismatch
    assert found.sentence.startswith("the canary got 20.00% of 1000 requests, where 10.00%")
    assert judgement.split([(0, 3, 50)]).declared is None

"""Calibration: what is found on models whose calibration is known."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from calumma import errors
from calumma.scoring import calibration, cases, figures, sampling

from .conftest import Make


def model(make: Make, n: int, off: float, seed: int = 0) -> sampling.Sample:
    """Answers that are right as often as they are sure, less ``off``."""
    generator = np.random.default_rng(seed)
    sure = 1 - 0.7 * generator.beta(1, 8, n)
    right = generator.random(n) < np.clip(sure - off, 0, 1)
    answers = [
        make("1", "1" if hit else "2", confidence=float(each))
        for each, hit in zip(sure, right, strict=True)
    ]
    return sampling.of(answers, sampling.Plan())


def test_a_calibrated_model_is_not_accused(make: Make) -> None:
    ece, chance, debiased = calibration.errors_of(calibration.scored(model(make, 600, 0.0)), seed=0)
    assert ece.value is not None and ece.interval is not None and chance.interval is not None
    assert 0.005 < ece.value < 0.06  # the bias
    assert ece.interval.low == 0 and chance.interval.low < ece.value < chance.interval.high
    assert debiased.interval is not None and debiased.interval.low == 0
    assert ece.n == 600


def test_a_sure_model_that_is_wrong_is(make: Make) -> None:
    ece, chance, debiased = calibration.errors_of(calibration.scored(model(make, 600, 0.2)), seed=0)
    assert ece.interval is not None and chance.interval is not None
    assert ece.interval.low > chance.interval.high
    assert ece.interval.low < 0.2 < ece.interval.high
    assert debiased.value == pytest.approx(0.2, abs=0.05)


@pytest.mark.parametrize("off", [0.0, 0.03, 0.1])
def test_the_intervals_hold_the_true_error(make: Make, off: float) -> None:
    held = debiased_held = 0
    for seed in range(40):
        sample = model(make, 300, off, seed)
        ece, _, debiased = calibration.errors_of(calibration.scored(sample), seed=seed)
        assert ece.interval is not None and debiased.interval is not None
        held += ece.interval.low <= off + 0.002 and off - 0.002 <= ece.interval.high
        debiased_held += debiased.interval.low <= off + 0.002 <= debiased.interval.high + 0.004
    assert held >= 35 and debiased_held >= 35


def test_too_few_answers_have_no_error(make: Make) -> None:
    for metric in calibration.errors_of(calibration.scored(model(make, 15, 0)), seed=0):
        assert (metric.value, metric.interval, metric.n) == (None, None, 15)
    empty = calibration.scored(sampling.of([], sampling.Plan()))
    assert calibration.reliability(empty) == []
    assert figures.reliability([], empty)[:4] == b"\x89PNG"


def test_bins_hold_equally_many_answers(make: Make) -> None:
    found = calibration.scored(model(make, 205, 0.1))
    bins = calibration.reliability(found)
    sizes = [each.accuracy.n for each in bins]
    assert len(bins) == 10 and sum(sizes) == 205 and set(sizes) == {20, 21}
    assert [each.confidence for each in bins] == sorted(each.confidence for each in bins)
    first, second = figures.reliability(bins, found), figures.reliability(bins, found)
    assert first == second and first[:4] == b"\x89PNG"


def probable(make: Make, true: str, *probabilities: float) -> cases.Answer:
    said = "abc"[int(np.argmax(probabilities))]
    answer = make(true, said, confidence=max(probabilities))
    return dataclasses.replace(answer, probabilities=probabilities)


def test_brier_and_log_loss_are_those_of_the_definition(make: Make) -> None:
    answers = [probable(make, "a", 0.7, 0.2, 0.1), probable(make, "c", 0.5, 0.5, 0.0)]
    sample = sampling.of([*answers, make("b", None, failure="timeout")], sampling.Plan())
    brier, loss = calibration.losses(sample, ["a", "b", "c"], seed=0)
    assert brier.value == pytest.approx((0.09 + 0.04 + 0.01 + 0.25 + 0.25 + 1) / 2)
    assert loss.value == pytest.approx(-(np.log(0.7) + np.log(1e-12)) / 2)
    assert (brier.n, loss.n) == (2, 2)
    assert calibration.losses(sampling.of([], sampling.Plan()), ["a"], seed=0)[0].value is None


@pytest.mark.parametrize("classes", [["b", "a", "c"], ["a", "b"], ["x", "y", "z"]])
def test_probabilities_of_other_classes_are_refused(make: Make, classes: list[str]) -> None:
    with pytest.raises(errors.EvaluationError, match="must be the model's own, in its order"):
        calibration.require_classes("a", (0.7, 0.2, 0.1), classes)

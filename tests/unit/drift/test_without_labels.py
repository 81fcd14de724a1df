"""What is said of the answers while nobody has labelled them: accuracy, mix of classes, flags."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from calumma import errors
from calumma.drift import calibration, label_shift, novelty, performance
from calumma.drift.detection import Values


def answers(
    generator: np.random.Generator, n: int, *, harder: float = 0.0, wrong: float = 0.0
) -> tuple[Values, NDArray[np.bool_]]:
    """The probabilities of an over-confident model, and which answers are right.

    ``harder`` moves the images (covariate shift); ``wrong`` is the share of right answers that
    have become wrong although the images are the same (concept drift).
    """
    ease = generator.normal(size=n) + 1.5 - harder
    right = generator.uniform(size=n) < (1 - wrong) / (1 + np.exp(-1.2 * ease))
    return 0.1 + 0.9 / (1 + np.exp(-2.0 * ease)), right


def holds(seed: int, *, harder: float, wrong: float) -> bool:
    """Whether the estimate's interval holds the accuracy that labels show."""
    generator = np.random.default_rng(seed)
    estimator = performance.Estimator(*answers(generator, 300), seed=seed)
    confidence, right = answers(generator, 200, harder=harder, wrong=wrong)
    found = estimator.estimate("a", performance.Current(confidence, np.zeros(200, bool)))
    assert found.interval is not None
    return bool(found.interval.low <= right.mean() <= found.interval.high)


def test_the_estimate_holds_under_covariate_shift() -> None:
    missed = sum(not holds(seed, harder=1.0, wrong=0.0) for seed in range(60))
    assert missed <= stats.binom.ppf(0.999, 60, 0.06)


def test_the_estimate_knows_nothing_of_concept_drift() -> None:
    assert sum(holds(seed, harder=0.0, wrong=0.3) for seed in range(20)) <= 4


def test_what_is_unlike_the_reference_may_be_right_or_wrong() -> None:
    generator = np.random.default_rng(0)
    estimator = performance.Estimator(*answers(generator, 300), seed=0)
    confidence, _ = answers(generator, 100)
    unlike = np.arange(100) < 40
    found = estimator.estimate("a", performance.Current(confidence, unlike))
    assert found.interval is not None
    assert found.interval.low < 0.6 and found.interval.high > 0.85
    assert found.interval.high - found.interval.low > 0.4


def test_a_failed_request_is_not_right() -> None:
    generator = np.random.default_rng(0)
    estimator = performance.Estimator(*answers(generator, 300), seed=0)
    confidence, _ = answers(generator, 100)
    none = np.zeros(100, bool)
    whole = estimator.estimate("a", performance.Current(confidence, none))
    half = estimator.estimate("a", performance.Current(confidence, none, failed=100))
    assert half.n == 200
    assert half.value == pytest.approx((whole.value or 0) / 2)
    nothing = estimator.estimate("a", performance.Current(confidence[:0], none[:0]))
    assert (nothing.value, nothing.n, nothing.interval) == (None, 0, None)


def test_a_calibration_that_fails_is_not_trusted() -> None:
    """The middle probabilities are right least often: no rising curve can say that."""
    generator = np.random.default_rng(1)
    confidence = generator.uniform(0.1, 1, size=600)
    right = generator.uniform(size=600) < np.where(np.abs(confidence - 0.55) < 0.15, 0.1, 0.9)
    estimator = performance.Estimator(confidence, right, seed=0)
    assert estimator.reason is not None and "calibration failed" in estimator.reason
    found = estimator.estimate("a", performance.Current(confidence, np.zeros(600, bool)))
    assert found.interval == (0, 1)


def test_a_good_calibration_is_seldom_doubted() -> None:
    doubted = sum(
        performance.Estimator(*answers(np.random.default_rng(seed), 200), seed=seed).reason
        is not None
        for seed in range(60)
    )
    assert doubted <= stats.binom.ppf(0.999, 60, performance.DOUBT)


def test_few_labels_are_not_trusted_and_very_few_are_refused() -> None:
    generator = np.random.default_rng(2)
    assert "only 30 reference images" in str(
        performance.Estimator(*answers(generator, 30), seed=0).reason
    )
    with pytest.raises(errors.EvaluationError, match="at least 10"):
        performance.Estimator(*answers(generator, 5), seed=0)


def test_both_maps_find_the_chance_and_no_answer_is_certain() -> None:
    generator = np.random.default_rng(3)
    confidence, right = answers(generator, 5000)
    outcome = right.astype(float)[None]
    for fit in calibration.METHODS.values():
        found = fit(confidence, outcome, np.ones((1, 5000)))(confidence)[0]
        assert found.mean() == pytest.approx(right.mean(), abs=0.01)
        assert np.abs(found - right).mean() < 0.4
        sure = fit(confidence, np.ones((1, 5000)), np.ones((1, 5000)))(confidence)
        assert sure.min() > 0.9 and sure.max() < 1


def test_the_mix_of_classes_is_found_and_intervals_hold_it() -> None:
    now = np.array([0.6, 0.3, 0.1])
    missed = 0
    for seed in range(40):
        generator = np.random.default_rng(seed)
        true = generator.integers(3, size=400)
        current = generator.choice(3, size=300, p=now)
        said, asked = (
            np.where(generator.uniform(size=x.size) < 0.8, x, (x + 1) % 3) for x in (true, current)
        )
        found = label_shift.estimate(
            *([str(value) for value in each] for each in (true, said, asked)), seed=seed
        )
        assert found.reason is None
        truths = [*now, 0.8]
        for metric, truth in zip((*found.shares, found.accuracy), truths, strict=True):
            assert metric.interval is not None
            missed += not metric.interval.low <= truth <= metric.interval.high
    assert missed <= stats.binom.ppf(0.999, 160, 0.06)


def test_a_model_that_cannot_tell_classes_apart_says_nothing_of_their_mix() -> None:
    true = ["a", "b"] * 100
    found = label_shift.estimate(true, ["a"] * 200, ["a"] * 50, seed=0)
    assert found.reason is not None and "nearly singular" in found.reason
    assert {metric.interval for metric in (*found.shares, found.accuracy)} == {(0.0, 1.0)}
    unknown = label_shift.estimate(true, true, ["c"] * 50, seed=0)
    assert unknown.reason is not None and "no class of the reference" in unknown.reason
    strange = label_shift.estimate(true, true, ["a"] * 50, seed=0, unlike=10)
    assert strange.reason is not None and strange.reason.startswith("20% of the current images")


def usual(generator: np.random.Generator, n: int, moved: float = 0.0) -> novelty.Inputs:
    return novelty.Inputs(generator.normal(size=(n, 5)) + moved, generator.beta(8, 1, size=n))


def test_usual_inputs_are_flagged_no_more_often_than_promised() -> None:
    shares, any_named = [], 0
    for seed in range(300):
        generator = np.random.default_rng(seed)
        bank = novelty.Bank(usual(generator, 60))
        found = novelty.flag(bank, usual(generator, 60), usual(generator, 40), alpha=0.1)
        shares.append(found.unusual.mean())
        any_named += bool(found.outside.any())
    assert np.mean(shares) <= 0.1 + 3 * np.std(shares) / np.sqrt(len(shares))
    assert any_named <= stats.binom.ppf(0.999, 300, 0.1)


def test_inputs_from_elsewhere_are_named_also_when_the_model_is_sure() -> None:
    generator = np.random.default_rng(0)
    bank = novelty.Bank(usual(generator, 100))
    strange = novelty.Inputs(generator.normal(size=(20, 5)) + 8, np.full(20, 0.999999))
    mixed = novelty.Inputs(
        np.concatenate([usual(generator, 30).embedding, strange.embedding]),
        np.concatenate([np.full(30, 0.9), strange.confidence]),
    )
    found = novelty.flag(bank, usual(generator, 100), mixed, alpha=0.05)
    assert found.outside[30:].all()
    unusual, outside = found.metrics
    assert (unusual.n, outside.n) == (50, 50)
    assert (outside.count or 0) >= 20


def test_the_procedure_of_benjamini_and_hochberg() -> None:
    p_values = np.array([0.01, 0.02, 0.03, 0.9])
    assert novelty.benjamini_hochberg(p_values, 0.04).tolist() == [True, True, True, False]
    assert not novelty.benjamini_hochberg(p_values, 0.02).any()

"""Every detector keeps its promise without drift, and sees a drift that is plain.

The promise is a bound on a probability, so the tests count false alarms in seeded runs: a count
that a detector which keeps its promise would exceed once in a thousand times fails. The full
measurement, with more runs and power curves, is ``benchmarks/drift.py``.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from calumma import errors
from calumma.drift import categories, classifier, detection, kernel, kolmogorov, martingale
from calumma.drift.detection import Detection, Values

RUNS, ALPHA = 300, 0.05
Samples = tuple[Values, Values]
Detector = Callable[[Samples, int], Detection]


def drawn(seed: int, n: int, m: int, shift: float = 0.0) -> Samples:
    """Two samples of vectors with six numbers, the second moved."""
    generator = np.random.default_rng(seed)
    return generator.normal(size=(n, 6)), generator.normal(size=(m, 6)) + shift


def columns(sample: Values) -> dict[str, Values]:
    return {f"number {place}": column for place, column in enumerate(sample.T)}


def labels(sample: Values) -> list[str]:
    """Classes of different frequency, which a shift changes."""
    return [str(int(value)) for value in np.clip(np.floor(sample[:, 0] + 3), 0, 5)]


DETECTORS: dict[str, Detector] = {
    "ks": lambda pair, _: kolmogorov.tests("ks", *map(columns, pair), alpha=ALPHA),
    "mmd": lambda pair, seed: kernel.test("mmd", *pair, alpha=ALPHA, seed=seed, permutations=99),
    "classifier": lambda pair, seed: classifier.test(
        "classifier", *pair, alpha=ALPHA, seed=seed, permutations=99
    ),
    "labels": lambda pair, seed: categories.test(
        "labels", *map(labels, pair), alpha=ALPHA, seed=seed, permutations=199
    ),
    "online": lambda pair, seed: martingale.test(
        "online", *map(columns, pair), alpha=ALPHA, seed=seed
    )[0],
}


@pytest.mark.parametrize("name", DETECTORS)
def test_false_alarms_are_at_most_what_was_promised(name: str) -> None:
    found = [DETECTORS[name](drawn(seed, 50, 35), seed).p_value for seed in range(RUNS)]
    for alpha in (0.05, 0.2):
        alarms = sum(value <= alpha for value in found)
        assert alarms <= stats.binom.ppf(0.999, RUNS, alpha), f"{alarms} of {RUNS} at {alpha}"


@pytest.mark.parametrize("name", DETECTORS)
def test_a_plain_drift_is_found_nearly_always(name: str) -> None:
    seen = [DETECTORS[name](drawn(seed, 80, 80, shift=1.0), seed).alarm for seed in range(50)]
    assert sum(seen) > 45


@pytest.mark.parametrize("name", DETECTORS)
def test_a_side_that_is_too_small_is_a_sentence(name: str) -> None:
    with pytest.raises(errors.EvaluationError, match="it needs at least"):
        DETECTORS[name](drawn(0, 50, 0), 0)


@pytest.mark.parametrize("name", DETECTORS)
def test_the_same_seed_gives_the_same_finding(name: str) -> None:
    pair = drawn(1, 40, 40, shift=0.3)
    assert DETECTORS[name](pair, 7) == DETECTORS[name](pair, 7)


def test_the_permutation_test_agrees_with_all_permutations() -> None:
    """With 3 + 3 images there are 20 labellings: the observed one is the most extreme of two."""
    pair = np.array([[0.0], [0.1], [0.2]]), np.array([[5.0], [5.1], [5.2]])
    found = kernel.test("mmd", *pair, alpha=0.05, seed=0, permutations=4999)
    assert found.p_value == pytest.approx(0.1, abs=0.015)


def test_the_discrepancy_is_its_definition() -> None:
    x, y = drawn(3, 7, 5, shift=0.5)
    rows = np.concatenate([x, y])
    squared = ((rows[:, None] - rows[None]) ** 2).sum(axis=2)
    width = np.median(np.sqrt(squared[np.triu_indices(12, 1)]))
    similar = np.exp(-squared / (2 * width**2))
    inside = similar[:7, :7][~np.eye(7, dtype=bool)].mean()
    outside = similar[7:, 7:][~np.eye(5, dtype=bool)].mean()
    expected = inside + outside - 2 * similar[:7, 7:].mean()
    found = kernel.test("mmd", x, y, alpha=0.05, seed=0, permutations=99)
    assert found.effect.value == pytest.approx(expected)


def test_intervals_of_effects_hold_the_truth() -> None:
    """Largest distance of two normal distributions; area under the curve; discrepancy 0."""
    shift = 0.8
    distance = 2 * stats.norm.cdf(shift / 2) - 1
    area = stats.norm.cdf(shift / np.sqrt(2))
    missed = {"distance": 0, "area": 0, "discrepancy": 0}
    for seed in range(100):
        x, y = (sample[:, :1] for sample in drawn(seed, 100, 80, shift))
        still = drawn(1000 + seed, 40, 40)
        for name, truth, effect in (
            ("distance", distance, kolmogorov.test("d", x[:, 0], y[:, 0], alpha=0.05).effect),
            ("area", area, classifier.test("c", x, y, alpha=0.05, seed=0).effect),
            (
                "discrepancy",
                0.0,
                kernel.test("k", *still, alpha=0.05, seed=0, permutations=99).effect,
            ),
        ):
            assert effect.interval is not None
            missed[name] += not effect.interval.low <= truth <= effect.interval.high
    assert max(missed.values()) <= stats.binom.ppf(0.999, 100, 0.05)


@pytest.mark.parametrize(("value", "n", "m"), [(0.0, 5, 9), (0.5, 20, 30), (1.0, 8, 8)])
def test_the_interval_of_an_area_is_never_a_point(value: float, n: int, m: int) -> None:
    low, high = classifier.interval(value, n, m)
    assert 0 <= low <= value <= high <= 1
    assert high - low > 0.1


def test_equal_values_make_no_alarm() -> None:
    same = np.ones(50)
    assert kolmogorov.test("size", same, same, alpha=0.05).p_value == 1
    vectors = np.ones((20, 3))
    assert kernel.test("v", vectors, vectors, alpha=0.05, seed=0, permutations=99).p_value == 1
    assert categories.test("l", ["a"] * 9, ["a"] * 9, alpha=0.05, seed=0).p_value == 1


def test_a_label_that_is_new_is_the_largest_change() -> None:
    found = categories.test("labels", ["a"] * 40, ["a"] * 30 + ["b"] * 10, alpha=0.05, seed=0)
    assert found.alarm
    assert found.effect.name == "change of the share of label b" or found.effect.value == -0.25
    assert abs(found.effect.value or 0) == pytest.approx(0.25)


def test_alpha_is_shared_and_the_smallest_part_speaks() -> None:
    effect = detection.exact("e", 1.0, 9)
    parts = [
        Detection(name, value, effect, 9, 9, 0.05)
        for name, value in (("a", 0.04), ("b", 0.01), ("c", 0.9))
    ]
    together = detection.largest("all", parts)
    assert together.name == "all"
    assert together.p_value == pytest.approx(0.03)
    assert [part.p_value for part in together.parts] == pytest.approx([0.08, 0.03, 0.9])
    assert together.alarm
    first, _ = detection.family([together, parts[2]])
    assert first.adjusted == pytest.approx(0.06)
    assert not first.alarm
    assert "no drift found (p = 0.0300, alarm below 0.0250" in first.sentence
    assert first.metric.interval == (first.adjusted, first.adjusted)

"""Class by class: against scikit-learn where the sample is plain, and weighted."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import precision_recall_fscore_support

from calumma.scoring import cases, classes, sampling

from .conftest import Make
from .test_sampling import PLAN, answers, placed

NAMES = ["a", "b", "c"]


def some(make: Make, n: int = 300) -> list[cases.Answer]:
    generator = np.random.default_rng(3)
    true = generator.choice(NAMES, n, p=[0.6, 0.3, 0.1])
    said = np.where(generator.random(n) < 0.7, true, generator.choice(NAMES, n))
    return [make(str(one), str(other)) for one, other in zip(true, said, strict=True)]


def test_the_values_are_scikit_learns(make: Make) -> None:
    given = some(make)
    true, said = [a.case.label for a in given], [a.label for a in given]
    sample = sampling.of(given, sampling.Plan())
    precision, recall, f1, _ = precision_recall_fscore_support(true, said, labels=NAMES)
    assert [m.value for m in classes.recalls(sample, NAMES)] == pytest.approx(recall)
    assert [m.value for m in classes.precisions(sample, NAMES)] == pytest.approx(precision)
    averages = classes.averages(sample, NAMES, seed=0)
    harmonic = {m.name: m for m in [*classes.harmonic(sample, NAMES), *averages]}
    assert [harmonic[f"F1 of {name}"].value for name in NAMES] == pytest.approx(f1)
    assert harmonic["macro F1"].value == pytest.approx(np.mean(f1))
    assert harmonic["macro recall"].value == pytest.approx(np.mean(recall))
    assert harmonic["macro precision"].value == pytest.approx(np.mean(precision))
    for metric in harmonic.values():
        assert metric.interval is not None and metric.value is not None
        assert metric.interval.low < metric.value < metric.interval.high
    assert classes.averages(sample, NAMES, seed=0) == averages


def test_f1_of_a_class_without_an_error_is_not_certain(make: Make) -> None:
    sample = sampling.of([make("a", "a") for _ in range(50)], sampling.Plan())
    (found,) = classes.harmonic(sample, ["a"])
    assert found.value == 1 and found.interval is not None
    assert 0.92 < found.interval.low < 0.98


def test_the_interval_of_f1_holds_the_truth_as_often_as_it_says(make: Make) -> None:
    generator = np.random.default_rng(8)
    truth = 2 * 0.30 / (2 * 0.30 + 0.05 + 0.07)
    hits = []
    for _ in range(400):
        right, missed, false, _ = generator.multinomial(200, [0.30, 0.05, 0.07, 0.58])
        given = [make("a", "a")] * right + [make("a", "b")] * missed + [make("b", "a")] * false
        (found,) = classes.harmonic(sampling.of(given, sampling.Plan()), ["a"])
        assert found.interval is not None
        hits.append(found.interval.low <= truth <= found.interval.high)
    assert np.mean(hits) == pytest.approx(0.95, abs=0.03)


def test_a_class_without_cases_has_no_value_and_a_failure_is_no_answer(make: Make) -> None:
    given = [make("a", "a"), make("a", None, failure="timeout"), make("b", "a")]
    sample = sampling.of(given, sampling.Plan())
    recall = classes.recalls(sample, NAMES)
    assert [(m.count, m.n) for m in recall] == [(1, 2), (0, 1), (0, 0)]
    assert recall[2].value is None
    precision = classes.precisions(sample, NAMES)
    assert [(m.count, m.n) for m in precision] == [(1, 2), (0, 0), (0, 0)]
    averages = classes.averages(sample, NAMES, seed=0)
    found = {m.name: m.value for m in [*classes.harmonic(sample, NAMES), *averages]}
    assert found["F1 of a"] == pytest.approx(0.5)
    assert found["F1 of b"] == 0 and found["F1 of c"] is None
    assert found["macro recall"] == pytest.approx(0.25)
    nothing = sampling.of([], sampling.Plan())
    empty = [*classes.harmonic(nothing, NAMES), *classes.averages(nothing, NAMES, seed=0)]
    assert {m.value for m in empty} == {None}


def test_strata_are_weighted(make: Make) -> None:
    given = answers(make, "random", 8, 10) + answers(make, "low confidence", 2, 10)
    given += [placed(make("2", "2"), "random") for _ in range(10)]
    sample = sampling.of(given, PLAN)
    (one,) = classes.recalls(sample, ["1"])
    expected = (0.9 / 20 * 8 + 0.1 / 10 * 2) / (0.9 / 20 * 10 + 0.1 / 10 * 10)
    assert one.value == pytest.approx(expected)
    macro = classes.averages(sample, ["1", "2"], seed=0)[0]
    assert macro.value == pytest.approx((expected + 1) / 2)

"""Metrics: what counts, on how many, and how sure."""

from __future__ import annotations

import numpy as np
import pytest

from calumma import errors
from calumma.scoring import cases, metrics
from calumma.statistics import intervals

from .conftest import Make


def test_accuracy_counts_failures_as_wrong_and_leaves_out_the_unlabelled(make: Make) -> None:
    answers = [
        make("3", "3"),
        make("3", "8"),
        make("3", None, failure="status 503"),
        make(None, "5"),
        make(None, None, failure="timeout"),
    ]
    found = metrics.accuracy(answers)
    assert (found.count, found.n) == (1, 3)
    assert found.value == pytest.approx(1 / 3)
    assert found.interval == intervals.wilson(1, 3)
    failed = metrics.failures(answers)
    assert (failed.count, failed.n) == (2, 5)


def test_without_labels_there_is_no_accuracy(make: Make) -> None:
    for answers in ([], [make(None, "5")]):
        found = metrics.accuracy(answers)
        assert (found.value, found.n, found.interval) == (None, 0, (0.0, 1.0))


def test_recall_is_the_accuracy_within_a_class(make: Make) -> None:
    answers = [make("1", "1"), make("1", "2"), make("0", "0"), make("1", "1"), make(None, "1")]
    found = {metric.name: (metric.count, metric.n) for metric in metrics.recalls(answers)}
    assert found == {"recall of 0": (1, 1), "recall of 1": (2, 3)}
    assert [metric.name for metric in metrics.recalls(answers)] == ["recall of 0", "recall of 1"]


def test_confusion_has_a_column_for_failures_and_for_labels_never_true(make: Make) -> None:
    answers = [
        make("0", "0"),
        make("0", "7"),
        make("1", None, failure="timeout"),
        make("1", "0"),
        make(None, "9"),
    ]
    found = metrics.confusion(answers)
    assert found.labels == ("0", "1")
    assert found.said == ("0", "1", "7", "failed")
    assert found.counts == ((1, 0, 1, 0), (1, 0, 0, 1))
    assert "failed" not in metrics.confusion(answers[:2]).said


def test_a_difference_has_newcombes_interval(make: Make) -> None:
    stable = metrics.proportion("accuracy of stable", 80, 100)
    canary = metrics.proportion("accuracy of canary", 9, 10)
    found = metrics.difference("accuracy, canary minus stable", canary, stable)
    assert found.value == pytest.approx(0.1)
    assert found.n == 10
    assert found.interval == intervals.newcombe(9, 10, 80, 100)
    nothing = metrics.difference("d", metrics.proportion("p", 0, 0), stable)
    assert (nothing.value, nothing.n, nothing.interval) == (None, 0, (-1.0, 1.0))
    with pytest.raises(errors.EvaluationError, match="not both proportions"):
        metrics.difference("d", metrics.latency([make("1", "1")], 0.5, seed=0), stable)


def test_latency_is_of_the_answered_in_milliseconds(make: Make) -> None:
    answers = [make("1", "1", seconds=seconds / 1000) for seconds in range(1, 102)]
    answers += [make("1", None, seconds=30, failure="timeout")] * 50
    found = metrics.latency(answers, 0.5, seed=0)
    assert (found.name, found.unit, found.n) == ("latency p50", "ms", 101)
    assert found.value == pytest.approx(51)
    assert found.interval is not None
    assert 35 < found.interval.low < 51 < found.interval.high < 65
    assert found == metrics.latency(answers, 0.5, seed=0)


def test_confidence_and_its_difference_are_of_the_answered(make: Make) -> None:
    generator = np.random.default_rng(0)
    sure = [make("1", "1", confidence=float(c)) for c in generator.uniform(0.8, 1.0, 200)]
    unsure = [make("1", "1", confidence=float(c)) for c in generator.uniform(0.6, 0.8, 300)]
    failed = [make("1", None, failure="timeout")]
    assert metrics.mean_confidence(sure + failed, seed=1).n == 200
    found = metrics.confidence_difference("d", unsure, sure, seed=1)
    assert found.value == pytest.approx(-0.2, abs=0.01)
    assert found.interval is not None and found.interval.high < -0.18
    assert found.n == 200
    assert metrics.mean_confidence(failed, seed=1).value is None


def test_the_worst_errors_are_the_surest_and_never_failures(make: Make) -> None:
    answers = [
        make("1", "2", confidence=0.5),
        make("1", "3", confidence=0.99),
        make("1", "1", confidence=1.0),
        make("1", None, failure="timeout"),
        make(None, "4", confidence=1.0),
        make("1", "5", confidence=0.7),
    ]
    assert [answer.label for answer in metrics.worst_errors(answers, 2)] == ["3", "5"]


def test_a_case_asked_again_counts_once(make: Make) -> None:
    first, second = make("1", "1"), make("1", "2")
    again = cases.Answer(first.case, "9", 0.4, 0.01, None, None)
    assert cases.distinct([first, second, again, first]) == [first, second]


def test_the_digest_knows_the_data_whatever_the_order(make: Make) -> None:
    population = [make("1", "1").case, make("2", "2").case, make(None, "2").case]
    assert cases.digest(population) == cases.digest(reversed(population))
    changed = cases.Case(population[0].id, population[0].image, "7")
    assert cases.digest([changed, *population[1:]]) != cases.digest(population)
    other = cases.Case(population[0].id, b"another image", "1")
    assert cases.digest([other, *population[1:]]) != cases.digest(population)

"""Accuracy from labels: only what is labelled counts, and hard ones only as many as they are."""

from __future__ import annotations

import random
from typing import Any

import pytest

from calumma.feedback import estimation, joining
from calumma.feedback.records import Label, Prediction


def made(number: int, *sources: str, right: bool | None = True, flagged: bool = False) -> Any:
    """A prediction and what was said of it; ``right`` is None where nobody labelled it."""
    found = Prediction.model_validate(
        {
            "id": f"p{number:05d}",
            "time": 100 + number / 1000,
            "service": "s",
            "namespace": "n",
            "label": "cat",
            "confidence": 0.5,
            "sources": sources,
        }
    )
    marks = []
    if flagged:
        marks.append(Label(id=found.id, by="user", time=200, kind="user"))
    if right is not None:
        marks.append(Label(id=found.id, label="cat" if right else "dog", by="ann", time=300))
    return found, marks


def joined(*rows: Any) -> tuple[joining.Joined, ...]:
    labels = [mark for _, marks in rows for mark in marks]
    return joining.join([found for found, _ in rows], labels, at=1000).joined


def test_the_denominator_is_what_is_labelled() -> None:
    """The labs divided by all tasks, labelled or not, and so had 1 of 4 where it is 1 of 1."""
    found = joined(made(1, "random"), *(made(n, "random", right=None) for n in (2, 3, 4)))
    metric = estimation.random_sample(found, "accuracy")
    assert (metric.value, metric.count, metric.n) == (1.0, 1, 1)
    asked = estimation.labelled(found, "labelled")
    assert (asked.count, asked.n) == (1, 4)
    nothing = estimation.random_sample(joined(made(1, "random", right=None)), "accuracy")
    assert (nothing.value, nothing.n) == (None, 0)


def test_hard_and_random_are_apart_and_weighted_together() -> None:
    easy = [
        made(n, *(("random",) if n < 10 else ()), right=True if n < 10 else None) for n in range(90)
    ]
    hard = [made(n, "low-confidence", right=n < 95) for n in range(90, 100)]
    found = joined(*easy, *hard)
    assert estimation.random_sample(found, "random").value == 1.0
    assert estimation.hard_sample(found, "hard").value == 0.5
    whole = estimation.accuracy(found, "accuracy")
    assert whole.value == pytest.approx(0.9 * 1.0 + 0.1 * 0.5)
    assert whole.n == 20


def test_a_flag_moves_a_prediction_to_the_hard_ones() -> None:
    found = joined(made(1, "random", right=False, flagged=True), made(2, "random"))
    assert [estimation.stratum(each) for each in found] == ["flagged", "others"]
    assert estimation.accuracy(found, "accuracy").value == 0.5


def test_what_somebody_labelled_by_chance_counts_for_nothing() -> None:
    found = joined(made(1, "random"), made(2, right=False), made(3, right=False))
    assert estimation.accuracy(found, "accuracy").value == 1.0
    assert estimation.strata(found)["others"] == (1, 1, 3)


def test_a_stratum_without_labels_leaves_the_whole_unknown() -> None:
    found = joined(made(1, "random"), made(2, "low-confidence", right=None))
    metric = estimation.accuracy(found, "accuracy")
    assert (metric.value, metric.interval, metric.n) == (None, None, 1)
    assert estimation.unlabelled_strata(found) == ["low confidence"]
    change = estimation.accuracy_difference("change", found, joined(made(3, "random")))
    assert change.value is None


def test_a_difference_is_that_of_the_weighted_accuracies() -> None:
    good = joined(*(made(n, "random", right=n % 10 > 0) for n in range(100)))
    bad = joined(*(made(n, "random", right=n % 2 > 0) for n in range(100)))
    change = estimation.accuracy_difference("change", bad, good)
    assert change.value == pytest.approx(-0.4)
    assert change.interval is not None and change.interval.high < -0.25
    assert change.n == 100


def test_readers_disagreement_is_counted_among_those_with_several() -> None:
    twice = made(1, "random")
    twice[1].append(Label(id=twice[0].id, label="dog", by="bob", time=400))
    metric = estimation.disagreement(joined(twice, made(2, "random")), "disagreement")
    assert (metric.count, metric.n) == (1, 1)


def test_those_that_still_wait_slow_the_curve() -> None:
    """Exponential delays with a mean of 100 s, looked at while many have waited less."""
    drawn = random.Random(1)
    predictions, labels = [], []
    for number in range(2000):
        found, _ = made(number, "random")
        time = drawn.uniform(0, 200)
        predictions.append(found.model_copy(update={"time": time}))
        after = time + drawn.expovariate(1 / 100)
        labels.append(Label(id=found.id, label="cat", by="ann", time=after))
    found = joining.join(predictions, labels, at=200).joined
    curve = estimation.labelled_within(found, at=200)
    within = max(s for t, s in zip(curve.seconds, curve.share, strict=True) if t <= 70)
    assert within == pytest.approx(0.503, abs=0.03)
    naive = sum(each.delay is not None and each.delay <= 70 for each in found) / len(found)
    assert naive < 0.45
    half = estimation.delay(found, 0.5, "delay", seed=0)
    assert half.value is not None and half.value < 60  # of those that are there: too fast

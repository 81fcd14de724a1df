"""Metrics over answers, each with the number it rests on and an interval.

Proportions (accuracy, recall, failures) have Wilson's interval and their differences Newcombe's;
means and quantiles have bootstrap intervals. A metric without data has no value: "no data" is
never zero.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calumma import errors
from calumma.scoring import cases
from calumma.statistics import bootstrap, intervals

FAILED = "failed"


@dataclass(frozen=True)
class Metric:
    """A measured number: its value in ``unit`` (a proportion has none), ``n`` and the interval.

    ``level`` is the interval's confidence level. A proportion also has its ``count`` of ``n``; a
    difference has the smaller of its two sides' ``n``.
    """

    name: str
    value: float | None
    n: int
    interval: intervals.Interval | None
    unit: str = ""
    count: int | None = None
    level: float = 0.95


@dataclass(frozen=True)
class Confusion:
    """``counts[i][j]`` answers to cases of ``labels[i]`` said ``said[j]``, which may be failed."""

    labels: tuple[str, ...]
    said: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


def proportion(name: str, count: int, n: int, *, level: float = 0.95) -> Metric:
    """``count`` of ``n``, with Wilson's interval."""
    interval = intervals.wilson(count, n, level)
    return Metric(name, count / n if n else None, n, interval, count=count, level=level)


def accuracy(answers: Sequence[cases.Answer], name: str = "accuracy") -> Metric:
    """The share of labelled cases whose right label came back; a failure is not right."""
    judged = [answer.correct for answer in answers if answer.correct is not None]
    return proportion(name, sum(judged), len(judged))


def recalls(answers: Sequence[cases.Answer]) -> list[Metric]:
    """The accuracy among the cases of each class: ``recall of <label>``, in order of the labels."""
    labels = sorted({answer.case.label for answer in answers if answer.case.label is not None})
    return [
        accuracy([answer for answer in answers if answer.case.label == label], f"recall of {label}")
        for label in labels
    ]


def failures(answers: Sequence[cases.Answer], name: str = "failed requests") -> Metric:
    """The share of requests without an answer."""
    failed = sum(answer.failure is not None for answer in answers)
    return proportion(name, failed, len(answers))


def difference(name: str, candidate: Metric, baseline: Metric) -> Metric:
    """A proportion minus that of a baseline over other answers, with Newcombe's interval."""
    if candidate.count is None or baseline.count is None:
        raise errors.EvaluationError(
            f"{candidate.name} and {baseline.name} are not both proportions, "
            "so that their difference has no interval here"
        )
    value = None
    if candidate.value is not None and baseline.value is not None:
        value = candidate.value - baseline.value
    interval = intervals.newcombe(candidate.count, candidate.n, baseline.count, baseline.n)
    return Metric(name, value, min(candidate.n, baseline.n), interval)


def mean_confidence(
    answers: Sequence[cases.Answer], *, seed: int, name: str = "mean confidence"
) -> Metric:
    """The mean of the probability that the service gave its answers."""
    return _bootstrapped(name, partial(np.mean, axis=-1), _confidences(answers), seed=seed)


def confidence_difference(
    name: str,
    candidate: Sequence[cases.Answer],
    baseline: Sequence[cases.Answer],
    *,
    seed: int,
) -> Metric:
    """The mean confidence of the candidate's answers minus that of the baseline's."""
    return _bootstrapped(
        name,
        lambda ours, theirs: np.mean(ours, axis=-1) - np.mean(theirs, axis=-1),
        _confidences(candidate),
        _confidences(baseline),
        seed=seed,
    )


def latency(
    answers: Sequence[cases.Answer], quantile: float, *, seed: int, name: str | None = None
) -> Metric:
    """A quantile of the latency, in milliseconds, of the requests that were answered."""
    values = np.array([1000 * answer.seconds for answer in answers if answer.failure is None])
    statistic = partial(np.quantile, q=quantile, axis=-1)
    name = name or f"latency p{100 * quantile:g}"
    return _bootstrapped(name, statistic, values, seed=seed, unit="ms")


def confusion(answers: Sequence[cases.Answer]) -> Confusion:
    """How often each true label was answered with which label."""
    labelled = [answer for answer in answers if answer.case.label is not None]
    pairs = Counter((answer.case.label, answer.label or FAILED) for answer in labelled)
    labels = sorted({str(label) for label, _ in pairs})
    said = sorted(set(labels) | {label for _, label in pairs} - {FAILED})
    if any(label == FAILED for _, label in pairs):
        said.append(FAILED)
    counts = tuple(tuple(pairs[label, other] for other in said) for label in labels)
    return Confusion(tuple(labels), tuple(said), counts)


def worst_errors(answers: Sequence[cases.Answer], limit: int) -> list[cases.Answer]:
    """The wrong answers that the service was surest of, the surest first."""
    wrong = [
        answer
        for answer in answers
        if answer.correct is False and answer.failure is None and answer.confidence is not None
    ]
    return sorted(wrong, key=lambda answer: (-(answer.confidence or 0), answer.case.id))[:limit]


def _confidences(answers: Sequence[cases.Answer]) -> NDArray[np.float64]:
    return np.array([answer.confidence for answer in answers if answer.confidence is not None])


def _bootstrapped(
    name: str, statistic: Any, *samples: NDArray[np.float64], seed: int, unit: str = ""
) -> Metric:
    n = min(sample.size for sample in samples)
    if n == 0:
        return Metric(name, None, 0, None, unit)
    interval = bootstrap.percentile(statistic, *samples, seed=seed)
    return Metric(name, float(statistic(*samples)), n, interval, unit)

"""How good the answers are class by class, and the averages in which each class counts the same.

*Recall* is the share of a class that is found, *precision* the share of the answers of a class that
are right, *F1* their harmonic mean. Shares have Wilson's interval (or that of a weighted sample),
F1 that of the share from which it follows, and the averages have bootstrap intervals, each stratum
being resampled on its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from calumma.scoring import cases, metrics, sampling
from calumma.statistics import intervals

_RESAMPLES = 2000

Values = NDArray[np.float64]


class Scores(NamedTuple):
    """Of confusion matrices [..., classes, answers]: values [..., classes], NaN without data."""

    recall: Values
    precision: Values
    f1: Values


def recalls(sample: sampling.Sample, classes: Sequence[str]) -> list[metrics.Metric]:
    """``recall of <class>`` for each class."""
    return [
        sample.share(f"recall of {name}", partial(sampling.is_of, name), sampling.right)
        for name in classes
    ]


def precisions(sample: sampling.Sample, classes: Sequence[str]) -> list[metrics.Metric]:
    """``precision of <class>`` for each class; n is how often it was answered."""
    return [
        sample.share(f"precision of {name}", partial(_said, name), sampling.right)
        for name in classes
    ]


def harmonic(sample: sampling.Sample, classes: Sequence[str]) -> list[metrics.Metric]:
    """``F1 of <class>`` for each class; n is how many cases or answers are of it.

    Of these the share ``j`` is right (Jaccard's index), and F1 is ``2 j / (1 + j)``: it rises with
    ``j``, so that the ends of j's interval give those of F1's, which is no point where all are
    right. A class without cases has no value.
    """
    return [_harmonic(sample, name) for name in classes]


def averages(sample: sampling.Sample, classes: Sequence[str], *, seed: int) -> list[metrics.Metric]:
    """``macro recall``, ``macro precision`` and ``macro F1``, over the classes that have cases.

    One of them that is never answered has the precision 0.
    """
    values = _macro(_scores(_confusion(sample, classes)))
    drawn = _macro(_scores(_resampled(sample, classes, seed)))
    n = len(sample.representative)
    return [
        _metric(name, value, column, n)
        for name, value, column in zip(
            ("macro recall", "macro precision", "macro F1"), values, drawn.T, strict=True
        )
    ]


def _harmonic(sample: sampling.Sample, name: str) -> metrics.Metric:
    title = f"F1 of {name}"
    if not any(answer.case.label == name for answer in sample.representative):
        return metrics.Metric(title, None, 0, None)
    share = sample.share(
        title,
        lambda answer: sampling.is_of(name, answer) or _said(name, answer),
        sampling.right,
    )
    if share.value is None or share.interval is None:
        return share
    value, low, high = (2 * j / (1 + j) for j in (share.value, *share.interval))
    return metrics.Metric(title, value, share.n, intervals.Interval(low, high))


def _said(name: str, answer: cases.Answer) -> bool:
    return answer.label == name


def _metric(name: str, value: float, drawn: Values, n: int) -> metrics.Metric:
    if n == 0 or np.isnan(value):
        return metrics.Metric(name, None, n, None)
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    return metrics.Metric(name, float(value), n, intervals.Interval(float(low), float(high)))


def _macro(scores: Scores) -> Values:
    """The three averages over the classes, as the last axis."""
    present = ~np.isnan(scores.recall)
    number = np.maximum(present.sum(axis=-1), 1)
    averages = [np.where(present, each, 0.0).sum(axis=-1) / number for each in scores]
    empty = ~present.any(axis=-1)
    return np.stack([np.where(empty, np.nan, each) for each in averages], axis=-1)


def _scores(confusion: Values) -> Scores:
    """Of matrices whose rows are the true classes; the last column is every other answer."""
    hits = np.diagonal(confusion[..., :-1], axis1=-2, axis2=-1)
    true, said = confusion.sum(axis=-1), confusion[..., :-1].sum(axis=-2)
    with np.errstate(invalid="ignore", divide="ignore"):
        recall = hits / true
        precision = np.where(said > 0, hits / said, 0.0)
        f1 = np.where(true > 0, 2 * hits / (true + said), np.nan)
    return Scores(recall, precision, f1)


def _confusion(sample: sampling.Sample, classes: Sequence[str]) -> Values:
    """The weighted confusion matrix, [classes, classes + 1]."""
    matrix = np.zeros((len(classes), len(classes) + 1))
    rows, columns = _pairs(sample, classes)
    np.add.at(matrix, (rows, columns), sample.case_weights())
    return matrix


def _resampled(sample: sampling.Sample, classes: Sequence[str], seed: int) -> Values:
    """Weighted confusion matrices of resampled strata, [resamples, classes, classes + 1]."""
    generator = np.random.default_rng(seed)
    width = len(classes) + 1
    rows, columns = _pairs(sample, classes)
    cells, strata = rows * width + columns, sample.numbers()
    total = np.zeros((_RESAMPLES, len(classes) * width))
    for stratum in np.unique(strata):
        counts = np.bincount(cells[strata == stratum], minlength=total.shape[1])
        weight = sample.case_weights()[strata == stratum][0]
        n = int(counts.sum())
        total += weight * generator.multinomial(n, counts / n, size=_RESAMPLES)
    return total.reshape(_RESAMPLES, len(classes), width)


def _pairs(
    sample: sampling.Sample, classes: Sequence[str]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Row and column in the matrix of each representative answer."""
    index = {name: number for number, name in enumerate(classes)}
    answers = sample.representative
    rows = np.array([index[str(answer.case.label)] for answer in answers], dtype=np.intp)
    columns = [index.get(str(answer.label), len(classes)) for answer in answers]
    return rows, np.array(columns, dtype=np.intp)

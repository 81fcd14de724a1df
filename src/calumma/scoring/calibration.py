"""Whether a model's confidence is true: of the answers with 90%, are nine in ten right?

The expected calibration error (ECE) is the mean distance between confidence and accuracy, in bins
of equally many answers. It has a bias: on few answers every bin is off by chance, and the ECE of a
perfectly calibrated model is not zero. So three numbers are given: the ECE, the ECE that chance
alone would give on these confidences, and an error from which the bias is taken off. Sources:
M. P. Naeini et al., AAAI 2015 (ECE); A. Kumar et al., NeurIPS 2019 (the bias, and equal-mass bins).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calumma import errors
from calumma.scoring import metrics, sampling
from calumma.statistics import bootstrap, intervals

BINS = 10
LEAST = 10
"""Answers in a bin, below which there are fewer bins."""

_SMALLEST = 1e-12
"""A probability of zero would make the log loss infinite; rounding makes zeros."""

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Scored:
    """Answers with a confidence: float64 [n] each, in order of the confidence.

    ``correct`` is 0 or 1, ``weights`` sum to 1, ``strata`` numbers the stratum.
    """

    confidence: Values
    correct: Values
    weights: Values
    strata: NDArray[np.intp]

    @property
    def n(self) -> int:
        """The number of answers."""
        return self.confidence.size


@dataclass(frozen=True)
class Bin:
    """Answers of similar confidence: its mean, and the accuracy with its interval."""

    confidence: float
    accuracy: metrics.Metric


def scored(sample: sampling.Sample) -> Scored:
    """The representative answers that came with a confidence."""
    answers, weights, strata = sample.representative, sample.case_weights(), sample.numbers()
    keep = [i for i, answer in enumerate(answers) if answer.confidence is not None]
    confidence = np.array([answers[i].confidence for i in keep], dtype=np.float64)
    correct = np.array([answers[i].correct is True for i in keep], dtype=np.float64)
    order = np.argsort(confidence, kind="stable")
    weights = weights[keep][order] if keep else np.zeros(0)
    return Scored(
        confidence[order],
        correct[order],
        weights / weights.sum() if weights.size else weights,
        strata[keep][order] if keep else np.zeros(0, dtype=np.intp),
    )


def errors_of(found: Scored, *, seed: int) -> list[metrics.Metric]:
    """The ECE, that of chance alone, and the debiased calibration error.

    The ECE's interval is wide on purpose: from its own bootstrap's limits and those mirrored at
    the estimate, and down to zero where chance alone explains it. The debiased error is the root
    of the mean square, whose bias has a closed form.
    """
    names = (
        "calibration error (ECE)",
        "calibration error that chance alone gives",
        "calibration error, debiased (RMS)",
    )
    if found.n < 2 * LEAST:
        return [metrics.Metric(name, None, found.n, None) for name in names]
    own = float(_ece(found.confidence, found.correct, found.weights))
    resampled = bootstrap.stratified(lambda rows: _of_rows(found, rows), found.strata, seed=seed)
    chance = _by_chance(found, seed)
    low, high = np.quantile(resampled[:, 0], [0.025, 0.975])
    least = 0.0 if own <= np.quantile(chance, 0.975) else max(0.0, min(low, 2 * own - high))
    ece = intervals.Interval(float(least), float(max(high, 2 * own - low)))
    square = float(_square(found.confidence, found.correct, found.weights))
    bias = float(resampled[:, 1].mean()) - square
    ends = np.sqrt(np.maximum(np.quantile(resampled[:, 1], [0.025, 0.975]) - bias, 0.0))
    expected = intervals.Interval(*map(float, np.quantile(chance, [0.025, 0.975])))
    return [
        metrics.Metric(names[0], own, found.n, ece),
        metrics.Metric(names[1], float(chance.mean()), found.n, expected),
        metrics.Metric(
            names[2], max(square, 0.0) ** 0.5, found.n, intervals.Interval(*map(float, ends))
        ),
    ]


def losses(sample: sampling.Sample, classes: Sequence[str], *, seed: int) -> list[metrics.Metric]:
    """The Brier score (0 to 2) and the log loss of the probabilities, ``classes`` being theirs.

    Both are lowest for true probabilities, and so measure sharpness and calibration together.
    Sources: G. W. Brier, Monthly Weather Review 78 (1950) 1-3; I. J. Good, JRSS-B 14
    (1952) 107-114.
    Raises :class:`~calumma.errors.EvaluationError` when an answer's probabilities are of others.
    """
    index = {name: number for number, name in enumerate(classes)}
    answers = sample.representative
    keep = [i for i, each in enumerate(answers) if each.probabilities and each.case.label in index]
    names = ("Brier score", "log loss")
    if not keep:
        return [metrics.Metric(name, None, 0, None) for name in names]
    for i in keep:
        require_classes(answers[i].label, answers[i].probabilities, classes)
    probabilities = np.array([answers[i].probabilities for i in keep])
    truth = np.array([index[str(answers[i].case.label)] for i in keep])
    right = probabilities[np.arange(len(keep)), truth]
    brier = (probabilities**2).sum(axis=1) - 2 * right + 1
    log = -np.log(np.maximum(right, _SMALLEST))
    weights, strata = sample.case_weights()[keep], sample.numbers()[keep]
    return [
        _mean(name, values, weights, strata, seed)
        for name, values in zip(names, (brier, log), strict=True)
    ]


def require_classes(
    label: str | None, probabilities: Sequence[float], classes: Sequence[str]
) -> None:
    """Check that an answer's probabilities are those of these classes, in this order.

    Raises :class:`~calumma.errors.EvaluationError`.
    """
    named = None
    if len(probabilities) == len(classes):
        named = classes[int(np.argmax(probabilities))]
    # Two classes may be exactly as probable: then the model named one of them.
    tied = (
        named is not None
        and label in classes
        and (probabilities[classes.index(str(label))] == max(probabilities))
    )
    if not tied:
        raise errors.EvaluationError(
            f"the model answered {label!r} with {len(probabilities)} probabilities, of which the "
            f"largest is that of {named!r} by the suite's classes ({', '.join(classes)}); they "
            "must be the model's own, in its order"
        )


def reliability(found: Scored) -> list[Bin]:
    """The bins, from the least sure to the surest; each with how many answers it has."""
    edges = [*_edges(found.n).tolist(), found.n]
    bins = []
    for start, end in itertools.pairwise(edges):
        if start < end:
            hits = int(found.correct[start:end].sum())
            bins.append(
                Bin(
                    float(found.confidence[start:end].mean()),
                    metrics.proportion("accuracy in bin", hits, end - start),
                )
            )
    return bins


def _edges(n: int) -> NDArray[np.intp]:
    """Where each bin begins: as equal as can be, none with fewer than LEAST answers."""
    bins = max(1, min(BINS, n // LEAST))
    return np.linspace(0, n, bins + 1).astype(np.intp)[:-1]


def _of_rows(found: Scored, rows: NDArray[np.intp]) -> Values:
    """ECE and debiased square of resampled answers, [rows, 2]."""
    # A case's number is the rank of its confidence, so that sorting the numbers sorts those.
    rows = np.sort(rows, axis=1)
    parts = found.confidence[rows], found.correct[rows], found.weights[rows]
    return np.stack([_ece(*parts), _square(*parts)], axis=1)


def _by_chance(found: Scored, seed: int, rounds: int = 2000) -> Values:
    """The ECE of models that are right exactly as often as they are sure."""
    generator = np.random.default_rng(seed)
    values = []
    for _ in range(rounds):
        correct = (generator.random(found.n) < found.confidence).astype(np.float64)
        values.append(float(_ece(found.confidence, correct, found.weights)))
    return np.array(values)


def _ece(confidence: Values, correct: Values, weights: Values) -> Values:
    gaps = weights * (confidence - correct)
    ece: Values = np.abs(np.add.reduceat(gaps, _edges(gaps.shape[-1]), axis=-1)).sum(axis=-1)
    return ece


def _square(confidence: Values, correct: Values, weights: Values) -> Values:
    """The mean square of the bins' gaps, less what chance adds to it; may be below zero."""
    edges = _edges(confidence.shape[-1])
    sizes = np.diff([*edges, confidence.shape[-1]])
    mass = np.add.reduceat(weights, edges, axis=-1)
    gaps = confidence - correct
    mean = np.add.reduceat(weights * gaps, edges, axis=-1) / mass
    spread = np.add.reduceat(weights * gaps**2, edges, axis=-1) / mass - mean**2
    squares: Values = (mass * (mean**2 - spread / (sizes - 1))).sum(axis=-1)
    return squares


def _mean(
    name: str, values: Values, weights: Values, strata: NDArray[np.intp], seed: int
) -> metrics.Metric:
    weights = weights / weights.sum()
    drawn = bootstrap.stratified(
        lambda rows: (values[rows] * weights[rows]).sum(axis=1) / weights[rows].sum(axis=1),
        strata,
        seed=seed,
    )
    low, high = np.quantile(drawn, [0.025, 0.975])
    interval = intervals.Interval(float(low), float(high))
    return metrics.Metric(name, float((values * weights).sum()), values.size, interval)

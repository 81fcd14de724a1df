"""From what a model thinks of its answers to how often such answers are right.

A model's probability is not the chance that its label is right; on labelled reference images one
can learn what that chance is. Two maps are tried: a curve of three parameters (beta calibration,
which holds Platt's and temperature scaling), for little data, and the best monotone step function
(isotonic regression), for more. The one that predicts images it has not learned from better (by
cross-fitting, logarithmic loss) is used.

Sources: M. Kull, T. Silva Filho and P. Flach, AISTATS 2017; B. Zadrozny and C. Elkan, KDD 2002;
J. Platt, Advances in Large Margin Classifiers (1999) 61-74; for the check, J. Bröcker and L. Smith,
Weather and Forecasting 22 (2007) 651-661.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from calumma.drift import detection
from calumma.drift.detection import Values
from calumma.scoring.metrics import Metric
from calumma.statistics.intervals import Interval

BINS = 10
_FOLDS = 5
_ROUNDS = 40

# A curve is drawn to the identity with the weight of an image: all probabilities may be the same.
_IDENTITY = np.array([1.0, 1.0, 0.0])
_PRIOR = np.array([1.0, 1.0, 1e-6])


class Map(Protocol):
    """Several calibrations at once, one for each row of weights that it was fitted with."""

    def __call__(self, confidence: Values) -> Values:
        """The chance that the label is right, [rows, n], for probabilities [n]."""


@dataclass(frozen=True)
class Beta:
    """Logistic curves in ln p and -ln(1 - p): coefficients [rows, 3], the intercept last."""

    coefficients: Values

    def __call__(self, confidence: Values) -> Values:
        """See :class:`Map`."""
        return _sigmoid(self.coefficients @ _terms(confidence))


@dataclass(frozen=True)
class Isotonic:
    """Step functions: the places [k] where they may change, and their values [rows, k]."""

    places: Values
    values: Values

    def __call__(self, confidence: Values) -> Values:
        """See :class:`Map`."""
        index = np.searchsorted(self.places, confidence, side="right") - 1
        return self.values[:, np.maximum(index, 0)]


def fit_beta(confidence: Values, right: Values, weights: Values) -> Beta:
    """Fit a curve for each row of outcomes and weights, [rows, n], by Newton's method.

    The targets are Platt's, which are a little inside of 0 and 1, so that a sample without errors
    does not make the model infallible.
    """
    terms = _terms(confidence)
    positive, negative = (weights * right).sum(axis=1), (weights * (1 - right)).sum(axis=1)
    high, low = (positive + 1) / (positive + 2), 1 / (negative + 2)
    target = np.where(right > 0, high[:, None], low[:, None])
    pairs = (terms[:, None] * terms[None]).reshape(9, -1)
    fitted = np.tile(_IDENTITY, (len(weights), 1))
    for _ in range(_ROUNDS):
        found = _sigmoid(fitted @ terms)
        slope = (weights * (found - target)) @ terms.T + _PRIOR * (fitted - _IDENTITY)
        bend = ((weights * found * (1 - found)) @ pairs.T).reshape(-1, 3, 3)
        step = np.linalg.solve(bend + np.diag(_PRIOR), slope[..., None])[..., 0]
        fitted = fitted - np.clip(step, -1, 1)
        if np.abs(step).max() < 1e-5:
            break
    return Beta(fitted)


def fit_isotonic(confidence: Values, right: Values, weights: Values) -> Isotonic:
    """Fit a step function for each row of outcomes and weights, kept a little inside of 0 and 1."""
    places, inverse = np.unique(confidence, return_inverse=True)
    totals = np.array([np.bincount(inverse, row, places.size) for row in weights])
    hits = np.array([np.bincount(inverse, row, places.size) for row in weights * right])
    values = np.empty_like(totals)
    for row, (total, hit) in enumerate(zip(totals, hits, strict=True)):
        known = np.maximum(total, 1e-9)
        values[row] = optimize.isotonic_regression(hit / known, weights=known).x
    margin = 1 / (confidence.size + 2)
    return Isotonic(places, np.clip(values, margin, 1 - margin))


METHODS: Mapping[str, Callable[[Values, Values, Values], Map]] = {
    "beta": fit_beta,
    "isotonic": fit_isotonic,
}


@dataclass(frozen=True)
class Check:
    """How good a calibration is on images that it has not learned from.

    ``method`` predicts best, ``predicted`` [n] are its cross-fitted chances; ``error`` is the
    expected calibration error in bins of equal number, and ``p_value`` says how often a perfect
    calibration would seem as bad by chance.
    """

    method: str
    predicted: Values
    error: Metric
    p_value: Metric


def check(confidence: Values, right: Values, *, seed: int, draws: int = 199) -> Check:
    """Choose a method and see what it is worth, on the reference's answers [n], right 0 or 1.

    The p-value's null distribution is had by drawing outcomes from the calibration itself and doing
    all of it again, so that it holds for cross-fitted chances too.
    """
    generator = np.random.default_rng(seed)
    folds = generator.permutation(confidence.size) % _FOLDS
    tried = {name: _cross_fitted(name, confidence, right[None], folds)[0] for name in METHODS}
    method = min(tried, key=lambda name: _loss(tried[name], right))
    predicted = tried[method]
    found = float(expected_error(predicted, right))
    drawn = (generator.uniform(size=(draws, right.size)) < predicted).astype(np.float64)
    again = _cross_fitted(method, confidence, drawn, folds)
    errors = np.array([expected_error(*pair) for pair in zip(again, drawn, strict=True)])
    rows = generator.integers(0, right.size, (500, right.size))
    low, high = np.quantile(
        [expected_error(predicted[row], right[row]) for row in rows], [0.025, 0.975]
    )
    return Check(
        method,
        predicted,
        Metric("calibration error", found, right.size, Interval(float(low), float(high))),
        detection.exact(
            "p-value of the calibration", detection.permutation_p_value(found, errors), right.size
        ),
    )


def expected_error(predicted: Values, right: Values) -> float:
    """The expected calibration error of chances [n] for outcomes [n].

    Images are sorted by their chance into :data:`BINS` bins of equal number; the error is the mean
    distance between the mean chance and the share of right answers in a bin.
    """
    gaps = (right - predicted)[np.argsort(predicted, kind="stable")]
    return float(sum(abs(each.sum()) for each in np.array_split(gaps, BINS)) / predicted.size)


def _cross_fitted(
    method: str, confidence: Values, right: Values, folds: NDArray[np.int64]
) -> Values:
    """The chances [rows, n] for outcomes [rows, n], each from the other folds."""
    predicted = np.empty(right.shape)
    for fold in range(_FOLDS):
        ours, theirs = folds != fold, folds == fold
        fitted = METHODS[method](confidence[ours], right[:, ours], np.ones(right[:, ours].shape))
        predicted[:, theirs] = fitted(confidence[theirs])
    return predicted


def _loss(predicted: Values, right: Values) -> float:
    return float(-np.mean(np.log(np.where(right > 0, predicted, 1 - predicted))))


def _terms(confidence: Values) -> Values:
    """What a curve is linear in, [3, n]."""
    bounded = np.clip(confidence, 1e-6, 1 - 1e-6)
    return np.stack([np.log(bounded), -np.log1p(-bounded), np.ones_like(bounded)])


def _sigmoid(values: Values) -> Values:
    found: Values = 1 / (1 + np.exp(-np.clip(values, -500, 500)))
    return found

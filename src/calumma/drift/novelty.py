"""Images that the model was never meant for: a car park sent to a model of digits.

An image is unusual when it is far from the reference images, or when the model is less sure of it
than it used to be: its score is the larger of both, each counted in spreads of the reference. A
model can be quite sure of nonsense, so its probabilities alone do not do.

One half of the reference images is the bank that distances are measured to; the other half says how
large scores get without drift. So a new image's p-value is at most ``a`` with probability at most
``a`` (split conformal prediction: V. Vovk, A. Gammerman and G. Shafer, Algorithmic Learning in a
Random World, chapter 4), whatever the score is worth. Of many images some look unusual by chance;
the procedure of Benjamini and Hochberg keeps the expected share of false ones among those that it
names at most ``alpha`` (for conformal p-values: S. Bates and others, Annals of Statistics 51 (2023)
149-178). With few reference images it can only name many at once, or none.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import distance

from calumma.drift import detection
from calumma.drift.detection import Values
from calumma.scoring import metrics
from calumma.scoring.metrics import Metric

NEIGHBOURS = 5

_ROWS = 2000
"""Images whose distances are in memory at once."""


@dataclass(frozen=True)
class Inputs:
    """What is known of images: their embeddings [n, d] and the largest probabilities [n]."""

    embedding: Values
    confidence: Values

    def some(self, rows: NDArray[np.int64]) -> Inputs:
        """Those in these rows."""
        return Inputs(self.embedding[rows], self.confidence[rows])


@dataclass(frozen=True)
class Flags:
    """The p-value [n] of each current image, and which are flagged.

    ``unusual`` are those with a p-value of at most ``alpha``, of which a share of ``alpha`` is
    expected without drift; ``outside`` are those that Benjamini and Hochberg's procedure names.
    """

    p_values: Values
    unusual: NDArray[np.bool_]
    outside: NDArray[np.bool_]

    @property
    def metrics(self) -> tuple[Metric, Metric]:
        """The shares of both, with Wilson's intervals."""
        n = self.p_values.size
        return (
            metrics.proportion("share of unusual inputs", int(self.unusual.sum()), n),
            metrics.proportion("share of out-of-distribution inputs", int(self.outside.sum()), n),
        )


class Bank:
    """The reference's first half: how far is far, and how unsure is unsure."""

    def __init__(self, inputs: Inputs) -> None:
        detection.check("the bank of usual images", len(inputs.embedding), NEIGHBOURS + 1)
        self._embedding = inputs.embedding
        self._distance = _scale(np.log(nearest(inputs.embedding, inputs.embedding, skip=1)))
        self._doubt = _scale(_doubt(inputs.confidence))

    def distance(self, embedding: Values) -> Values:
        """The logarithm of the distance [n] to the fifth nearest image of the bank, in spreads."""
        middle, spread = self._distance
        scored: Values = (np.log(nearest(embedding, self._embedding)) - middle) / spread
        return scored

    def score(self, inputs: Inputs) -> Values:
        """How unusual each image is [n]; larger is more."""
        middle, spread = self._doubt
        doubt = (_doubt(inputs.confidence) - middle) / spread
        scored: Values = np.maximum(self.distance(inputs.embedding), doubt)
        return scored


def split(n: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The rows of the bank and those that calibrate: two halves at random."""
    order = np.random.default_rng(seed).permutation(n)
    return np.sort(order[: n // 2]), np.sort(order[n // 2 :])


def flag(bank: Bank, calibration: Inputs, current: Inputs, *, alpha: float) -> Flags:
    """The flags of current images; the calibration's are of the reference and not in the bank."""
    detection.check("the flags", len(calibration.embedding), len(current.embedding), least=1)
    usual = np.sort(bank.score(calibration))
    scored = bank.score(current)
    above = usual.size - np.searchsorted(usual, scored, side="left")
    p_values = (1 + above) / (1 + usual.size)
    return Flags(p_values, p_values <= alpha, benjamini_hochberg(p_values, alpha))


def benjamini_hochberg(p_values: Values, alpha: float) -> NDArray[np.bool_]:
    """Which hypotheses are rejected so that the expected share of false ones is at most alpha.

    Source: Y. Benjamini and Y. Hochberg, Journal of the Royal Statistical Society B 57 (1995)
    289-300.
    """
    ordered = np.sort(p_values)
    passed = np.flatnonzero(ordered <= alpha * np.arange(1, p_values.size + 1) / p_values.size)
    limit = ordered[passed[-1]] if passed.size else -1.0
    return np.asarray(p_values <= limit)


def nearest(rows: Values, bank: Values, skip: int = 0) -> Values:
    """The distance [n] of each row to its fifth nearest in the bank, itself skipped if in it."""
    place = min(NEIGHBOURS, len(bank) - skip) - 1 + skip
    found = [
        np.partition(distance.cdist(rows[start : start + _ROWS], bank), place, axis=1)[:, place]
        for start in range(0, len(rows), _ROWS)
    ]
    distances: Values = np.maximum(np.concatenate(found), 1e-6)
    return distances


def _doubt(confidence: Values) -> Values:
    """The logit of the probability that the model gives to all other labels."""
    bounded = np.clip(confidence, 1e-9, 1 - 1e-9)
    logit: Values = np.log1p(-bounded) - np.log(bounded)
    return logit


def _scale(values: Values) -> tuple[float, float]:
    """Median, and the median absolute deviation as a standard deviation, never zero."""
    middle = float(np.median(values))
    return middle, 1.4826 * float(np.median(np.abs(values - middle))) or 1.0

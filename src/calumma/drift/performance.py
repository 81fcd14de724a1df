"""How often is the model right now, when nobody has labelled anything yet?

If the model's own probability, calibrated on labelled reference images, says how likely an answer
is right, then the mean of it over current images is the accuracy to expect (confidence-based
performance estimation, the idea of NannyML's CBPE). This holds while images of the same probability
are right as often as they were: when other images come, harder or easier ones (*covariate shift*),
it goes on holding; when the same images would now be labelled otherwise (*concept drift*), it does
not, and nothing but labels can tell. Images unlike any reference image are outside of it too: they
count as possibly right and possibly wrong in the interval.

The interval is for the accuracy that labels of these very images would show. It has three parts:
how little the reference says about the calibration (by bootstrap), chance in which of the answers
are right, and the images that nothing is known about.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calumma.drift import calibration, detection
from calumma.drift.detection import Values
from calumma.scoring.metrics import Metric
from calumma.statistics.intervals import Interval

LEAST = 50
"""Labelled reference images without which nothing is estimated."""

DOUBT = 0.01
"""The p-value of the calibration at or below which it has failed."""

_RESAMPLES = 500


@dataclass(frozen=True)
class Current:
    """What is known of current images.

    ``confidence`` [n] are the probabilities of the answers, ``outside`` [n] says which images are
    unlike the reference, and ``failed`` is the number of requests without an answer beside these:
    nobody got a right label from them.
    """

    confidence: Values
    outside: NDArray[np.bool_]
    failed: int = 0


class Estimator:
    """Learns from the reference, then estimates for any current images.

    ``check`` is what the calibration is worth, and ``reason`` says why estimates cannot be trusted,
    None when they can. An estimate that cannot be trusted has the interval from 0 to 1.
    """

    def __init__(self, confidence: Values, right: NDArray[np.bool_], *, seed: int) -> None:
        detection.check("the estimate of the accuracy", confidence.size, confidence.size, least=10)
        outcome = right.astype(np.float64)
        self.check = calibration.check(confidence, outcome, seed=seed)
        self.reason = self._doubt()
        generator = np.random.default_rng(seed)
        n = confidence.size
        weights = generator.multinomial(n, np.full(n, 1 / n), _RESAMPLES).astype(np.float64)
        fit = calibration.METHODS[self.check.method]
        self._map = fit(confidence, outcome[None], np.ones((1, n)))
        self._maps = fit(confidence, np.broadcast_to(outcome, weights.shape), weights)
        self._seed = seed

    def estimate(self, name: str, current: Current) -> Metric:
        """The accuracy to expect; a request that failed is not right."""
        answered = current.confidence.size
        n = answered + current.failed
        if n == 0:
            return Metric(name, None, 0, None)
        value = float(self._map(current.confidence)[0].sum()) / n if answered else 0.0
        if self.reason is not None:
            return Metric(name, value, n, Interval(0.0, 1.0))
        inside = current.confidence[~current.outside]
        low, high = np.quantile(self._right(inside), [0.025, 0.975])
        unknown = int(current.outside.sum())
        return Metric(name, value, n, Interval(float(low) / n, (float(high) + unknown) / n))

    def _right(self, confidence: Values) -> Values:
        """How many answers are right, drawn with each calibration, [resamples]."""
        generator = np.random.default_rng(self._seed + 1)
        counts = np.zeros(_RESAMPLES)
        for part in np.array_split(confidence, max(1, confidence.size // 2000)):
            chance = self._maps(part)
            counts += (generator.uniform(size=chance.shape) < chance).sum(axis=1)
        return counts

    def _doubt(self) -> str | None:
        n = self.check.predicted.size
        if n < LEAST:
            return f"only {n} reference images are labelled and answered, {LEAST} are needed"
        p_value = self.check.p_value.value or 0.0
        if p_value <= DOUBT:
            return (
                f"the calibration failed its check (p = {p_value:.3f}): on the reference itself "
                "the probabilities do not say how often the model is right"
            )
        return None

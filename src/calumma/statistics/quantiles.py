"""Quantiles that may be looked at after every observation: one arm's interval, and two arms' test.

That ``x`` is the ``p`` quantile says that each observation is at most ``x`` with probability ``p``,
so the evidence against it is that of a proportion. Nothing is assumed of the distribution, and
nothing is interpolated in histograms.

Source: S. R. Howard, A. Ramdas, "Sequential estimation of quantiles with applications to A/B
testing and best-arm identification", Bernoulli 28 (2022), sections 3 and 6.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calumma import errors
from calumma.statistics import mixtures
from calumma.statistics.intervals import Interval

Sample = NDArray[np.float64]


@dataclass(frozen=True)
class _Arm:
    """One arm's observations in order, and the evidence against every possible ``p`` quantile."""

    values: Sample
    p: float
    mixture: mixtures.BetaBinomial

    @property
    def quantile(self) -> float:
        """The observation at the ``p`` quantile."""
        return float(self.values[min(int(self.values.size * self.p), self.values.size - 1)])

    def evidence(self, x: float) -> float:
        """The logarithm of the evidence against ``x``, whichever way ties with it are counted."""
        n = self.values.size
        below = int(np.searchsorted(self.values, x, side="left"))
        reached = int(np.searchsorted(self.values, x, side="right"))
        nearest = min(max(self.p * n, below), reached)
        return self.mixture.log_evidence(nearest - self.p * n, self.p * (1 - self.p) * n)


def interval(sample: Sample, p: float, *, alpha: float = 0.05, n_opt: float) -> Interval:
    """The confidence sequence of the ``p`` quantile; infinite ends where there is too little data.

    It is tightest near ``n_opt`` observations.
    """
    arm = _arm(sample, p, alpha, n_opt)
    threshold = math.log(1 / alpha)
    inside = [float(x) for x in np.unique(arm.values) if arm.evidence(float(x)) < threshold]
    if not inside:
        return Interval(arm.quantile, arm.quantile)
    low = inside[0] if arm.evidence(-math.inf) >= threshold else -math.inf
    high = inside[-1] if arm.evidence(math.inf) >= threshold else math.inf
    return Interval(low, high)


def p_value(ours: Sample, theirs: Sample, p: float, *, alpha: float = 0.05, n_opt: float) -> float:
    """The always-valid p-value of "both arms have the same ``p`` quantile".

    Each arm may have any number of observations at any look. ``n_opt`` is the number in an arm for
    which it is made, ``alpha`` the level.
    """
    arms = [_arm(sample, p, alpha, n_opt) for sample in (ours, theirs)]
    low, high = sorted(arm.quantile for arm in arms)
    # Outside of the two quantiles the evidence against a common one only grows.
    union = np.unique(np.concatenate([arm.values for arm in arms]))
    between = union[(union >= low) & (union <= high)]
    least = min(sum(arm.evidence(float(x)) for arm in arms) for x in between)
    return min(1.0, math.exp(-least))


def _arm(sample: Sample, p: float, alpha: float, n_opt: float) -> _Arm:
    if not 0 < p < 1:
        raise errors.EvaluationError(f"the quantile {p} was asked for; it must be between 0 and 1")
    if sample.size == 0:
        raise errors.EvaluationError("a quantile needs at least one observation in each sample")
    mixture = mixtures.BetaBinomial(n_opt * p * (1 - p), p, 1 - p, alpha, one_sided=False)
    return _Arm(np.sort(sample), p, mixture)

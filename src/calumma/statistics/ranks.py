"""How much later one sample comes than another, by ranks: for one look, of any shape.

A single slow request moves a mean and hardly a rank, so latencies are compared by ranks.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from calumma import errors
from calumma.statistics import intervals


class Shift(NamedTuple):
    """The median of all differences between the two samples, and its interval, in their unit."""

    estimate: float
    interval: intervals.Interval


def shift(
    ours: NDArray[np.float64], theirs: NDArray[np.float64], confidence: float = 0.95
) -> Shift:
    """The Hodges-Lehmann estimate of ours minus theirs, with Mann and Whitney's interval.

    The interval holds the shifts that the test, by its normal approximation with corrections for
    ties and continuity, does not reject; it is that of R's ``wilcox.test(exact = FALSE)``. Raises
    :class:`~calumma.errors.EvaluationError` for an empty sample or where all values are the same.
    Source: M. Hollander, D. Wolfe, Nonparametric Statistical Methods (1999), sections 4.1 to 4.3.
    """
    if not (ours.size and theirs.size):
        raise errors.EvaluationError("a shift needs at least one value in each sample")
    if np.ptp(np.concatenate([ours, theirs])) == 0:
        raise errors.EvaluationError("all values are the same, so that their ranks say nothing")
    pairs = np.subtract.outer(ours, theirs)
    differences = np.unique(pairs)
    critical = float(stats.norm.ppf((1 + confidence) / 2))
    ends = [_crossing(ours, theirs, differences, at) for at in (critical, -critical)]
    return Shift(float(np.median(pairs)), intervals.Interval(*ends))


def _crossing(
    ours: NDArray[np.float64],
    theirs: NDArray[np.float64],
    differences: NDArray[np.float64],
    critical: float,
) -> float:
    """Where the test's statistic, which falls as the shift grows, goes through a value.

    It changes only at the differences between the samples: a bisection of them.
    """
    low, high = 0, differences.size - 1
    while low < high:
        middle = (low + high) // 2
        # Just above a difference the statistic is what it is up to the next one.
        above = (differences[middle] + differences[middle + 1]) / 2
        if _statistic(ours, theirs, above) > critical:
            low = middle + 1
        else:
            high = middle
    return float(differences[low])


def _statistic(ours: NDArray[np.float64], theirs: NDArray[np.float64], moved: float) -> float:
    """Mann and Whitney's statistic, standardised, with ours moved back by ``moved``."""
    m, n = ours.size, theirs.size
    together = np.concatenate([ours - moved, theirs])
    excess = stats.rankdata(together)[:m].sum() - m * (m + 1) / 2 - m * n / 2
    _, counts = np.unique(together, return_counts=True)
    ties = float((counts.astype(float) ** 3 - counts).sum()) / ((m + n) * (m + n - 1))
    deviation = np.sqrt(m * n / 12 * (m + n + 1 - ties))
    return float((excess - 0.5 * np.sign(excess)) / deviation)

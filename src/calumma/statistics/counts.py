"""The interval for a count of things that come independently of each other, such as users."""

from __future__ import annotations

from scipy import stats

from calumma import errors
from calumma.statistics.intervals import Interval

__all__ = ["Interval", "garwood"]


def garwood(count: int, confidence: float = 0.95) -> Interval:
    """The exact interval for the mean of a Poisson distribution of which ``count`` was seen.

    Source: F. Garwood, Biometrika 28 (1936) 437-442. Raises
    :class:`~calumma.errors.EvaluationError` for a negative count.
    """
    if count < 0:
        raise errors.EvaluationError(f"a count of {count} was given; it must be at least 0")
    tail = (1 - confidence) / 2
    low = float(stats.chi2.ppf(tail, 2 * count)) / 2 if count else 0.0
    return Interval(low, float(stats.chi2.isf(tail, 2 * count + 2)) / 2)

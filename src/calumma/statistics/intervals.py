"""Intervals for proportions, in closed form.

Wilson's score interval stays inside [0, 1] and keeps close to its level for small counts and for
proportions near 0 or 1, where the textbook interval (p ± 1.96 standard errors) fails; Newcombe's
interval for a difference is built on it. Both are for one look at the data. Where there is no
closed form: :mod:`calumma.statistics.bootstrap`.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import NamedTuple

from calumma import errors


class Interval(NamedTuple):
    """A closed interval from ``low`` to ``high``, in the unit of what it bounds."""

    low: float
    high: float


def wilson(successes: float, n: float, confidence: float = 0.95) -> Interval:
    """Wilson's score interval for a proportion of ``successes`` in ``n`` independent trials.

    Without trials it is [0, 1]. Effective numbers of trials may be fractions. Source: E. B. Wilson,
    JASA 22 (1927) 209-212; method 3 in R. G. Newcombe, Statistics in Medicine 17 (1998) 857-872.
    """
    _check(successes, n)
    if n == 0:
        return Interval(0.0, 1.0)
    return score(successes / n, n, confidence)


def score(p: float, n: float, confidence: float = 0.95) -> Interval:
    """Wilson's interval for a proportion ``p`` that is worth ``n`` independent trials, above 0.

    ``n`` need not be whole: of a sample that is not simple it is the effective number.
    """
    return deviations(p, n, _z(confidence))


def deviations(p: float, n: float, z: float) -> Interval:
    """Wilson's interval as :func:`score`, where ``z`` standard deviations are allowed."""
    centre = p + z * z / (2 * n)
    spread = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    low = 0.0 if p == 0 else (centre - spread) / scale
    high = 1.0 if p == 1 else (centre + spread) / scale
    return Interval(low, high)


def newcombe(
    successes: int, n: int, other_successes: int, other_n: int, confidence: float = 0.95
) -> Interval:
    """Newcombe's interval for the first proportion minus the other, of two independent samples.

    Without trials on a side it is [-1, 1]. Source: method 10 (hybrid score, without continuity
    correction) in R. G. Newcombe, Statistics in Medicine 17 (1998) 873-890.
    """
    ours = wilson(successes, n, confidence)
    theirs = wilson(other_successes, other_n, confidence)
    if n == 0 or other_n == 0:
        return Interval(-1.0, 1.0)
    p, q = successes / n, other_successes / other_n
    return difference(p, ours, q, theirs)


def difference(
    value: float, interval: Interval, other: float, other_interval: Interval
) -> Interval:
    """The interval of one estimate minus another, independent one, from the interval of each.

    At the level of the two. Newcombe's interval is this one on Wilson's intervals. Source: G. Zou
    and A. Donner, Statistics in Medicine 27 (2008) 1693-1702 (MOVER).
    """
    low = value - other - math.hypot(value - interval.low, other_interval.high - other)
    high = value - other + math.hypot(interval.high - value, other - other_interval.low)
    return Interval(low, high)


def _z(confidence: float) -> float:
    """The two-sided standard normal quantile of a confidence level."""
    if not 0 < confidence < 1:
        raise errors.EvaluationError(
            f"a confidence level of {confidence} was given; it must be between 0 and 1, like 0.95"
        )
    return NormalDist().inv_cdf((1 + confidence) / 2)


def _check(successes: float, n: float) -> None:
    if not 0 <= successes <= n:
        raise errors.EvaluationError(
            f"{successes} successes in {n} trials were given; "
            "the successes must be from 0 to the number of trials"
        )

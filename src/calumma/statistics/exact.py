"""Exact tests and intervals for counts: right at any size, where normal approximations are not.

For one look at the data, like the rest of the room. What two classifiers said of the same cases is
in :mod:`calumma.statistics.pairs`.
"""

from __future__ import annotations

from scipy import stats

from calumma import errors
from calumma.statistics.intervals import Interval


def clopper_pearson(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """The interval of all proportions that :func:`binomial` does not refuse.

    Without trials it is [0, 1]. Source: C. J. Clopper and E. S. Pearson, Biometrika 26 (1934)
    404-413.
    """
    _check(successes, n)
    tail = (1 - confidence) / 2
    low = 0.0 if successes == 0 else float(stats.beta.ppf(tail, successes, n - successes + 1))
    high = 1.0 if successes == n else float(stats.beta.ppf(1 - tail, successes + 1, n - successes))
    return Interval(low, high)


def binomial(successes: int, n: int, proportion: float) -> float:
    """The two-sided p-value of ``successes`` in ``n`` trials that succeed with ``proportion``.

    It is twice the smaller tail, at most 1: the test that :func:`clopper_pearson` inverts.
    """
    _check(successes, n)
    below = float(stats.binom.cdf(successes, n, proportion))
    above = float(stats.binom.sf(successes - 1, n, proportion))
    return min(1.0, 2 * min(below, above))


def _check(successes: int, n: int) -> None:
    if not 0 <= successes <= n:
        raise errors.EvaluationError(
            f"{successes} successes in {n} trials were given; "
            "the successes must be from 0 to the number of trials"
        )

"""Proportions of things that go right or wrong together, such as one dish on nine tables.

Such a sample knows less than its number says. With clusters of one the interval is Wilson's own.
"""

from __future__ import annotations

from collections.abc import Sequence

from scipy import stats

from calumma.statistics import intervals
from calumma.statistics.intervals import Interval


def interval(successes: Sequence[int], sizes: Sequence[int], confidence: float = 0.95) -> Interval:
    """The interval of a proportion when trials come in clusters that resemble each other.

    ``successes[i]`` of ``sizes[i]`` trials of cluster ``i``. Wilson's interval for the number of
    independent trials that would have the same variance, made smaller for how few clusters that
    variance was seen in; where all trials agree, each cluster counts as one.
    Source: J. N. K. Rao and A. J. Scott, Biometrics 48 (1992) 577-585; the correction of degrees of
    freedom is that of E. L. Korn and B. I. Graubard, Survey Methodology 24 (1998) 193-201.
    """
    n, clusters = sum(sizes), len(sizes)
    if clusters == 0 or n == 0:
        return Interval(0.0, 1.0)
    if max(sizes) == 1:
        return intervals.wilson(sum(successes), n, confidence)
    p = sum(successes) / n
    effective = float(clusters)
    if 0 < p < 1 and clusters > 1:
        squares = sum((hits - p * size) ** 2 for hits, size in zip(successes, sizes, strict=True))
        variance = clusters / (clusters - 1) * squares / n**2
        effective = min(float(n), p * (1 - p) / variance) if variance else float(n)
    if clusters > 1:
        tail = (1 + confidence) / 2
        effective *= (stats.norm.ppf(tail) / stats.t.ppf(tail, clusters - 1)) ** 2
    return intervals.score(p, effective, confidence)

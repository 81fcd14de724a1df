"""One number of each image: do two samples come from the same distribution? Kolmogorov-Smirnov.

The test looks at the largest distance between the two empirical distribution functions, so it sees
a change of place, of width and of shape. Its p-value is exact for continuous values; equal values
(images of one size, saturated probabilities) make it larger, never smaller. Beyond 10,000 values on
a side the asymptotic distribution takes over.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from scipy import stats

from calumma.drift import detection
from calumma.drift.detection import Detection, Values
from calumma.scoring.metrics import Metric
from calumma.statistics.intervals import Interval


def test(name: str, reference: Values, current: Values, *, alpha: float) -> Detection:
    """The two-sample test; both samples have shape [n].

    The effect is the largest distance between the distribution functions, from 0 to 1. Its interval
    holds for every pair of distributions, because each function is within its own band (Dvoretzky,
    Kiefer, Wolfowitz; P. Massart, Annals of Probability 18 (1990) 1269-1283); it is wide.
    """
    detection.check(name, reference.size, current.size)
    found = stats.ks_2samp(reference, current, method="auto")
    return Detection(
        name,
        float(found.pvalue),
        _distance(name, float(found.statistic), reference.size, current.size),
        reference.size,
        current.size,
        alpha,
    )


def tests(
    name: str, reference: Mapping[str, Values], current: Mapping[str, Values], *, alpha: float
) -> Detection:
    """One detector over several numbers of each image, by Bonferroni."""
    return detection.largest(
        name, [test(each, reference[each], current[each], alpha=alpha) for each in reference]
    )


def _distance(name: str, value: float, n: int, m: int, level: float = 0.95) -> Metric:
    band = sum(math.sqrt(math.log(4 / (1 - level)) / (2 * size)) for size in (n, m))
    interval = Interval(max(0.0, value - band), min(1.0, value + band))
    return Metric(f"distance of {name}", value, min(n, m), interval, level=level)


def empirical(sample: Values) -> tuple[Values, Values]:
    """The empirical distribution function as its steps: sorted values and shares, shapes [n]."""
    return np.sort(sample), np.arange(1, sample.size + 1) / sample.size

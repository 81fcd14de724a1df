"""Many numbers of each image at once: the maximum mean discrepancy, by permutations.

The distance between two samples is that of their means in the space of a Gaussian kernel, whose
width is the median distance of all pairs (reference and current together, so that relabelling the
images changes nothing). The null distribution is had by relabelling them at random, which makes the
p-value exact for any kernel, number of dimensions and sample size. A threshold on the distance
itself, or on a bootstrap of it, has no such promise. Source: A. Gretton and others, Journal of
Machine Learning Research 13 (2012) 723-773.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from scipy.spatial import distance

from calumma.drift import detection
from calumma.drift.detection import Detection, Values
from calumma.scoring.metrics import Metric
from calumma.statistics.intervals import Interval

MOST = 1000
"""Images of a side that are compared: the kernel's matrix grows with their square."""

_BLOCK = 256


class _Sums(NamedTuple):
    """Sums of the kernel over pairs inside and between the samples, for many labellings."""

    inside: Values
    between: Values
    outside: Values


def test(
    name: str,
    reference: Values,
    current: Values,
    *,
    alpha: float,
    seed: int,
    permutations: int = 999,
) -> Detection:
    """The permutation test on vectors, [n, d] and [m, d].

    Of more than :data:`MOST` rows on a side that many are drawn. The effect is the unbiased
    estimate of the squared discrepancy; it may be below zero when there is none.
    """
    detection.check(name, len(reference), len(current), least=3)
    generator = np.random.default_rng(seed)
    reference, current = (_drawn(each, generator) for each in (reference, current))
    n, m = len(reference), len(current)
    kernel = gaussian(np.concatenate([reference, current]))
    labels = np.zeros((permutations + 1, n + m))
    labels[0, :n] = 1
    for row in labels[1:]:
        row[generator.permutation(n + m)[:n]] = 1
    statistics = _unbiased(_sums(kernel, labels), n, m)
    observed, permuted = float(statistics[0]), statistics[1:]
    spread = math.sqrt(_variance(kernel, n, m) + float(permuted.var()))
    half = NormalDist().inv_cdf(0.975) * spread
    effect = Metric(
        f"squared discrepancy of {name}",
        observed,
        min(n, m),
        Interval(observed - half, observed + half),
    )
    return Detection(name, detection.permutation_p_value(observed, permuted), effect, n, m, alpha)


def gaussian(rows: Values) -> Values:
    """The kernel between all pairs of rows [n, d], with zeros on the diagonal.

    Its width is the median distance; rows that are mostly equal get the mean, and 1 if all are.
    """
    distances = distance.pdist(rows)
    width = float(np.median(distances)) or float(distances.mean()) or 1.0
    kernel: Values = distance.squareform(np.exp(-((distances / width) ** 2) / 2))
    return kernel


def _drawn(rows: Values, generator: np.random.Generator) -> Values:
    if len(rows) <= MOST:
        return rows
    return rows[np.sort(generator.choice(len(rows), MOST, replace=False))]


def _sums(kernel: Values, labels: Values) -> _Sums:
    """For labellings [b, n + m], 1 being the reference, the sums over ordered pairs."""
    total, rows = kernel.sum(), kernel.sum(axis=1)
    inside = np.concatenate(
        [
            np.einsum("ij,ij->i", block @ kernel, block)
            for block in np.array_split(labels, math.ceil(len(labels) / _BLOCK))
        ]
    )
    between = labels @ rows - inside
    return _Sums(inside, between, total - inside - 2 * between)


def _unbiased(sums: _Sums, n: int, m: int) -> Values:
    statistics: Values = (
        sums.inside / (n * (n - 1)) + sums.outside / (m * (m - 1)) - 2 * sums.between / (n * m)
    )
    return statistics


def _variance(kernel: Values, n: int, m: int) -> float:
    """The first-order part of the estimate's variance (Hoeffding); permutations give the rest."""
    within = kernel[:n, :n].sum(axis=1) / (n - 1) - kernel[:n, n:].mean(axis=1)
    across = kernel[n:, n:].sum(axis=1) / (m - 1) - kernel[n:, :n].mean(axis=1)
    return float(4 * within.var(ddof=1) / n + 4 * across.var(ddof=1) / m)

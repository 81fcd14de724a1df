"""Can a classifier tell current from reference images? Then they differ: a two-sample test.

A linear classifier learns on one half of both samples to tell them apart, and is asked about the
other half. The area under its ROC curve (the chance that it finds a current image more current than
a reference image) is 0.5 without drift. How far from it chance leads depends on the number of
images, so that a fixed limit such as 0.55 alarms too often on small samples and misses on large
ones; relabelling the half that was not learned from gives an exact p-value. Source: D. Lopez-Paz
and M. Oquab, Revisiting Classifier Two-Sample Tests, ICLR 2017.
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
from scipy import optimize, stats

from calumma.drift import detection
from calumma.drift.detection import Detection, Values
from calumma.scoring.metrics import Metric
from calumma.statistics.intervals import Interval


def test(
    name: str,
    reference: Values,
    current: Values,
    *,
    alpha: float,
    seed: int,
    permutations: int = 999,
) -> Detection:
    """The permutation test on vectors, [n, d] and [m, d]; ``n`` counts all of them."""
    detection.check(name, len(reference), len(current), least=4)
    generator = np.random.default_rng(seed)
    learned, asked = zip(*(_halves(each, generator) for each in (reference, current)), strict=True)
    direction = discriminant(*learned)
    n, m = len(asked[0]), len(asked[1])
    ranks = stats.rankdata(np.concatenate([each @ direction for each in asked]))
    observed = area(ranks[n:], n, m)
    permuted = area(generator.permuted(np.tile(ranks, (permutations, 1)), axis=1)[:, n:], n, m)
    p_value = detection.permutation_p_value(float(observed), np.asarray(permuted))
    effect = Metric(
        f"area under the curve of {name}", float(observed), min(n, m), interval(observed, n, m)
    )
    return Detection(name, p_value, effect, len(reference), len(current), alpha)


def discriminant(reference: Values, current: Values) -> Values:
    """Fisher's linear discriminant [d], its covariance shrunk towards a multiple of the identity.

    Source: O. Ledoit and M. Wolf, Journal of Multivariate Analysis 88 (2004) 365-411, simplified:
    the shrinkage is d / (d + n).
    """
    centred = np.concatenate([reference - reference.mean(axis=0), current - current.mean(axis=0)])
    n, d = centred.shape
    covariance = centred.T @ centred / n
    scale = float(np.trace(covariance)) / d or 1.0
    weight = d / (d + n)
    shrunk = (1 - weight) * covariance + weight * scale * np.eye(d)
    direction: Values = np.linalg.solve(shrunk, current.mean(axis=0) - reference.mean(axis=0))
    return direction


def area(ranks: Values, n: int, m: int) -> Values:
    """The area under the ROC curve from the ranks [..., m] of the current among all scores."""
    found: Values = (ranks.sum(axis=-1) - m * (m + 1) / 2) / (n * m)
    return found


def interval(value: float | Values, n: int, m: int, level: float = 0.95) -> Interval:
    """An interval for an area under the curve; it is never a point, not even at 0 or 1.

    Source: method 5 in R. G. Newcombe, Statistics in Medicine 25 (2006) 559-573.
    """
    z = NormalDist().inv_cdf((1 + level) / 2)
    found = float(value)

    def spread(theta: float) -> float:
        others = (n + m) / 2 - 1
        inner = 1 + others * ((1 - theta) / (2 - theta) + theta / (1 + theta))
        return z * math.sqrt(theta * (1 - theta) * inner / (n * m))

    # At 0 and 1 the spread is zero: the root there is not the one that is looked for.
    inside = min(max(found, 1e-9), 1 - 1e-9)
    low = 0.0 if found <= 0 else optimize.brentq(lambda t: found - t - spread(t), 0, inside)
    high = 1.0 if found >= 1 else optimize.brentq(lambda t: t - found - spread(t), inside, 1)
    return Interval(float(low), float(high))


def _halves(rows: Values, generator: np.random.Generator) -> tuple[Values, Values]:
    order = generator.permutation(len(rows))
    half = len(rows) // 2
    return rows[order[:half]], rows[order[half:]]

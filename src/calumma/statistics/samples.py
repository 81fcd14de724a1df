"""Proportions of samples that are not plain: in strata, in clusters, in pairs.

- A *stratified* sample drew each part of the population on its own (a random part, and one of hard
  cases): the parts are weighted by what they stand for, not by how many were drawn of them.
- A *clustered* sample holds groups of things that go right or wrong together (one dish on nine
  tables): it knows less than its number says.
- A *paired* sample asked two models the same questions: what both get right or wrong says nothing
  about which is better, and leaving it out makes the answer several times sharper.

Everything is in closed form and rests on Wilson's interval; with one stratum, and with clusters of
one, the results are Wilson's own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from scipy import stats

from calumma import errors
from calumma.statistics import intervals
from calumma.statistics.intervals import Interval


class Estimate(NamedTuple):
    """A number and its interval."""

    value: float
    interval: Interval


class Pairs(NamedTuple):
    """How often two models were right about the same cases: numbers of cases."""

    both: int
    first_only: int
    second_only: int
    neither: int

    @property
    def n(self) -> int:
        """All cases."""
        return sum(self)


def weighted(parts: Sequence[tuple[float, Estimate]]) -> Estimate:
    """The sum of independent estimates, each times its weight.

    The distances from each estimate to its limits add as squares, as in Newcombe's interval for a
    difference, which is the case of the weights 1 and -1. Weights of zero are allowed.
    Source: G. Y. Zou and A. Donner, Statistics in Medicine 27 (2008) 1693-1702 (MOVER).
    """
    value = below = above = 0.0
    for weight, (estimate, (low, high)) in parts:
        ends = sorted((weight * (low - estimate), weight * (high - estimate)))
        value += weight * estimate
        below += ends[0] ** 2
        above += ends[1] ** 2
    return Estimate(value, Interval(value - math.sqrt(below), value + math.sqrt(above)))


def clustered(successes: Sequence[int], sizes: Sequence[int], confidence: float = 0.95) -> Interval:
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


def paired(pairs: Pairs, confidence: float = 0.95) -> Interval:
    """The interval of the first model's proportion minus the second's, on the same cases.

    Without cases it is [-1, 1]. Source: method 10 (score intervals with a corrected correlation)
    in R. G. Newcombe, Statistics in Medicine 17 (1998) 2635-2650.
    """
    both, first_only, second_only, neither = pairs
    n = pairs.n
    if n == 0:
        return Interval(-1.0, 1.0)
    ours, theirs = both + first_only, both + second_only
    p, q = ours / n, theirs / n
    first, second = intervals.wilson(ours, n, confidence), intervals.wilson(theirs, n, confidence)
    phi = 0.0
    if product := ours * (n - ours) * theirs * (n - theirs):
        excess = both * neither - first_only * second_only
        if excess > 0:
            excess = max(excess - n / 2, 0.0)  # type: ignore[assignment]
        phi = excess / math.sqrt(product)
    below = _joint(p - first.low, second.high - q, phi)
    above = _joint(first.high - p, q - second.low, phi)
    return Interval(p - q - below, p - q + above)


def mcnemar(pairs: Pairs) -> float:
    """The two-sided exact p-value of "both models are right equally often", on the same cases.

    Source: Q. McNemar, Psychometrika 12 (1947) 153-157, with binomial probabilities.
    """
    discordant = pairs.first_only + pairs.second_only
    if discordant == 0:
        return 1.0
    return float(stats.binomtest(pairs.first_only, discordant, 0.5).pvalue)


def difference(ours: Estimate, theirs: Estimate) -> Estimate:
    """The difference of two independent estimates."""
    return weighted([(1.0, ours), (-1.0, theirs)])


def shares(weights: Sequence[float]) -> list[float]:
    """The weights divided by their sum; raises EvaluationError where that is not above zero."""
    total = math.fsum(weights)
    if not 0 < total < math.inf or min(weights) < 0:
        raise errors.EvaluationError(
            f"the weights {list(weights)} were given; they must be at least 0, and one above it"
        )
    return [weight / total for weight in weights]


def _joint(one: float, other: float, phi: float) -> float:
    return math.sqrt(max(one**2 - 2 * phi * one * other + other**2, 0.0))

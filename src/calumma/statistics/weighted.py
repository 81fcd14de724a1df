"""Proportions of a whole that was sampled unevenly: strata, weighted by how many they stand for.

Readers see all the hard cases and few of the others, so that the plain share of right answers among
what they labelled says more about how it was chosen than about the service. Each stratum has its
own inclusion probability (labelled of all), and weighting by its inverse gives the whole its due.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from calumma.statistics.intervals import Interval, wilson


class Stratum(NamedTuple):
    """``successes`` among ``n`` that were looked at, of ``size`` that there are."""

    successes: int
    n: int
    size: int


class Estimate(NamedTuple):
    """A value, and its interval."""

    value: float
    interval: Interval


def proportion(strata: Sequence[Stratum], confidence: float = 0.95) -> Estimate | None:
    """The proportion in the whole; None when a stratum that is not empty was not looked at.

    With one stratum it is the plain proportion with Wilson's interval. Source of the estimate:
    D. G. Horvitz and D. J. Thompson, JASA 47 (1952) 663-685, with the inclusion probabilities that
    were observed (post-stratification); of the interval: MOVER, the recovery of each stratum's
    variance from its Wilson interval, in G. Y. Zou and A. Donner, Statistics in Medicine 27 (2008)
    1693-1702.
    """
    there = [each for each in strata if each.size]
    if not there or any(each.n == 0 for each in there):
        return None
    whole = sum(each.size for each in there)
    value = below = above = 0.0
    for each in there:
        weight, share = each.size / whole, each.successes / each.n
        found = wilson(each.successes, each.n, confidence)
        value += weight * share
        below += (weight * (share - found.low)) ** 2
        above += (weight * (found.high - share)) ** 2
    return Estimate(
        value, Interval(max(0.0, value - math.sqrt(below)), min(1.0, value + math.sqrt(above)))
    )


def difference(ours: Estimate, theirs: Estimate) -> Estimate:
    """One estimate minus another of an independent sample, by MOVER as well."""
    value = ours.value - theirs.value
    low = math.hypot(ours.value - ours.interval.low, theirs.interval.high - theirs.value)
    high = math.hypot(ours.interval.high - ours.value, theirs.value - theirs.interval.low)
    return Estimate(value, Interval(value - low, value + high))

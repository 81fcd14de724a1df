"""Proportions of a whole that was sampled unevenly: strata, weighted by how many they stand for.

Readers see all the hard cases and few of the others, so that the plain share of right answers among
what they labelled says more about how it was chosen than about the service. Each stratum has its
own inclusion probability (labelled of all), and weighting by its inverse gives the whole its due.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from calumma import errors
from calumma.statistics.intervals import Interval, wilson


class Stratum(NamedTuple):
    """``successes`` among ``n`` that were looked at, of ``size`` that there are."""

    successes: int
    n: int
    size: int


class Estimate(NamedTuple):
    """A number and its interval."""

    value: float
    interval: Interval


def proportion(strata: Sequence[Stratum], confidence: float = 0.95) -> Estimate | None:
    """The proportion in the whole; None when a stratum that is not empty was not looked at.

    With one stratum it is the plain proportion with Wilson's interval. Source: D. G. Horvitz and
    D. J. Thompson, JASA 47 (1952) 663-685, with the inclusion probabilities that were observed
    (post-stratification).
    """
    there = [each for each in strata if each.size]
    if not there or any(each.n == 0 for each in there):
        return None
    parts = [
        Estimate(each.successes / each.n, wilson(each.successes, each.n, confidence))
        for each in there
    ]
    found = total(list(zip(shares([each.size for each in there]), parts, strict=True)))
    return Estimate(
        found.value, Interval(max(0.0, found.interval.low), min(1.0, found.interval.high))
    )


def total(parts: Sequence[tuple[float, Estimate]]) -> Estimate:
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


def shares(weights: Sequence[float]) -> list[float]:
    """The weights divided by their sum; raises EvaluationError where that is not above zero."""
    total = math.fsum(weights)
    if not 0 < total < math.inf or min(weights) < 0:
        raise errors.EvaluationError(
            f"the weights {list(weights)} were given; they must be at least 0, and one above it"
        )
    return [weight / total for weight in weights]

"""Whether events are more frequent in one arm than in the other, window by window, at any time.

A canary's traffic comes in windows (the time between two looks), each with its own share, its own
users and its own hour of the day. Arms are compared only within a window, so that neither a changed
share nor a changed day looks like a difference (Simpson's paradox). Two answers are kept apart:

- :func:`p_value`: the exact evidence that events (errors, wrong answers, slow requests) are more
  frequent in ours than in theirs. Given a window's totals, our number of events is hypergeometric
  whatever the rate is, and with an odds ratio above one it is noncentral; the likelihood ratio of
  the two, mixed over odds ratios and multiplied over windows, is a test martingale. It needs no
  minimum of counts.
- :func:`bounds`: how large the difference may be, as a confidence sequence: the normal mixture
  with the windows' own variances, for as many counts as make a sum normal.

Source: the conditional distribution is R. A. Fisher's (1935); sums over tables W. Cochran's (1954),
N. Mantel's and W. Haenszel's (1959); that mixtures of such likelihood ratios may be looked at
whenever one likes, J. Ville's (1939). For the sequence: I. Waudby-Smith and others, "Time-uniform
central limit theory and asymptotic confidence sequences", Annals of Statistics 52 (2024).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from calumma import errors
from calumma.statistics import mixtures
from calumma.statistics.intervals import Interval

_NODES = 40


class Window(NamedTuple):
    """The counts of one window: our observations and the events among them, then theirs."""

    n: int
    events: int
    other_n: int
    other_events: int


def p_value(windows: Iterable[Window], *, odds: float = 1.6) -> float:
    """Against "events are no more frequent in ours", valid at every look; 1 without evidence.

    ``odds`` is the odds ratio that should be found soonest: 1.6 is an error rate that rises from
    10% to 15%.
    """
    evidence = sum((_log_ratios(each, odds) for each in windows), start=np.zeros(_NODES))
    return min(1.0, math.exp(-float(special.logsumexp(evidence, b=_prior(odds)[1]))))


def bounds(windows: Iterable[Window], *, alpha: float = 0.05, n_opt: float = 1000.0) -> Interval:
    """Our rate of events minus theirs: bounds each of which fails at most ``alpha`` of the time.

    The difference is the windows' average, weighted by how much each can tell. The bounds are
    tightest when ``n_opt`` observations have come to the smaller arm.
    """
    shift = weight = variance = 0.0
    for each in windows:
        _check(each)
        if not (each.n and each.other_n):
            continue
        told = each.n * each.other_n / (each.n + each.other_n)
        shift += told * (each.events / each.n - each.other_events / each.other_n)
        weight += told
        variance += told**2 * (_variance(each.events, each.n))
        variance += told**2 * (_variance(each.other_events, each.other_n))
    if not weight:
        return Interval(-1.0, 1.0)
    v_opt = n_opt * variance / weight
    spread = mixtures.bound(mixtures.Normal(v_opt, alpha), variance, alpha)
    found = shift / weight
    return Interval(max(-1.0, found - spread / weight), min(1.0, found + spread / weight))


def _variance(events: int, n: int) -> float:
    """Of a rate, with a success and a failure added, so that no rate looks certain."""
    rate = (events + 1) / (n + 2)
    return rate * (1 - rate) / n


def _log_ratios(window: Window, odds: float) -> NDArray[np.float64]:
    """The likelihood of a window for each odds ratio, against that for one: logarithms [nodes]."""
    _check(window)
    n, events, other_n, other_events = window
    total = events + other_events
    possible = np.arange(max(0, total - other_n), min(n, total) + 1)
    ways = _log_choose(n, possible) + _log_choose(other_n, total - possible)
    ways = ways - special.logsumexp(ways)
    at = _prior(odds)[0]
    weighed = special.logsumexp(ways[None, :] + at[:, None] * possible[None, :], axis=1)
    found: NDArray[np.float64] = events * at - weighed
    return found


@cache
def _prior(odds: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Logarithms of odds ratios above one, and their weights: half a normal distribution."""
    if not 1 < odds < math.inf:
        raise errors.EvaluationError(
            f"an odds ratio of {odds} should be found; it must be above 1, like 1.6"
        )
    nodes, weights = special.roots_legendre(_NODES)
    scale = math.log(odds)
    places = 2 * scale * (nodes + 1)
    density = weights * np.exp(-((places / scale) ** 2) / 2)
    return places, density / density.sum()


def _log_choose(n: int, k: NDArray[np.int64]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = (
        special.gammaln(n + 1) - special.gammaln(k + 1) - special.gammaln(n - k + 1)
    )
    return found


def _check(window: Window) -> None:
    if not (0 <= window.events <= window.n and 0 <= window.other_events <= window.other_n):
        raise errors.EvaluationError(
            f"{window} was given; the events of an arm are from 0 to its observations"
        )

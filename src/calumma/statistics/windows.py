"""Whether events are more frequent in one arm than in the other, window by window, at any time.

A canary's traffic comes in windows (the time between two looks), each with its own share, its own
users and its own hour of the day. Arms are compared only within a window, so that neither a changed
share nor a changed day looks like a difference (Simpson's paradox).

Given a window's totals, our number of events (errors, wrong answers, slow requests) is
hypergeometric whatever the rate is, and with an odds ratio above one it is noncentral. The
likelihood ratio of the two, mixed over odds ratios and multiplied over windows, is the evidence of
the sequence; within a plan, the sum of these counts is tested exactly. Neither needs a minimum of
counts. How large the difference may be is bounded by Wilson's intervals of both arms, with critical
values of a normal mixture, in which a rate's deviation is taken for normal.

Source: the conditional distribution is R. A. Fisher's (1935); sums over tables W. Cochran's (1954),
N. Mantel's and W. Haenszel's (1959); that mixtures of such likelihood ratios may be looked at
whenever one likes, J. Ville's (1939). For the sequence: I. Waudby-Smith and others, "Time-uniform
central limit theory and asymptotic confidence sequences", Annals of Statistics 52 (2024).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from calumma import errors
from calumma.statistics import arms, designs
from calumma.statistics.designs import Chance, Design, Finding, Look

ODDS = 1.6
"""An error rate that rises from 10% to 15%: the odds ratio that is found soonest."""

_NODES = 40


class Window(NamedTuple):
    """The counts of one window: our observations and the events among them, then theirs."""

    n: int
    events: int
    other_n: int
    other_events: int


def follow(windows: Iterable[Window], design: Design) -> list[Finding]:
    """Our rate of events minus theirs, after each window that both arms have a part in.

    The difference is the windows' average, weighted by how much each can tell.
    """
    return designs.follow(_looks(windows, design), design)


def _looks(windows: Iterable[Window], design: Design) -> Iterator[Look]:
    evidence = np.zeros(_NODES)
    ours, theirs = arms.Arm(), arms.Arm()
    told = 0.0
    for each in windows:
        _check(each)
        if not (each.n and each.other_n):
            continue
        weight = each.n * each.other_n / (each.n + each.other_n)
        ours.add(weight, each.events, each.n)
        theirs.add(weight, each.other_events, each.other_n)
        told += weight
        evidence = evidence + _log_ratios(each)
        within = arms.within(ours, theirs)
        yield Look(
            min(each.n, each.other_n),
            ours.rate,
            theirs.rate,
            within,
            within(design.critical(told)),
            _mixed(evidence) >= -math.log(design.late),
            _chance(each),
        )


@lru_cache(maxsize=16384)
def _chance(window: Window) -> Chance:
    """Our number of events, which is hypergeometric when nothing differs."""
    possible, ways = _ways(window)
    return Chance(window.events, int(possible[0]), np.exp(ways))


@lru_cache(maxsize=16384)
def _log_ratios(window: Window) -> NDArray[np.float64]:
    """The likelihood of a window for each odds ratio, against that for one: logarithms [nodes]."""
    possible, ways = _ways(window)
    at = _prior()[0]
    weighed = np.logaddexp.reduce(ways[None, :] + at[:, None] * possible[None, :], axis=1)
    found: NDArray[np.float64] = window.events * at - weighed
    return found


def _ways(window: Window) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Our possible numbers of events, given the window's totals, and their log probabilities."""
    n, events, other_n, other_events = window
    total = events + other_events
    possible = np.arange(max(0, total - other_n), min(n, total) + 1)
    ways = _log_choose(n, possible) + _log_choose(other_n, total - possible)
    return possible, ways - np.logaddexp.reduce(ways)


def _mixed(evidence: NDArray[np.float64]) -> float:
    """The logarithm of the evidence, over all odds ratios."""
    return float(np.logaddexp.reduce(evidence + _prior()[1]))


@cache
def _prior() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Logarithms of odds ratios above one and of their weights: half a normal distribution."""
    nodes, weights = special.roots_legendre(_NODES)
    scale = math.log(ODDS)
    places = 2 * scale * (nodes + 1)
    density = weights * np.exp(-((places / scale) ** 2) / 2)
    return places, np.log(density / density.sum())


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

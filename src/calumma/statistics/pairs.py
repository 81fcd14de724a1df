"""Two proportions over the same cases: what pairing tells, and how sure it is.

Asking two classifiers about the same images removes what differs between images: the same change
of accuracy is seen with a fraction of the requests. Only the discordant pairs, where one is right
and the other wrong, say which is better.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from functools import cache, partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from calumma import errors
from calumma.statistics import designs, exact, intervals, mixtures
from calumma.statistics.designs import Chance, Design, Finding, Look
from calumma.statistics.intervals import Interval, wilson


class Table(NamedTuple):
    """How many cases both got right, only the first, only the second, and neither."""

    both: int
    only_first: int
    only_second: int
    neither: int

    @property
    def n(self) -> int:
        """All pairs."""
        return sum(self)

    @property
    def discordant(self) -> int:
        """The pairs of which just one is right."""
        return self.only_first + self.only_second

    @property
    def difference(self) -> float | None:
        """The first's share of right answers minus the second's; None without pairs."""
        return (self.only_first - self.only_second) / self.n if self.n else None


def mcnemar(found: Table) -> float:
    """The two-sided p-value of "both are right equally often"; 1 where they never differ.

    Source: Q. McNemar, Psychometrika 12 (1947) 153-157, in its exact form: a binomial test of the
    discordant pairs against one half.
    """
    return exact.binomial(found.only_first, found.discordant, 0.5)


def sequential_loss(found: Table, *, n_opt: float = 100.0, alpha: float = 0.05) -> float:
    """The p-value at any time against "the first is right at least as often as the second".

    It is made for ``n_opt`` discordant pairs. Source: S. R. Howard and others, Annals of Statistics
    49 (2021), proposition 8.
    """
    mixture = mixtures.BetaBinomial(n_opt / 4, 0.5, 0.5, alpha)
    n = found.discordant
    return min(1.0, math.exp(-mixture.log_evidence(found.only_second - n / 2, n / 4)))


def follow(looks: Iterable[Table], design: Design) -> list[Finding]:
    """How much more often the first is wrong, as a share of all pairs, at each of the looks.

    ``looks`` are the pairs that came between two looks; the design's observations are pairs. Within
    the plan, McNemar's exact test is carried out look by look.
    """
    return designs.follow(_looks(looks, design), design)


def newcombe(found: Table, confidence: float = 0.95) -> Interval:
    """Newcombe's interval for the first proportion minus the second, over the same cases.

    Without pairs it is [-1, 1]. Source: method 10 (hybrid score, the correlation corrected for
    continuity) in R. G. Newcombe, Statistics in Medicine 17 (1998) 2635-2650.
    """
    _check(found)
    if found.n == 0:
        return Interval(-1.0, 1.0)
    n = found.n
    first, second = found.both + found.only_first, found.both + found.only_second
    ours, theirs = wilson(first, n, confidence), wilson(second, n, confidence)
    p, q, difference = first / n, second / n, (found.only_first - found.only_second) / n
    phi = _correlation(found)
    below, above = p - ours.low, theirs.high - q
    low = difference - math.sqrt(max(0.0, below**2 - 2 * phi * below * above + above**2))
    below, above = q - theirs.low, ours.high - p
    high = difference + math.sqrt(max(0.0, below**2 - 2 * phi * below * above + above**2))
    return Interval(low, high)


def _looks(looks: Iterable[Table], design: Design) -> Iterator[Look]:
    found = Table(0, 0, 0, 0)
    for each in looks:
        _check(each)
        if not each.n:
            continue
        found = Table(*(a + b for a, b in zip(found, each, strict=True)))
        within = partial(_within, found)
        p_value = sequential_loss(found, n_opt=design.n_opt / 10, alpha=design.late)
        yield Look(
            each.n,
            (found.only_second + found.neither) / found.n,
            (found.only_first + found.neither) / found.n,
            within,
            within(design.critical(found.n)),
            p_value <= design.late,
            Chance(each.only_second, 0, _fair(each.discordant)),
        )


def _within(found: Table, z: float) -> Interval:
    """The second's share of pairs that it alone got right, minus the first's: their shares exclude
    each other, so their correlation is known. Source: Zou and Donner (2008), section 3.
    """
    lost, won = found.only_second / found.n, found.only_first / found.n
    lost_within = intervals.deviations(lost, found.n, z)
    won_within = intervals.deviations(won, found.n, z)
    room = (1 - lost) * (1 - won)
    correlation = -math.sqrt(lost * won / room) if room else 0.0

    def spread(one: float, other: float) -> float:
        return math.sqrt(one**2 + other**2 - 2 * correlation * one * other)

    low = lost - won - spread(lost - lost_within.low, won_within.high - won)
    high = lost - won + spread(lost_within.high - lost, won - won_within.low)
    return Interval(max(-1.0, low), min(1.0, high))


@cache
def _fair(n: int) -> NDArray[np.float64]:
    """How probable each number of heads is among ``n`` tosses."""
    found: NDArray[np.float64] = stats.binom.pmf(np.arange(n + 1), n, 0.5)
    return found


def _check(found: Table) -> None:
    if min(found) < 0:
        raise errors.EvaluationError(f"{found} was given; counts of pairs are 0 or more")


def _correlation(found: Table) -> float:
    """The correlation of being right, moved towards zero where it is positive."""
    both, first, second, neither = found
    margins = (both + first) * (second + neither) * (both + second) * (first + neither)
    if margins == 0:
        return 0.0
    product = float(both * neither - first * second)
    if product > 0:
        product = max(product - found.n / 2, 0.0)
    return product / math.sqrt(margins)

"""Two proportions over the same cases: what pairing tells, and how sure it is.

Asking two classifiers about the same images removes what differs between images: the same change
of accuracy is seen with a fraction of the requests. Only the discordant pairs, where one is right
and the other wrong, say which is better.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from calumma import errors
from calumma.statistics import exact, mixtures
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


def sequential(found: Table, *, n_opt: float = 100.0, alpha: float = 0.05) -> float:
    """The two-sided p-value that holds however often one looks.

    It is made for ``n_opt`` discordant pairs. Source: S. R. Howard and others, Annals of Statistics
    49 (2021), proposition 7.
    """
    return _p_value(found.only_first, found.discordant, n_opt, alpha, one_sided=False)


def sequential_loss(found: Table, *, n_opt: float = 100.0, alpha: float = 0.05) -> float:
    """The p-value at any time against "the first is right at least as often as the second"."""
    return _p_value(found.only_second, found.discordant, n_opt, alpha, one_sided=True)


def newcombe(found: Table, confidence: float = 0.95) -> Interval:
    """Newcombe's interval for the first proportion minus the second, over the same cases.

    Without pairs it is [-1, 1]. Source: method 10 (hybrid score, the correlation corrected for
    continuity) in R. G. Newcombe, Statistics in Medicine 17 (1998) 2635-2650.
    """
    if min(found) < 0:
        raise errors.EvaluationError(f"{found} was given; counts of pairs are 0 or more")
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


def _p_value(wins: int, n: int, n_opt: float, alpha: float, *, one_sided: bool) -> float:
    mixture = mixtures.BetaBinomial(n_opt / 4, 0.5, 0.5, alpha, one_sided)
    return min(1.0, math.exp(-mixture.log_evidence(wins - n / 2, n / 4)))


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

"""Two arms followed look by look: planned for a number of observations, and valid after it.

A test that is planned for a number of observations finds a difference with fewer of them than one
that may go on for ever; but a rollout does go on, and is looked at as often as its driver likes. So
``alpha`` is divided. Most of it is spent while the planned observations come in, very little at
first and nearly all at the end (:func:`groups.spent <calumma.statistics.groups.spent>`). The rest
stands behind a sequence that holds at every look, within the plan and beyond it. Whoever believes
either errs with a chance of at most ``alpha`` over all looks, as the two together cannot err more
often than each of them (Boole's inequality).

Within the plan, "ours is worse" is decided on the exact distribution of a count, such as our wrong
answers among all wrong answers of a window: nothing is taken for normal, and nothing has to be
estimated. How large the difference may be is bounded by repeated confidence intervals, with the
critical values that spend the same alpha.

What is followed: :mod:`~calumma.statistics.windows`, :mod:`~calumma.statistics.pairs` and
:mod:`~calumma.statistics.means`. Source: C. Jennison, B. Turnbull, Group Sequential Methods (2000),
chapters 7 and 9; K. Lan, D. DeMets, Biometrika 70 (1983) 659-663.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from calumma import errors
from calumma.statistics import groups, mixtures
from calumma.statistics.intervals import Interval

PLANNED = 0.9
"""The part of alpha that is spent within the plan."""

_PLACES = 30
"""Within the plan at most so many looks count: one each time that another such part has come."""

_NEGLIGIBLE = 1e-13

Within = Callable[[float], Interval]
"""The bounds of a difference that so many standard deviations make."""


@dataclass(frozen=True)
class Design:
    """How alpha, the chance of an error on one side at any look, is divided.

    ``planned`` is a number of observations of the smaller arm, or of pairs; without it all of alpha
    stands behind the sequence, which is then tightest near ``tight`` observations, and else near
    three times the plan.
    """

    alpha: float = 0.05
    planned: int | None = None
    tight: float = 1000.0

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 0.5:
            raise errors.EvaluationError(
                f"an alpha of {self.alpha} was given; it must be above 0 and below 0.5, like 0.05"
            )
        if self.planned is not None and self.planned < 1:
            raise errors.EvaluationError(
                f"{self.planned} observations were planned; at least one is possible"
            )

    @property
    def early(self) -> float:
        """The part of alpha that the planned looks spend."""
        return PLANNED * self.alpha if self.planned else 0.0

    @property
    def late(self) -> float:
        """The part of alpha for all looks, however many."""
        return self.alpha - self.early

    @property
    def n_opt(self) -> float:
        """The number of observations for which the sequence is made."""
        return 3.0 * self.planned if self.planned else self.tight

    def critical(self, information: float) -> float:
        """How many standard deviations the sequence grants a normal sum, at any look.

        ``information`` is the number of observations of the smaller arm that the sum is worth.
        """
        return _critical(information / self.n_opt, self.late)


class Finding(NamedTuple):
    """What is known at a look of our value, of theirs, and of ours minus theirs.

    Each of the bounds ``low`` and ``high`` of the difference fails with a chance of at most alpha,
    at all looks together; ``worse`` is whether it is shown to be above zero.
    """

    ours: float
    theirs: float
    low: float
    high: float
    worse: bool

    @property
    def estimate(self) -> float:
        """Ours minus theirs."""
        return self.ours - self.theirs


class Chance(NamedTuple):
    """A count that came with a look, and how probable each value was if nothing differs.

    ``probabilities[k]`` is that of ``least + k``.
    """

    value: int
    least: int
    probabilities: NDArray[np.float64]


class Look(NamedTuple):
    """What a look is worth: ``n`` new observations of the smaller arm, and all that is known now.

    ``within`` gives the bounds of so many standard deviations, ``always`` holds those of the
    sequence, ``shown`` says whether the sequence shows that ours is worse. Where ``chance`` is
    missing, the bounds decide that within the plan too.
    """

    n: int
    ours: float
    theirs: float
    within: Within
    always: Interval
    shown: bool
    chance: Chance | None


def follow(looks: Iterable[Look], design: Design) -> list[Finding]:
    """What is known at each of the looks."""
    plan = _Plan(design)
    worse = False
    found = []
    for look in looks:
        plan.look(look)
        worse = worse or look.shown or plan.worse
        low, high = _common(look.always, plan.bounds)
        if look.shown:  # What all data show is not outweighed by what the plan said of the first.
            high = look.always.high
        low = max(low, 0.0) if worse else min(low, 0.0)
        found.append(Finding(look.ours, look.theirs, low, max(low, high), worse))
    return found


class _Plan:
    """The planned looks: what they have shown so far, and the bounds of the last one."""

    def __init__(self, design: Design) -> None:
        self.worse = False
        self.bounds = Interval(-math.inf, math.inf)
        self._design = design
        self._n = 0
        self._times: list[float] = []
        self._walk = _Walk()

    def look(self, look: Look) -> None:
        """Take a look in; it counts as a planned one when enough has come since the last one."""
        planned = self._design.planned
        before = self._times[-1] if self._times else 0.0
        if not planned or before >= 1:
            return
        self._n += look.n
        if look.chance:
            self._walk.go(look.chance)
        time = self._n / planned
        if math.floor(time * _PLACES) == math.floor(before * _PLACES):
            return
        self._times.append(time)
        critical = _spent(tuple(self._times), self._design.early)
        self.bounds = look.within(critical)
        if look.chance:
            reached = self._walk.reaches(groups.spending(time, self._design.early))
        else:
            reached = self.bounds.low > 0
        self.worse = self.worse or reached


class _Walk:
    """The distribution of a sum of counts that has not been cut off so far, and the sum itself."""

    def __init__(self) -> None:
        self._sum = 0
        self._least = 0
        self._alive: NDArray[np.float64] = np.ones(1)
        self._cut = 0.0

    def go(self, chance: Chance) -> None:
        """Another count comes to the sum."""
        self._sum += chance.value
        self._least += chance.least
        alive = np.convolve(self._alive, chance.probabilities)
        there = np.flatnonzero(alive > _NEGLIGIBLE)
        if there.size:
            alive = alive[there[0] : there[-1] + 1]
            self._least += int(there[0])
        self._alive = alive

    def reaches(self, allowed: float) -> bool:
        """Whether the sum is among the largest ones, cut off with all before at most ``allowed``.

        What discreteness leaves unspent is there at the next look.
        """
        above = np.cumsum(self._alive[::-1])
        number = int(np.searchsorted(above, allowed - self._cut, side="right"))
        kept = self._alive.size - number
        reached = number > 0 and self._sum >= self._least + kept
        if number:
            self._cut += float(above[number - 1])
            self._alive = self._alive[: max(kept, 1)] if kept else np.zeros(1)
        return reached


def _common(always: Interval, planned: Interval) -> Interval:
    """What both hold; where they exclude each other, as something has changed, the newer one."""
    low, high = max(always.low, planned.low), min(always.high, planned.high)
    return Interval(low, high) if low <= high else always


@lru_cache(maxsize=4096)
def _spent(times: tuple[float, ...], alpha: float) -> float:
    return groups.spent(times, alpha, one_sided=True)[-1]


@lru_cache(maxsize=16384)
def _critical(time: float, alpha: float) -> float:
    return mixtures.bound(mixtures.Normal(1.0, alpha), time, alpha) / math.sqrt(time)

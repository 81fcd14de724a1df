"""One arm's rate over windows that count by a weight, and how far two such rates may be apart."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from calumma.statistics import intervals
from calumma.statistics.designs import Within
from calumma.statistics.intervals import Interval


@dataclass
class Arm:
    """The weighted average of what the windows say of one arm.

    Its observations are from 0 to 1; if they are nothing between, as events are, then nothing that
    has the same mean varies more, so that for the others the bounds are wider than they need be.
    """

    weight: float = 0.0
    total: float = 0.0
    squares: float = 0.0

    def add(self, weight: float, total: float, n: int) -> None:
        """Take a window in: ``n`` observations that add up to ``total``."""
        self.weight += weight
        self.total += weight * total / n
        self.squares += weight**2 / n

    @property
    def rate(self) -> float:
        """The average so far, from 0 to 1."""
        return min(max(self.total / self.weight, 0.0), 1.0)

    @property
    def worth(self) -> float:
        """How many observations, all with one weight, would tell as much."""
        return self.weight**2 / self.squares


def within(ours: Arm, theirs: Arm) -> Within:
    """The bounds of so many standard deviations of our rate minus theirs, as they are now.

    Newcombe's interval: both arms' Wilson intervals, taken together.
    """
    return partial(_within, ours.rate, ours.worth, theirs.rate, theirs.worth)


def _within(rate: float, n: float, other: float, other_n: float, z: float) -> Interval:
    bounds, other_bounds = (
        intervals.deviations(rate, n, z),
        intervals.deviations(other, other_n, z),
    )
    return intervals.difference(rate, bounds, other, other_bounds)

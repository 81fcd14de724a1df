"""Group-sequential tests: a number of looks that is planned, with a guaranteed error over all.

Where the amount of data is known beforehand, a test whose bounds spend ``alpha`` over planned looks
finds a difference sooner than one that allows any number of looks. The standardised statistic is
compared with a critical value at each look; its joint distribution over the looks is integrated
numerically.

Source: P. Armitage, C. McPherson, B. Rowe, JRSS A 132 (1969) 235-244, for the recursion;
C. Jennison, B. Turnbull, Group Sequential Methods (2000), chapters 2, 7 and 19; K. Lan, D. DeMets,
Biometrika 70 (1983) 659-663, for spending.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special, stats

from calumma import errors

_POINTS = 240
_FAR = 9.0
"""Standard deviations beyond which nothing is integrated."""


def error(
    critical: Sequence[float], information: Sequence[float], *, one_sided: bool = False
) -> float:
    """The probability that the statistic ever passes its critical value when nothing differs.

    ``information`` is what each look rests on, increasing, such as the numbers of observations.
    """
    walk = _Walk(one_sided=one_sided)
    return sum(walk.look(c, t) for c, t in zip(critical, information, strict=True))


def pocock(looks: int, alpha: float = 0.05, *, one_sided: bool = False) -> float:
    """The critical value that is the same at each of equally spaced looks."""
    return _constant(lambda c: [c] * looks, looks, alpha, one_sided=one_sided)


def obrien_fleming(looks: int, alpha: float = 0.05, *, one_sided: bool = False) -> list[float]:
    """Critical values that fall with the square root of the number of equally spaced looks."""
    shape = [math.sqrt(looks / look) for look in range(1, looks + 1)]
    constant = _constant(lambda c: [c * each for each in shape], looks, alpha, one_sided=one_sided)
    return [constant * each for each in shape]


def spending(time: float, alpha: float) -> float:
    """How much of ``alpha`` is spent at a share of the plan, in O'Brien and Fleming's manner.

    Equation 5 of Lan and DeMets; all of it from a time of 1 on.
    """
    return 2 * float(special.ndtr(special.ndtri(alpha / 2) / math.sqrt(min(time, 1.0))))


def spent(
    information: Sequence[float], alpha: float = 0.05, *, one_sided: bool = False
) -> list[float]:
    """Critical values at looks that come when they come, by :func:`spending`.

    ``information`` is the share of the planned total at each look, increasing, as far as it is
    known: later looks do not change earlier values. The last look may come beyond the plan.
    """
    if (
        list(information) != sorted(set(information))
        or min(information, default=1) <= 0
        or any(time >= 1 for time in information[:-1])
    ):
        raise errors.EvaluationError(
            f"looks at {list(information)} of the planned data were given; "
            "they must increase, from above 0, and only the last one may be at 1 or more"
        )
    walk = _Walk(one_sided=one_sided)
    found: list[float] = []
    before = 0.0
    for time in information:
        now = spending(time, alpha)
        critical = walk.critical(max(now - before, 1e-16), time)
        walk.look(critical, time)
        found.append(critical)
        before = now
    return found


def _constant(
    bounds: Callable[[float], list[float]], looks: int, alpha: float, *, one_sided: bool
) -> float:
    times = list(accumulate([1.0] * looks))
    return float(
        optimize.brentq(
            lambda c: error(bounds(c), times, one_sided=one_sided) - alpha, 0.5, 8.0, xtol=1e-10
        )
    )


@cache
def _quadrature() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Gauss and Legendre's nodes and weights on [-1, 1]."""
    nodes, weights = special.roots_legendre(_POINTS)
    return nodes, weights


class _Walk:
    """The distribution of a Brownian motion that has not passed its bounds so far."""

    def __init__(self, *, one_sided: bool) -> None:
        self._one_sided = one_sided
        self._time = 0.0
        self._places: NDArray[np.float64] = np.zeros(1)
        self._weights: NDArray[np.float64] = np.ones(1)

    def look(self, critical: float, time: float) -> float:
        """Go on to a time; the probability of passing the critical value there, first of all."""
        passed = self._passing(critical, time)
        deviation = math.sqrt(time)
        top = critical * deviation
        bottom = -_FAR * deviation if self._one_sided else -top
        nodes, weights = _quadrature()
        places = (top - bottom) / 2 * nodes + (top + bottom) / 2
        step = math.sqrt(time - self._time)
        density = stats.norm.pdf((places[:, None] - self._places[None, :]) / step) / step
        self._weights = (top - bottom) / 2 * weights * (density @ self._weights)
        self._places, self._time = places, time
        return passed

    def critical(self, probability: float, time: float) -> float:
        """The critical value that is passed first at a time with a probability."""

        def excess(critical: float) -> float:
            return self._passing(critical, time) - probability

        return float(optimize.brentq(excess, -_FAR, _FAR, xtol=1e-10))

    def _passing(self, critical: float, time: float) -> float:
        step = math.sqrt(time - self._time)
        top = critical * math.sqrt(time)
        found = stats.norm.sf((top - self._places) / step)
        if not self._one_sided:
            found = found + stats.norm.cdf((-top - self._places) / step)
        return float(self._weights @ found)

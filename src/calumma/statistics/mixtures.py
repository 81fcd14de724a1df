"""Mixture supermartingales: evidence that stays valid however often one looks at it.

A sum ``s`` of centred observations, with an intrinsic time ``v`` (for most sums their accumulated
variance), is followed while it grows. A mixture turns the two into evidence ``M(s, v)`` against the
hypothesis that the observations' mean is at most zero (one-sided) or zero (two-sided). Under the
hypothesis ``M`` is a supermartingale from 1, so that it ever exceeds ``1 / alpha`` with probability
at most ``alpha``: Ville's inequality. ``1 / M`` is a p-value at every look, and the ``s`` at which
``M`` reaches ``1 / alpha`` bounds the sum at all times at once.

A mixture is tightest near one intrinsic time, ``v_opt``, which is chosen beforehand.

Source: S. R. Howard, A. Ramdas, J. McAuliffe, J. Sekhon, "Time-uniform, nonparametric,
nonasymptotic confidence sequences", Annals of Statistics 49 (2021), propositions 5 to 10.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from scipy import optimize, special

from calumma import errors


class Mixture(Protocol):
    """Evidence as a function of a sum and its intrinsic time."""

    def log_evidence(self, s: float, v: float) -> float:
        """The logarithm of ``M(s, v)``; infinite where the sum is impossible."""
        ...

    def largest_sum(self, v: float) -> float:
        """The largest sum that is possible at an intrinsic time, or infinity."""
        ...


def bound(mixture: Mixture, v: float, alpha: float) -> float:
    """The sum that is exceeded at any time with probability at most ``alpha``, at time ``v``.

    ``v`` is in squared units of the observations, the bound in their unit.
    """
    threshold = math.log(1 / alpha)

    def missing(s: float) -> float:
        return mixture.log_evidence(s, v) - threshold

    top = mixture.largest_sum(v)
    if math.isinf(top):
        top = max(v, 1.0)
        while missing(top) < 0:
            top *= 2
    elif missing(top) < 0:
        return top
    return float(optimize.brentq(missing, 0.0, top, xtol=1e-12, rtol=1e-12))


def tuned(v_opt: float, alpha: float, *, one_sided: bool) -> float:
    """The mixing precision for which a normal mixture's bound is tightest at ``v_opt``.

    Equation 3.6 of the source, without Lambert's function; a one-sided bound spends ``alpha`` on
    one side, where a two-sided one would have half of it.
    """
    if not (v_opt > 0 and 0 < alpha < 1):
        raise errors.EvaluationError(
            f"a bound was to be tightest at {v_opt} with alpha {alpha}; "
            "the time must be positive and alpha between 0 and 1"
        )
    spent = 2 * math.log(1 / min(2 * alpha if one_sided else alpha, 0.999))
    return v_opt / (spent + math.log1p(spent))


@dataclass(frozen=True)
class Normal:
    """For sub-Gaussian sums: bounded, or normal with known variance."""

    v_opt: float
    alpha: float = 0.05
    one_sided: bool = True

    @cached_property
    def rho(self) -> float:
        """The precision of the normal distribution over means."""
        return tuned(self.v_opt, self.alpha, one_sided=self.one_sided)

    def log_evidence(self, s: float, v: float) -> float:
        """Propositions 5 (two-sided) and 6 (one-sided)."""
        spread = v + self.rho
        found = 0.5 * math.log(self.rho / spread) + s * s / (2 * spread)
        if not self.one_sided:
            return found
        return found + math.log(2) + float(special.log_ndtr(s / math.sqrt(spread)))

    def largest_sum(self, v: float) -> float:
        """Any sum is possible."""
        return math.inf


def _gamma_prior(
    v_opt: float, c: float, alpha: float, mass: Callable[[float, float], float]
) -> tuple[float, float]:
    """The shape of a truncated gamma distribution over rates, and the logarithm of its constant.

    ``mass`` is the incomplete gamma function of the side that is kept.
    """
    shape = tuned(v_opt, alpha, one_sided=True) / c**2
    constant = shape * math.log(shape) - special.gammaln(shape) - math.log(mass(shape, shape))
    return shape, float(constant)


@dataclass(frozen=True)
class GammaExponential:
    """For sums whose single observations may be large: sub-exponential with scale ``c``.

    It bounds sums of observations that are at most ``c`` below their prediction, with ``v`` the sum
    of squared errors of predictions made before each: no variance need be known (theorem 4).
    """

    v_opt: float
    c: float
    alpha: float = 0.05

    @cached_property
    def _prior(self) -> tuple[float, float]:
        return _gamma_prior(self.v_opt, self.c, self.alpha, special.gammainc)

    def log_evidence(self, s: float, v: float) -> float:
        """Proposition 9."""
        prior, constant = self._prior
        square = self.c**2
        moved = (self.c * s + v) / square
        shape, scale = v / square + prior, moved + prior
        if scale <= 0:
            return -math.inf
        return float(
            constant
            + special.gammaln(shape)
            + math.log(max(special.gammainc(shape, scale), 5e-324))
            - shape * math.log(scale)
            + moved
        )

    def largest_sum(self, v: float) -> float:
        """Any sum is possible."""
        return math.inf


@dataclass(frozen=True)
class GammaPoisson:
    """For counts: sums of a Poisson kind with jumps of ``c``."""

    v_opt: float
    c: float
    alpha: float = 0.05

    @cached_property
    def _prior(self) -> tuple[float, float]:
        return _gamma_prior(self.v_opt, self.c, self.alpha, special.gammaincc)

    def log_evidence(self, s: float, v: float) -> float:
        """Proposition 10."""
        prior, constant = self._prior
        square = self.c**2
        rate = v / square + prior
        shape = s / self.c + rate
        return float(
            constant
            + special.gammaln(shape)
            + math.log(max(special.gammaincc(shape, rate), 5e-324))
            - shape * math.log(rate)
            + v / square
        )

    def largest_sum(self, v: float) -> float:
        """Any sum is possible."""
        return math.inf


@dataclass(frozen=True)
class BetaBinomial:
    """For observations in an interval from ``-g`` to ``h``: exact for successes and failures.

    A success with probability ``p`` less ``p`` lies in ``g = p``, ``h = 1 - p``; ``v`` is
    ``g * h`` for each observation.
    """

    v_opt: float
    g: float
    h: float
    alpha: float = 0.05
    one_sided: bool = True

    @cached_property
    def _r(self) -> float:
        rho = tuned(self.v_opt, self.alpha, one_sided=self.one_sided)
        return max(rho - self.g * self.h, 1e-3 * self.g * self.h)

    def log_evidence(self, s: float, v: float) -> float:
        """Propositions 7 (two-sided) and 8 (one-sided)."""
        g, h, width = self.g, self.h, self.g + self.h
        failures, successes = (v - g * s) / (g * width), (v + h * s) / (h * width)
        prior = self._r / (g * width), self._r / (h * width)
        if failures < -prior[0] or successes < -prior[1]:
            return math.inf
        return (
            v / (g * h) * math.log(width)
            - successes * math.log(g)
            - failures * math.log(h)
            + self._log_beta(prior[0] + failures, prior[1] + successes)
            - self._log_beta(*prior)
        )

    def largest_sum(self, v: float) -> float:
        """All observations at their upper end."""
        return v / self.g

    def _log_beta(self, a: float, b: float) -> float:
        """The logarithm of the beta function, incomplete where only one side counts."""
        whole = float(special.betaln(a, b))
        if not self.one_sided:
            return whole
        part = float(special.betainc(a, b, self.h / (self.g + self.h)))
        return whole + math.log(max(part, 5e-324))

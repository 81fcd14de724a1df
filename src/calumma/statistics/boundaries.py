"""Bounds in closed form for sums and distribution functions, valid at all times at once.

They are looser than :mod:`~calumma.statistics.mixtures` near the time for which those are made, and
grow at the slowest possible rate (the law of the iterated logarithm), so they suit what is watched
for very long, and whole distributions.

Source: S. R. Howard and others, Annals of Statistics 49 (2021), theorem 1 (stitching); S. R. Howard
and A. Ramdas, "Sequential estimation of quantiles with applications to A/B testing and best-arm
identification", Bernoulli 28 (2022), theorems 2 and 3.
"""

from __future__ import annotations

import math

from scipy import optimize, special


def stitched(
    v: float, alpha: float, *, v_min: float, c: float = 0.0, s: float = 1.4, eta: float = 2.0
) -> float:
    """A polynomial stitched bound on a sub-gamma sum with scale ``c`` at intrinsic time ``v``.

    ``v_min`` is the time from which the bound is meant to be tight; ``eta`` is the ratio of the
    epochs and ``s`` how fast alpha is spent over them.
    """
    time = max(v, v_min)
    first, second = _factors(eta)
    spent = s * math.log(math.log(eta * time / v_min)) + math.log(
        special.zeta(s) / (alpha * math.log(eta) ** s)
    )
    linear = second * c * spent
    return math.hypot(first * math.sqrt(time * spent), linear) + linear


def quantile(
    p: float,
    t: float,
    alpha: float,
    *,
    t_opt: float,
    delta: float = 0.5,
    s: float = 1.4,
    eta: float = 2.0,
) -> float:
    """How far the number of observations below the ``p`` quantile strays from ``p * t``, at most.

    It holds for all quantiles and all numbers of observations ``t`` at once; ``t_opt`` is where it
    is tight (double stitching, theorem 3).
    """
    time = max(t, t_opt)
    logit = math.log(p / (1 - p))
    nearer = special.expit(logit + 2 * delta * math.sqrt(t_opt * eta / time))
    r = p if p >= 0.5 else min(0.5, float(nearer))
    variance = r * (1 - r)
    place = math.sqrt(time / t_opt) * abs(logit) / (2 * delta) + 1
    zeta = float(special.zeta(s))
    spent = (
        s * math.log(math.log(eta * time / t_opt))
        + s * math.log(place)
        + math.log(2 * zeta * (2 * zeta + 1) / (alpha * math.log(eta) ** s))
    )
    first, second = _factors(eta)
    linear = second * (1 - 2 * p) / 3 * spent
    grid = delta * math.sqrt(eta * time * variance / t_opt)
    return grid + math.hypot(first * math.sqrt(variance * time * spent), linear) + linear


def distribution(t: float, alpha: float, *, t_min: float, scale: float = 0.85) -> float:
    """The largest distance of an empirical distribution function from the true one, at any time.

    A probability; infinite before ``t_min`` observations (theorem 2).
    """
    if t < t_min:
        return math.inf
    return scale * math.sqrt((math.log1p(math.log(t / t_min)) + _offset(alpha, scale)) / t)


def _offset(alpha: float, scale: float) -> float:
    """The smallest constant with which the bound of a distribution errs at most ``alpha``."""

    def error(eta: float, offset: float) -> float:
        rate = 2 / eta * (scale - math.sqrt(2 * (eta - 1) / offset)) ** 2
        if rate <= 1:
            return math.inf
        return 4 * math.exp(-rate * offset) * (1 + 1 / ((rate - 1) * math.log(eta)))

    def least(offset: float) -> float:
        def room(eta: float) -> float:
            return math.sqrt(eta / 2) + math.sqrt(2 * (eta - 1) / offset) - scale

        most = optimize.brentq(room, 1.0, 2 * scale**2)
        found = optimize.minimize_scalar(
            error, args=(offset,), bounds=(1.0, most), method="bounded", options={"xatol": 1e-10}
        )
        return float(found.fun)

    low = high = 5.0
    while least(high) > alpha:
        high *= 2
    while least(low) < alpha:
        low /= 2
    return float(optimize.brentq(lambda offset: least(offset) - alpha, low, high, xtol=1e-10))


def _factors(eta: float) -> tuple[float, float]:
    """The constants of the square root's and of the linear term for epochs of ratio ``eta``."""
    return (eta**0.25 + eta**-0.25) / math.sqrt(2), (math.sqrt(eta) + 1) / 2

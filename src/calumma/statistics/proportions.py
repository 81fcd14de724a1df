"""Intervals for a proportion that may be looked at after every observation.

At each look the interval holds all proportions against which there is not enough evidence; with
probability ``1 - alpha`` the true one is in all of them. Wilson's interval, for one look, is in
:mod:`~calumma.statistics.intervals`.
"""

from __future__ import annotations

import math

from scipy import optimize

from calumma import errors
from calumma.statistics import mixtures
from calumma.statistics.intervals import Interval


def sequential(successes: int, n: int, *, alpha: float = 0.05, n_opt: float) -> Interval:
    """The beta-binomial confidence sequence for a proportion, after ``n`` trials.

    It is tightest near ``n_opt`` trials, to be chosen beforehand. Without trials it is [0, 1].
    Source: Howard and others (2021), proposition 7, inverted over the proportion.
    """
    if not 0 <= successes <= n:
        raise errors.EvaluationError(
            f"{successes} successes in {n} trials were given; "
            "the successes must be from 0 to the number of trials"
        )
    if n == 0:
        return Interval(0.0, 1.0)
    found = successes / n

    def missing(p: float) -> float:
        mixture = mixtures.BetaBinomial(p * (1 - p) * n_opt, p, 1 - p, 0.05, one_sided=False)
        evidence = mixture.log_evidence(successes - p * n, p * (1 - p) * n)
        return min(evidence, 1e300) + math.log(alpha)

    def end(towards: float) -> float:
        """Where the evidence suffices between the observed proportion and 0 or 1."""
        inside = min(max(found, 1e-12), 1 - 1e-12)
        outside = 1e-12 if towards == 0 else 1 - 1e-12
        if found == towards or missing(outside) <= 0:
            return towards
        return float(optimize.brentq(missing, inside, outside, xtol=1e-12))

    return Interval(end(0.0), end(1.0))

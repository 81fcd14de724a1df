"""Whether requests were divided as declared, looked at whenever one likes.

If one request in ten should go to the canary and one in seven does, then something chooses: a
retry, a cache, a client that sticks to a connection. What the two got is then not comparable, and
no statistic of their answers can tell.

Source: A. Fabijan and others, "Diagnosing sample ratio mismatch in online controlled experiments",
KDD (2019); M. Lindon, A. Malek, "Anytime-valid inference for multinomial count data", NeurIPS
(2022), here with a beta distribution in each step.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from calumma import errors
from calumma.statistics import mixtures


class Step(NamedTuple):
    """The share that was declared for us, above 0 and below 1, and what both have got."""

    share: float
    ours: int
    theirs: int


def p_value(steps: Iterable[Step], *, n_opt: float = 1000.0, alpha: float = 0.001) -> float:
    """Against "each request came to us with its step's declared share", valid at every look.

    The evidence of the steps is multiplied: a step begins with nothing. It is made for ``n_opt``
    requests in a step and the level ``alpha``.
    """
    evidence = 0.0
    for each in steps:
        share, ours, theirs = each
        if not (0 < share < 1 and ours >= 0 and theirs >= 0):
            raise errors.EvaluationError(
                f"{each} was given; a declared share is between 0 and 1, requests are 0 or more"
            )
        n, variance = ours + theirs, share * (1 - share)
        mixture = mixtures.BetaBinomial(n_opt * variance, share, 1 - share, alpha, one_sided=False)
        evidence += mixture.log_evidence(ours - share * n, variance * n)
    return min(1.0, math.exp(-max(evidence, 0.0)))

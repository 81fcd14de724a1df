"""Intervals for what depends on its neighbours, such as latencies, by resampling whole blocks.

Requests that meet the same stall are slow together. A bootstrap of single requests takes them for
independent, and its intervals are far too narrow: under a stall it would swear to a 99th percentile
that the next run refutes. Blocks of neighbours keep what belongs together.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import stats

from calumma import errors
from calumma.statistics.bootstrap import Samples
from calumma.statistics.intervals import Interval

_MEMORY = 4_000_000
"""Resampled values held at once: 32 MB."""


def length(values: Samples) -> int:
    """How many neighbours belong together: ``(2 r / (1 - r**2)) ** (2/3) * n ** (1/3)``.

    r is the correlation of neighbours, or that of their ranks, which a single outlier does not
    hide, whichever is larger. At most a fifth of the values, so that there is something to
    resample. Source: E. Carlstein, Annals of Statistics 14 (1986) 1171-1179, for a first-order
    autoregression.
    """
    if values.size < 3:
        return 1
    correlation = max(_correlation(values), _correlation(stats.rankdata(values)))
    correlation = min(max(correlation, 0.0), 0.999)
    found = math.pow(2 * correlation / (1 - correlation**2), 2 / 3) * math.cbrt(values.size)
    return max(1, min(math.ceil(found), values.size // 5))


def intervals(
    statistic: Callable[..., Any],
    values: Samples,
    *,
    seed: int,
    confidence: float = 0.95,
    resamples: int = 1000,
) -> list[Interval]:
    """Percentile-bootstrap intervals of ``statistic(values)`` by circular blocks.

    ``values`` are in the order in which they came. ``statistic`` reduces the last axis, and gives
    as many results, along its first axis, as there are intervals: ``np.quantile(x, [0.5, 0.9],
    axis=-1)``. Source: D. Politis and J. Romano, in Exploring the Limits of Bootstrap (1992)
    263-270. Raises :class:`~calumma.errors.EvaluationError` without values.
    """
    if values.size == 0:
        raise errors.EvaluationError("a bootstrap interval needs at least one value")
    generator = np.random.default_rng(seed)
    size = length(values)
    number = math.ceil(values.size / size)
    found = []
    rows = max(1, _MEMORY // values.size)
    for start in range(0, resamples, rows):
        count = min(rows, resamples - start)
        begins = generator.integers(0, values.size, (count, number, 1))
        places = (begins + np.arange(size)).reshape(count, -1)[:, : values.size]
        found.append(np.atleast_2d(statistic(values[places % values.size])))
    tail = (1 - confidence) / 2
    low, high = np.quantile(np.concatenate(found, axis=1), [tail, 1 - tail], axis=1)
    return [Interval(*map(float, each)) for each in zip(low, high, strict=True)]


def _correlation(values: Samples) -> float:
    """The correlation of neighbours, 0 where nothing varies."""
    apart = values - values.mean()
    spread = float(apart @ apart)
    return float(apart[1:] @ apart[:-1]) / spread if spread > 0 else 0.0

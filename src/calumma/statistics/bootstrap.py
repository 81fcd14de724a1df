"""Intervals by resampling, for means, quantiles and their differences.

The percentile bootstrap assumes independent samples and enough of them: for a quantile near the
edge of a small sample (the 99th percentile of fifty values) no method can say much, and this one
then says too much. For proportions use :mod:`calumma.statistics.intervals`, which needs no luck.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calumma import errors
from calumma.statistics.intervals import Interval

Samples = NDArray[np.float64]

# Resampled values held in memory at once: 32 MB.
_BLOCK = 4_000_000


def percentile(
    statistic: Callable[..., Any],
    *samples: Samples,
    seed: int,
    confidence: float = 0.95,
    resamples: int = 2000,
) -> Interval:
    """The percentile-bootstrap interval of ``statistic(*samples)``.

    ``statistic`` reduces the last axis of each argument (``np.mean(x, axis=-1)``); with two samples
    it is given both and each is resampled on its own. The same seed gives the same interval.
    Source: B. Efron and R. Tibshirani, An Introduction to the Bootstrap (1993), chapter 13.
    Raises :class:`~calumma.errors.EvaluationError` for an empty sample.
    """
    if not samples or any(sample.size == 0 for sample in samples):
        raise errors.EvaluationError("a bootstrap interval needs at least one value in each sample")
    generator = np.random.default_rng(seed)
    block = max(1, _BLOCK // sum(sample.size for sample in samples))
    values = []
    for start in range(0, resamples, block):
        rows = min(block, resamples - start)
        drawn = [
            sample[generator.integers(0, sample.size, (rows, sample.size))] for sample in samples
        ]
        values.append(statistic(*drawn))
    tail = (1 - confidence) / 2
    low, high = np.quantile(np.concatenate(values), [tail, 1 - tail])
    return Interval(float(low), float(high))


def stratified(
    statistic: Callable[[NDArray[np.intp]], NDArray[np.float64]],
    strata: NDArray[np.intp],
    *,
    seed: int,
    resamples: int = 2000,
) -> NDArray[np.float64]:
    """The values of a statistic over resampled cases, float64 [resamples, ...].

    ``strata`` [n] numbers each case's stratum; each is resampled on its own and keeps its size.
    ``statistic`` is given rows of case numbers, [rows, n], and answers [rows, ...].
    """
    generator = np.random.default_rng(seed)
    groups = [np.flatnonzero(strata == stratum) for stratum in np.unique(strata)]
    block = max(1, _BLOCK // max(1, strata.size))
    values = []
    for start in range(0, resamples, block):
        rows = min(block, resamples - start)
        drawn = [group[generator.integers(0, group.size, (rows, group.size))] for group in groups]
        values.append(statistic(np.concatenate(drawn, axis=1)))
    return np.concatenate(values)

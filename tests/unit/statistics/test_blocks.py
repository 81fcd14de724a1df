"""The block bootstrap keeps its promise where neighbours depend on each other."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from numpy.typing import NDArray

from calumma import errors
from calumma.statistics import blocks, bootstrap

P90 = partial(np.quantile, q=[0.9], axis=-1)


def stalling(chance: np.random.Generator, n: int) -> NDArray[np.float64]:
    """Latencies in s, a hundred a second, of a service that stalls for a second now and then."""
    times = np.arange(n) / 100
    latencies = 0.002 + chance.exponential(0.003, n)
    for stall in np.cumsum(chance.exponential(5, 20 + n // 250)):
        met = (times >= stall) & (times < stall + 1)
        latencies[met] = np.maximum(latencies[met], stall + 1 - times[met])
    return latencies


def test_its_intervals_hold_under_stalls_and_the_plain_ones_do_not() -> None:
    chance = np.random.default_rng(0)
    truth = float(np.quantile(stalling(chance, 400_000), 0.9))
    held = plain = 0
    for seed in range(60):
        sample = stalling(chance, 3000)
        (found,) = blocks.intervals(P90, sample, seed=seed, resamples=300)
        held += found.low <= truth <= found.high
        single = partial(np.quantile, q=0.9, axis=-1)
        bounds = bootstrap.percentile(single, sample, seed=seed, resamples=300)
        plain += bounds.low <= truth <= bounds.high
    assert held >= 48, "95% is promised; below 80% in 60 would be one in many thousand"
    assert plain <= 36


def test_independent_values_are_resampled_one_by_one() -> None:
    sample = np.random.default_rng(1).exponential(size=1000)
    assert blocks.length(sample) <= 3
    found = blocks.intervals(partial(np.quantile, q=[0.5, 0.9], axis=-1), sample, seed=0)
    assert [
        bounds.low < np.quantile(sample, q) < bounds.high
        for q, bounds in zip((0.5, 0.9), found, strict=True)
    ] == [True, True]
    assert found == blocks.intervals(partial(np.quantile, q=[0.5, 0.9], axis=-1), sample, seed=0)


def test_blocks_are_long_where_neighbours_are_alike_and_an_outlier_does_not_hide_it() -> None:
    walk = np.cumsum(np.random.default_rng(2).normal(size=2000))
    assert blocks.length(walk) == 400, "at most a fifth"
    noise = np.random.default_rng(3).normal(size=2000)
    wave = np.convolve(noise, np.ones(20), "valid")
    calm = blocks.length(wave)
    wave[1000] = 1e6
    assert blocks.length(wave) > calm / 2 > 20


@pytest.mark.parametrize("values", [[1.0], [1.0, 2.0], [3.0] * 50])
def test_few_or_equal_values_are_blocks_of_one(values: list[float]) -> None:
    sample = np.array(values)
    assert blocks.length(sample) == 1
    (found,) = blocks.intervals(P90, sample, seed=0)
    assert min(values) <= found.low <= found.high <= max(values)


def test_no_values_have_no_interval() -> None:
    with pytest.raises(errors.EvaluationError, match="at least one value"):
        blocks.intervals(P90, np.empty(0), seed=0)

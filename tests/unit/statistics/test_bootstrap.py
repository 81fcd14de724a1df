"""The bootstrap: the same for the same seed, and close to its level by simulation."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest

from calumma import errors
from calumma.statistics import bootstrap

mean = partial(np.mean, axis=-1)
median = partial(np.quantile, q=0.5, axis=-1)


def test_the_same_seed_gives_the_same_interval() -> None:
    sample = np.random.default_rng(0).exponential(1.0, 200)
    first = bootstrap.percentile(mean, sample, seed=7)
    assert bootstrap.percentile(mean, sample, seed=7) == first
    assert bootstrap.percentile(mean, sample, seed=8) != first


def test_it_agrees_with_the_normal_interval_of_a_large_sample() -> None:
    sample = np.random.default_rng(1).normal(10.0, 2.0, 5000)
    low, high = bootstrap.percentile(mean, sample, seed=0)
    error = sample.std(ddof=1) / np.sqrt(sample.size)
    assert low == pytest.approx(sample.mean() - 1.96 * error, abs=0.2 * error)
    assert high == pytest.approx(sample.mean() + 1.96 * error, abs=0.2 * error)


def test_two_samples_are_resampled_apart() -> None:
    generator = np.random.default_rng(2)
    ours, theirs = generator.normal(1.0, 1.0, 400), generator.normal(0.0, 1.0, 300)
    low, high = bootstrap.percentile(lambda a, b: mean(a) - mean(b), ours, theirs, seed=0)
    assert low < ours.mean() - theirs.mean() < high
    assert high - low == pytest.approx(2 * 1.96 * np.sqrt(1 / 400 + 1 / 300), rel=0.15)


@pytest.mark.parametrize(("statistic", "truth"), [(mean, 1.0), (median, np.log(2))])
def test_it_covers_close_to_its_level(statistic: partial[Any], truth: float) -> None:
    generator = np.random.default_rng(3)
    hits = []
    for trial in range(600):
        sample = generator.exponential(1.0, 150)
        low, high = bootstrap.percentile(statistic, sample, seed=trial, resamples=400)
        hits.append(low <= truth <= high)
    assert np.mean(hits) == pytest.approx(0.95, abs=0.03)


def test_a_sample_larger_than_a_block_is_taken_in_pieces() -> None:
    sample = np.arange(300_000, dtype=np.float64)
    low, high = bootstrap.percentile(mean, sample, seed=0, resamples=50)
    assert low < sample.mean() < high


def test_an_empty_sample_is_refused() -> None:
    with pytest.raises(errors.EvaluationError, match="at least one value"):
        bootstrap.percentile(mean, np.array([]), seed=0)

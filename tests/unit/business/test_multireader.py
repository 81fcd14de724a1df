"""Agreement against published numbers, and the spread against a bootstrap that is really done."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from calumma.business import multireader

# K. Krippendorff, Computing Krippendorff's Alpha-Reliability (2011), section C: four observers and
# twelve units, of which two have one reading or none too many; alpha for nominal data is .743.
PUBLISHED = """
1 2 3 3 2 1 4 1 2 . . .
1 2 3 3 2 2 4 1 2 5 . 3
. 3 3 3 2 3 4 2 2 5 1 .
1 2 3 3 2 4 4 1 2 5 1 .
"""


def test_alpha_is_the_published_one() -> None:
    rows = [line.split() for line in PUBLISHED.strip().splitlines()]
    said = np.array([[-1 if each == "." else int(each) - 1 for each in row] for row in rows])
    found = multireader.agreement("alpha", said, 5, seed=0)
    assert found.value == pytest.approx(0.743, abs=0.0005)
    assert found.n == 11
    assert found.interval is not None and found.interval.low < 0.743 < found.interval.high


def test_alpha_of_two_readers_is_scotts_pi_and_close_to_cohens_kappa() -> None:
    generator = np.random.default_rng(0)
    first = generator.integers(0, 3, 2000)
    second = np.where(generator.random(2000) < 0.7, first, generator.integers(0, 3, 2000))
    found = multireader.agreement("alpha", np.array([first, second]), 3, seed=0)
    assert found.value == pytest.approx(cohen_kappa_score(first, second), abs=0.002)


def test_who_always_agrees_agrees_and_one_reader_says_nothing() -> None:
    same = np.array([[0, 1, 1], [0, 1, 1]])
    assert multireader.agreement("alpha", same, 2, seed=0).value == 1
    assert multireader.agreement("alpha", np.zeros((2, 4), int), 2, seed=0).value == 1
    alone = multireader.agreement("alpha", same[:1], 2, seed=0)
    assert (alone.value, alone.n) == (None, 0)


def resampled(values: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> float:
    """The variance of the mean over resamples of readers and of cases, done one after another."""
    generator = np.random.default_rng(1)
    readers, cases = values.shape
    means = []
    for _ in range(4000):
        rows = generator.integers(0, readers, readers)
        columns = generator.integers(0, cases, cases)
        means.append(np.nanmean(values[np.ix_(rows, columns)]))
    return float(np.var(means))


def test_the_spread_is_that_of_resampling_readers_and_cases() -> None:
    generator = np.random.default_rng(2)
    readers, cases = 8, 200
    chance = generator.normal(0, 0.15, (readers, 1)) + generator.normal(0, 0.2, (1, cases)) + 0.3
    values = (generator.random((readers, cases)) < chance).astype(float)
    values[generator.random(values.shape) < 0.1] = np.nan
    metric = multireader.mean("mean", values, "")
    assert metric.interval is not None and metric.value == pytest.approx(np.nanmean(values))
    by_readers = float(np.var(np.nanmean(values, axis=1))) / readers
    expected = resampled(values) + by_readers / (readers - 1)
    half = (metric.interval.high - metric.interval.low) / 2
    # Student's quantile for readers' and cases' degrees of freedom lies between these.
    assert 1.96 < half / math.sqrt(expected) < 2.365 * 1.05


def test_one_reader_has_the_spread_of_cases_only() -> None:
    values = np.array([[0.0, 1.0] * 50])
    metric = multireader.difference("change", values, np.zeros_like(values))
    assert metric.interval is not None
    half = (metric.interval.high - metric.interval.low) / 2
    assert half == pytest.approx(1.984 * 0.5 / 10, rel=0.01)


def test_nothing_seen_is_not_certainty() -> None:
    never = np.zeros((5, 40))
    rate, change = multireader.rate("r", never), multireader.difference("c", never, never)
    assert rate.interval is not None and change.interval is not None
    # Five readers of the same 40 cases are not 200 cases.
    assert rate.interval.high == pytest.approx(0.0876, abs=0.001)
    assert change.interval == (-rate.interval.high, rate.interval.high)


def test_no_reading_is_no_value() -> None:
    nothing = np.full((2, 3), np.nan)
    for metric in (
        multireader.rate("r", nothing),
        multireader.difference("d", nothing, nothing),
        multireader.mean("m", nothing, "s"),
    ):
        assert (metric.value, metric.n, metric.interval) == (None, 0, None)

"""Intervals for what several readers did on the same cases, and how far they agree.

Readings are not independent: a hard case is hard for all readers, and a hasty reader errs on all
cases. Counting them as independent makes intervals far too narrow, and says nothing of the readers
and cases of tomorrow. So both are resampled, each as a whole (multi-reader multi-case).
Sources: N. A. Obuchowski and H. E. Rockette, Communications in Statistics: Simulation and
Computation 24 (1995) 285-308, for why readers and cases are both random; A. B. Owen, Annals of
Applied Statistics 1 (2007) 386-411, for the bootstrap over both (the pigeonhole bootstrap), which
is conservative.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from calumma.business.assumptions import Values
from calumma.scoring import metrics
from calumma.statistics import intervals
from calumma.statistics.intervals import Interval

RESAMPLES = 2000
LEVEL = 0.95

Table = NDArray[np.float64]
"""Readers by cases, [R, K]; NaN where there is no reading that counts."""


class Spread(NamedTuple):
    """A standard error, and the degrees of freedom with which it is known."""

    error: float
    freedom: float


def rate(name: str, happened: Table) -> metrics.Metric:
    """The share of readings in which something happened (1, not 0), with its interval.

    Wilson's interval for the effective number of readings: as many independent ones as would have
    this standard error. Without any or with only such cases nobody knows the spread, and each case
    counts once. Source: E. L. Korn and B. I. Graubard, Survey Methodology 24 (1998) 193-201.
    """
    n, count, distinct = _sizes(happened)
    if n == 0:
        return metrics.Metric(name, None, 0, None)
    found = count / n
    spread = _spread(happened)
    effective = float(distinct)
    if 0 < found < 1 and spread.error > 0:
        widen = _quantile(math.inf) / _quantile(spread.freedom)
        effective = min(float(n), found * (1 - found) / spread.error**2) * widen**2
    interval = intervals.wilson(found * effective, effective, LEVEL)
    return metrics.Metric(name, found, n, interval, count=count, level=LEVEL)


def difference(name: str, candidate: Table, baseline: Table) -> metrics.Metric:
    """The mean of the candidate minus that of the baseline over the same readings (paired).

    Student's interval with Satterthwaite's degrees of freedom. Where no reading differs, as wide as
    Wilson's interval for none in as many cases.
    """
    change = candidate - baseline
    n, _, distinct = _sizes(change)
    if n == 0:
        return metrics.Metric(name, None, 0, None)
    found = float(np.nanmean(change))
    if not np.nan_to_num(change).any():
        reach = intervals.wilson(0, distinct, LEVEL).high
    else:
        spread = _spread(change)
        reach = _quantile(spread.freedom) * spread.error
    interval = Interval(max(-1.0, found - reach), min(1.0, found + reach))
    return metrics.Metric(name, found, n, interval, level=LEVEL)


def mean(name: str, values: Table, unit: str) -> metrics.Metric:
    """The mean over readings, of seconds for example, with Student's interval as above."""
    n = int(np.isfinite(values).sum())
    if n == 0:
        return metrics.Metric(name, None, 0, None, unit)
    found, spread = float(np.nanmean(values)), _spread(values)
    reach = _quantile(spread.freedom) * spread.error
    return metrics.Metric(name, found, n, Interval(found - reach, found + reach), unit, level=LEVEL)


def agreement(name: str, said: NDArray[np.int64], classes: int, *, seed: int) -> metrics.Metric:
    """Krippendorff's alpha for labels: 1 when readers always agree, 0 when as by chance.

    ``said`` has shape [R, K], with a negative number where a case was not read. Cases of fewer than
    two readings say nothing and do not count. The interval resamples cases. Unlike Cohen's kappa it
    takes more than two readers, and unlike Fleiss' it takes missing readings. Source:
    K. Krippendorff, Content Analysis (2004), chapter 11.
    """
    votes = (said[:, :, None] == np.arange(classes)).sum(axis=0)
    votes = votes[votes.sum(axis=1) >= 2]
    cases = len(votes)
    if cases == 0:
        return metrics.Metric(name, None, 0, None)
    generator = np.random.default_rng([seed, 3])
    weights = generator.multinomial(cases, np.full(cases, 1 / cases), RESAMPLES)
    drawn = _alpha(votes, weights)
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    found = float(_alpha(votes, np.ones((1, cases), int))[0])
    return metrics.Metric(name, found, cases, Interval(float(low), float(high)), level=LEVEL)


def _alpha(votes: NDArray[np.int64], weights: NDArray[np.int64]) -> Values:
    """Alpha for each row of case weights [B, K]; 1 where every reading is of one class."""
    readings = votes.sum(axis=1)
    disagreeing = (readings**2 - (votes**2).sum(axis=1)) / (readings - 1)
    by_class = weights @ votes
    total = by_class.sum(axis=1)
    expected = (total**2 - (by_class**2).sum(axis=1)) / (total - 1)
    observed = weights @ disagreeing
    return np.where(expected > 0, 1 - observed / np.where(expected > 0, expected, 1), 1.0)


def _sizes(values: Table) -> tuple[int, int, int]:
    """How many readings count, in how many something happened, and of how many cases they are."""
    counts = np.isfinite(values)
    return int(counts.sum()), int(np.nansum(values)), int(counts.any(axis=0).sum())


def _spread(values: Table) -> Spread:
    """The standard error of the mean over readers and cases; over cases alone with one reader.

    In closed form what resampling both many times would give (Owen, theorem 3), with the variance
    of R readers put right, of which a resample shows (R - 1)/R. The degrees of freedom are
    F. E. Satterthwaite's, Biometrics 2 (1946) 110-114.
    """
    values = values[:, np.isfinite(values).any(axis=0)]
    readers, cases = values.shape
    residues = np.nan_to_num(values - np.nanmean(values)) / np.isfinite(values).sum()
    by_cases = float((residues.sum(axis=0) ** 2).sum())
    if readers == 1 or cases == 1:
        return Spread(math.sqrt(by_cases), max(cases - 1, 1))
    by_readers = float((residues.sum(axis=1) ** 2).sum()) * readers / (readers - 1)
    both = by_readers + by_cases + float((residues**2).sum())
    if both == 0:
        return Spread(0.0, math.inf)
    parts = by_readers**2 / (readers - 1) + by_cases**2 / (cases - 1)
    return Spread(math.sqrt(both), both**2 / parts if parts > 0 else math.inf)


def _quantile(freedom: float) -> float:
    """The two-sided quantile of Student's distribution."""
    return (
        float(special.stdtrit(freedom, (1 + LEVEL) / 2))
        if math.isfinite(freedom)
        else float(stats.norm.ppf((1 + LEVEL) / 2))
    )

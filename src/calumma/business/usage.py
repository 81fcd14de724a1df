"""Who uses a service, how often, and who comes back.

A user is a pseudonym (:mod:`calumma.feedback.pseudonym`), and reports hold only counts of them.

Where users are not recorded their number is *not known*, which is not zero.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import numpy as np

from calumma import errors
from calumma.scoring import metrics
from calumma.statistics import bootstrap, counts

DAY = timedelta(days=1)
WEEK = timedelta(weeks=1)


class Use(NamedTuple):
    """One request of a user: when, by whom (a pseudonym, or None), of what, and what came back."""

    time: datetime
    user: str | None
    service: str
    revision: str | None
    label: str | None
    confidence: float | None


def measured(
    uses: Iterable[Use], start: datetime, end: datetime, *, seed: int
) -> tuple[metrics.Metric, ...]:
    """What happened from ``start`` until before ``end``; both with a time zone.

    Requests and active hours are of all uses, the rest of those whose user is recorded. Raises
    :class:`~calumma.errors.EvaluationError` when the end is not after the start.
    """
    if not start < end:
        raise errors.EvaluationError(
            f"usage from {start} to {end} is asked for: nothing is between"
        )
    inside = [use for use in uses if start <= use.time < end]
    days = (end - start) / DAY
    by_user: dict[str, list[datetime]] = defaultdict(list)
    for use in inside:
        if use.user is not None:
            by_user[use.user].append(use.time)
    named = sum(map(len, by_user.values()))
    hours = {use.time.astimezone(UTC).replace(minute=0, second=0, microsecond=0) for use in inside}
    possible = max(1, round((end - start) / timedelta(hours=1)))
    return (
        requests(len(inside), days),
        metrics.proportion("requests whose user is known", named, len(inside)),
        _unique(by_user),
        _frequency(by_user, days, seed),
        _retention(by_user, start, end),
        metrics.proportion("active hours", min(len(hours), possible), possible),
    )


def requests(number: int, days: float) -> metrics.Metric:
    """Requests a day, with the exact interval for a count that comes at random times."""
    low, high = counts.garwood(number)
    interval = counts.Interval(low / days, high / days)
    return metrics.Metric("requests per day", number / days, number, interval, "requests/day")


def predictions(number: int, days: int) -> metrics.Metric:
    """Predictions in the last days, as somebody counted them who may not have been there always."""
    name = f"predictions in the last {days} days"
    return metrics.Metric(name, number, number, counts.garwood(number), "predictions")


def unknown_users() -> metrics.Metric:
    """The number of users where only requests were counted: not known."""
    return metrics.Metric("unique users", None, 0, None, "users")


def by_hour(uses: Iterable[Use]) -> Sequence[int]:
    """Uses in each of the 24 hours of the day, UTC."""
    found = Counter(use.time.astimezone(UTC).hour for use in uses)
    return [found[hour] for hour in range(24)]


def _unique(by_user: Mapping[str, Sequence[datetime]]) -> metrics.Metric:
    """How many users came: exact for this time, and with a count's interval for such a time."""
    if not by_user:
        return unknown_users()
    number = len(by_user)
    return metrics.Metric("unique users", number, number, counts.garwood(number), "users")


def _frequency(by_user: Mapping[str, Sequence[datetime]], days: float, seed: int) -> metrics.Metric:
    name, unit = "requests of a user per day", "requests/day"
    if not by_user:
        return metrics.Metric(name, None, 0, None, unit)
    # In order of size, so that a new key, and so another order of users, changes nothing.
    each = np.sort([len(times) / days for times in by_user.values()])
    interval = bootstrap.percentile(lambda sample: np.mean(sample, axis=-1), each, seed=seed)
    # Resampling one user gives that user again: it says nothing of others.
    return metrics.Metric(
        name, float(each.mean()), len(each), interval if len(each) > 1 else None, unit
    )


def _retention(
    by_user: Mapping[str, Sequence[datetime]], start: datetime, end: datetime
) -> metrics.Metric:
    """Of the users active in a whole week, the share active in the whole week after it."""
    weeks = (end - start) // WEEK
    active = [
        {user for user, times in by_user.items() if any((t - start) // WEEK == week for t in times)}
        for week in range(weeks)
    ]
    pairs = list(itertools.pairwise(active))
    came_back = sum(len(before & after) for before, after in pairs)
    return metrics.proportion(
        "users who come back the next week", came_back, sum(len(before) for before, _ in pairs)
    )

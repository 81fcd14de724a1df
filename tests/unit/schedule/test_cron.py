"""When an expression is due: as Kubernetes' parser says, also when the clocks change."""

from __future__ import annotations

import itertools
import time
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calumma.schedule import cron


def moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


# What Kubernetes' parser answers: skipped times do not come, repeated ones come twice.
KUBERNETES = [
    # spring: 02:00 to 03:00 is skipped on 11 March 2012 in New York
    ("30 2 11 3 *", "2012-03-11T00:00-05:00", ["2013-03-11T02:30-04:00"]),
    ("0 2 * * *", "2012-03-11T00:00-05:00", ["2012-03-12T02:00-04:00"]),
    ("0 * * * *", "2012-03-11T00:00-05:00", ["2012-03-11T01:00-05:00", "2012-03-11T03:00-04:00"]),
    ("0 1 * * *", "2012-03-11T00:00-05:00", ["2012-03-11T01:00-05:00", "2012-03-12T01:00-04:00"]),
    # autumn: 01:00 to 02:00 comes twice on 4 November 2012
    ("30 2 4 11 *", "2012-11-04T00:00-04:00", ["2012-11-04T02:30-05:00"]),
    ("30 1 4 11 *", "2012-11-04T01:45-04:00", ["2012-11-04T01:30-05:00", "2013-11-04T01:30-05:00"]),
    (
        "0 * * * *",
        "2012-11-04T00:00-04:00",
        ["2012-11-04T01:00-04:00", "2012-11-04T01:00-05:00", "2012-11-04T02:00-05:00"],
    ),
    (
        "0 1 * * *",
        "2012-11-04T00:00-04:00",
        ["2012-11-04T01:00-04:00", "2012-11-04T01:00-05:00", "2012-11-05T01:00-05:00"],
    ),
    ("0 2 * * *", "2012-11-04T00:00-04:00", ["2012-11-04T02:00-05:00", "2012-11-05T02:00-05:00"]),
    # both days given: either is enough
    (
        "0 0 1,15 * SUN",
        "2012-07-08T00:00-04:00",
        ["2012-07-15T00:00-04:00", "2012-07-22T00:00-04:00"],
    ),
    ("0 0 29 2 *", "2012-03-01T00:00-05:00", ["2016-02-29T00:00-05:00"]),
    (
        "*/20 9-17/4 * * MON-FRI",
        "2012-07-06T17:20-04:00",
        ["2012-07-06T17:40-04:00", "2012-07-09T09:00-04:00"],
    ),
]


@pytest.mark.parametrize(("expression", "after", "expected"), KUBERNETES)
def test_due_as_for_kubernetes(expression: str, after: str, expected: list[str]) -> None:
    times = cron.Times(expression, "America/New_York")
    found = list(itertools.islice(times.after(moment(after)), len(expected)))
    assert found == [moment(each) for each in expected]


@pytest.mark.parametrize(
    ("zone", "expression", "day", "expected"),
    [
        # Lord Howe moves by half an hour, Zurich by one, India and UTC never
        ("Australia/Lord_Howe", "15 2 * * *", "2026-10-04T00:00+10:30", "2026-10-05T02:15+11:00"),
        ("Australia/Lord_Howe", "45 1 * * *", "2026-04-05T01:46+11:00", "2026-04-05T01:45+10:30"),
        ("Europe/Zurich", "30 2 * * *", "2026-03-28T12:00+01:00", "2026-03-30T02:30+02:00"),
        ("Europe/Zurich", "30 2 * * *", "2026-10-25T02:30+02:00", "2026-10-25T02:30+01:00"),
        ("Asia/Kolkata", "30 2 * * *", "2026-03-28T12:00+05:30", "2026-03-29T02:30+05:30"),
        ("Etc/UTC", "30 2 * * *", "2026-03-28T12:00+00:00", "2026-03-29T02:30+00:00"),
        # a day that Samoa never had, 30 December 2011
        ("Pacific/Apia", "0 12 * * *", "2011-12-29T12:00-10:00", "2011-12-31T12:00+14:00"),
    ],
)
def test_due_in_other_zones(zone: str, expression: str, day: str, expected: str) -> None:
    assert next(cron.Times(expression, zone).after(moment(day))) == moment(expected)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(
        ["*/30 * * * *", "15 1-3 * * *", "30 2 * * SUN", "0 0 1 * *", "45 1,2 * 3,10 *"]
    ),
    st.sampled_from(
        ["Europe/Zurich", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca"]
    ),
    st.integers(0, 365 * 24 * 60),
)
def test_due_are_exactly_the_minutes_whose_local_time_matches(
    expression: str, zone: str, start: int
) -> None:
    """Against the definition itself, minute by minute, for three days."""
    begin = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=start)
    minutes = [begin + timedelta(minutes=each) for each in range(1, 3 * 24 * 60)]
    expected = [each for each in minutes if matches(expression, each.astimezone(ZoneInfo(zone)))]
    until = minutes[-1].timestamp()
    after = cron.Times(expression, zone).after(begin.timestamp())
    found = itertools.takewhile(lambda due: due <= until, after)
    assert list(found) == [each.timestamp() for each in expected]


def matches(expression: str, local: datetime) -> bool:
    """Whether a local time matches one of the simple expressions of the test above."""
    values = (local.minute, local.hour, local.day, local.month, local.isoweekday() % 7)
    return all(
        field == "*"
        or (field == "*/30" and value % 30 == 0)
        or (field == "1-3" and 1 <= value <= 3)
        or str(value) in field.replace("SUN", "0").split(",")
        for field, value in zip(expression.split(), values, strict=True)
    )


def test_the_latest_and_how_many() -> None:
    minutely = cron.Times("* * * * *", "Etc/UTC")
    began = time.monotonic()
    assert minutely.latest(0, 1_000_000_000) == 1_000_000_000 // 60 * 60
    assert minutely.count(0, 1_000_000_000, 100) == 100
    assert time.monotonic() - began < 1
    yearly = cron.Times("0 0 1 1 *", "Etc/UTC")
    assert yearly.latest(0, moment("2026-06-01T00:00Z")) == moment("2026-01-01T00:00Z")
    assert yearly.latest(moment("2026-01-01T00:00Z"), moment("2026-06-01T00:00Z")) is None
    assert yearly.latest(moment("2026-01-01T00:00Z"), moment("2025-06-01T00:00Z")) is None
    assert yearly.count(0, moment("1973-06-01T00:00Z"), 100) == 3


@pytest.mark.parametrize(
    ("expression", "sentence"),
    [
        ("30 2 * *", "has 4 fields; a cron expression has five"),
        ("@daily", "has 1 fields"),
        ("0 30 2 * * *", "has 6 fields"),
        ("60 2 * * *", "'60' is out of range as minute"),
        ("30 24 * * *", "'24' is out of range as hour"),
        ("30 2 0 * *", "'0' is out of range as day of month"),
        ("30 2 * * FRI-SUN", "'FRI-SUN' is out of range as day of week"),
        ("30 2 * * MOON", "'MOON' is out of range as day of week"),
        ("30 2 * * 7", "Sunday is 0 or SUN"),
        ("30 2 * * 5-7", "Sunday is 0 or SUN"),
        ("30 2 L * *", "'L' is no day of month"),
        ("30 2 LW * *", "'LW' is no day of month"),
        ("30 2 * * 5L", "'5L' is no day of week"),
        ("30 2 * * 5#3", "'5#3' is no day of week"),
        ("5/15 * * * *", "'5/15' is no minute"),
        ("*/0 * * * *", "a step that goes nowhere"),
        ("8-8/2 * * * *", "a step that goes nowhere"),
        ("0 0 */2 * MON", "list the days"),
        ("0 0 1 * */2", "list the days"),
        ("0 0 30 2 *", "is never due"),
    ],
)
def test_what_kubernetes_would_not_do_is_refused(expression: str, sentence: str) -> None:
    with pytest.raises(ValueError) as refused:
        cron.Times(expression, "Etc/UTC")
    assert sentence in str(refused.value)
    assert expression in str(refused.value)


@pytest.mark.parametrize("zone", ["Mars/Base", "", "../etc/passwd", "Europe"])
def test_a_zone_that_is_none(zone: str) -> None:
    with pytest.raises(ValueError, match="no IANA time zone; for example Europe/Zurich"):
        cron.Times("30 2 * * *", zone)

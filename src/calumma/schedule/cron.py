"""When a cron expression comes due in a time zone, as Kubernetes' CronJob understands it.

Programs differ in what they make of daylight saving and of rare expressions. Kubernetes' rule is
plain: a schedule is due at every minute whose *local time* matches. A time that the clocks skip in
spring does not come, a time that comes twice in autumn is due twice. An expression that Kubernetes
would refuse or take to mean other days is refused here, so that one file means one thing.

cronsim reads the expression and finds matching local times; from these to moments is done here,
because cronsim follows Debian's cron, which moves skipped times and drops repeated ones. Times are
seconds since the epoch. Pure. Source: ``robfig/cron`` v3, the parser of Kubernetes.
"""

from __future__ import annotations

import itertools
import re
import zoneinfo
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import cronsim

_FIELDS = ("minute", "hour", "day of month", "month", "day of week")
_VALUE = r"(?:[0-9]+|[A-Za-z]{3,})"
_PART = rf"{_VALUE}(?:-{_VALUE}(?:/[0-9]+)?)?"
_FIELD = re.compile(rf"\*(?:/[0-9]+)?|{_PART}(?:,{_PART})*")
_DAY = 86400
_EXAMPLE = 'for example "30 2 * * *", at half past two every night'


class Times:
    """The moments at which an expression is due; raises ValueError, with a sentence, if never."""

    def __init__(self, expression: str, zone: str) -> None:
        _check(expression)
        try:
            self._zone = zoneinfo.ZoneInfo(zone)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(
                f"{zone!r} is no IANA time zone; for example Europe/Zurich or Etc/UTC"
            ) from error
        self._expression = expression
        try:
            next(self._walls(datetime(2000, 1, 1)))
        except (cronsim.CronSimError, StopIteration) as error:
            why = str(error).lower() or "no day matches"
            raise ValueError(f"{expression!r} is never due ({why})") from error

    def after(self, moment: float) -> Iterator[int]:
        """All due moments after this one, in order, without end."""
        at = int(moment // 1)
        offset = self._offset(at)
        while True:
            for wall in self._walls(_naive(at + offset)):
                due = _seconds(wall) - offset
                change = self._change(at, due, offset)
                if change is not None:  # the clocks change before: go on from there
                    at, offset = change - 1, self._offset(change)
                    break
                yield due
                at = due
            else:
                return

    def latest(self, after: float, until: float) -> int | None:
        """The last due moment after one and not after another, or None."""
        span = 3600.0
        while True:
            begin = max(after, until - span)
            found = list(itertools.takewhile(lambda due: due <= until, self.after(begin)))
            if found:
                return found[-1]
            if begin == after or after >= until:
                return None
            span *= 8

    def count(self, after: float, until: float, most: int) -> int:
        """How many due moments lie after one and not after another, at most so many."""
        due = itertools.takewhile(lambda each: each <= until, self.after(after))
        return sum(1 for _ in itertools.islice(due, most))

    def _walls(self, wall: datetime) -> Iterator[datetime]:
        return iter(cronsim.CronSim(self._expression, wall))

    def _offset(self, moment: int) -> int:
        """Seconds by which local time is ahead of UTC."""
        offset = datetime.fromtimestamp(moment, self._zone).utcoffset() or timedelta()
        return round(offset.total_seconds())

    def _change(self, after: int, until: int, offset: int) -> int | None:
        """The first moment after one and not after another with another offset, or None."""
        known = after
        while known < until:
            ahead = min(known + _DAY, until)
            if self._offset(ahead) != offset:
                while ahead - known > 1:
                    middle = (known + ahead) // 2
                    if self._offset(middle) == offset:
                        known = middle
                    else:
                        ahead = middle
                return ahead
            known = ahead
        return None


def _check(expression: str) -> None:
    """Raise ValueError for what Kubernetes refuses or reads otherwise than cronsim."""
    fields = expression.split()
    if len(fields) != len(_FIELDS):
        raise ValueError(
            f"{expression!r} has {len(fields)} fields; a cron expression has five, "
            f"{', '.join(_FIELDS)}, {_EXAMPLE}"
        )
    for name, field in zip(_FIELDS, fields, strict=True):
        _check_field(expression, name, field)
    day, weekday = fields[2], fields[4]
    if "*" not in (day, weekday) and (day + weekday).count("*"):
        raise ValueError(
            f"{expression!r} bounds both day of month and day of week, one of them with a star, "
            "which cron programs read differently; list the days"
        )


def _check_field(expression: str, name: str, field: str) -> None:
    if not _FIELD.fullmatch(field):
        raise ValueError(
            f"{field!r} is no {name} in {expression!r}; accepted are *, numbers or names, ranges "
            f"as 1-5, steps as */15 or 8-18/2, and lists of these by commas, {_EXAMPLE}"
        )
    if name == _FIELDS[4] and re.search(r"(?<!/)\b7\b", field):
        raise ValueError(f"Sunday is 0 or SUN for Kubernetes, not 7, in {expression!r}")
    if re.search(r"\b(\w+)-\1/", field) or re.search(r"/0+\b", field):
        raise ValueError(f"{field!r} in {expression!r} has a step that goes nowhere")
    fields = ["*"] * len(_FIELDS)
    fields[_FIELDS.index(name)] = field
    try:
        cronsim.CronSim(" ".join(fields), datetime(2000, 1, 1))
    except cronsim.CronSimError as error:
        raise ValueError(f"{field!r} is out of range as {name} in {expression!r}") from error


def _naive(moment: int) -> datetime:
    return datetime(1970, 1, 1) + timedelta(seconds=moment)


def _seconds(wall: datetime) -> int:
    return round(wall.replace(tzinfo=UTC).timestamp())

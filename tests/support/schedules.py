"""Schedules for tests: hourly ones, on 22 November 2026."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from calumma.schedule.definition import Schedule


def at(text: str) -> float:
    """A time of day on that day in UTC, or a whole time, as seconds since the epoch."""
    return datetime.fromisoformat(f"2026-11-22T{text}Z" if len(text) == 5 else text).timestamp()


def name(hour: str) -> str:
    """The name of the run that is due at an hour of that day."""
    return f"20261122T{hour}0000Z"


def schedule(**given: Any) -> Schedule:
    """Every hour, on the hour, unless something else is given."""
    content = {"name": "hourly", "schedule": "0 * * * *", "suite": "suites/a.yaml", **given}
    return Schedule.model_validate(content, strict=False)

"""When requests came in reality: the times in a file, to be played again.

A file has one request a line: a time as it is, or a JSON object with one, as logs of CloudEvents
and of feedback have them. Of CloudEvents the answers are left out, since KServe's logger sends one
for each request too.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from calumma import errors
from calumma.load import schedule

KEYS = ("time", "timestamp")


def read(path: Path | str) -> schedule.Times:
    """The times in a file, ascending, as Unix seconds.

    Raises :class:`~calumma.errors.EvaluationError` naming the line that has none.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise errors.EvaluationError(f"the recording {path} cannot be read: {error}") from error
    found = []
    for number, line in enumerate(lines, 1):
        try:
            moment = _moment(line.strip())
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise errors.EvaluationError(
                f"line {number} of the recording {path} has no time: {line[:80]!r}; expected are "
                "Unix seconds, an ISO 8601 time, or a JSON object with one as "
                f"{' or '.join(KEYS)}"
            ) from error
        if moment is not None:
            found.append(moment)
    if not found:
        raise errors.EvaluationError(f"the recording {path} has no request")
    return np.sort(np.array(found, dtype=np.float64))


def _moment(line: str) -> float | None:
    """The time of a line; None for a line that is no request."""
    if not line or line.startswith("#"):
        return None
    if line.startswith("{"):
        entry = json.loads(line)
        if str(entry.get("type", "")).endswith(".response"):
            return None
        return _seconds(entry[next((key for key in KEYS if key in entry), KEYS[0])])
    return _seconds(line)


def _seconds(value: Any) -> float:
    try:
        seconds = float(value)
    except ValueError:
        moment = datetime.fromisoformat(value)
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    if not np.isfinite(seconds):
        raise ValueError(f"{value} is no time")
    return seconds

"""What has happened with a schedule: small, immutable, and written as JSON.

A :class:`Run` is what Kubernetes calls a Job: one due moment, in one attempt or more.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Literal

import pydantic

from calumma.evaluation import document


class Outcome(StrEnum):
    """How a run ended, and the word by which Prometheus counts it."""

    PASS = "pass"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    ERROR = "error"
    TIMEOUT = "timeout"
    INTERRUPTED = "interrupted"
    """The scheduler, and the run with it, was ended while it was under way."""
    REPLACED = "replaced"
    MISSED = "missed"
    """It never began: nothing was running, or the run before took too long."""


VERDICTS = {0: Outcome.PASS, 1: Outcome.FAIL, 2: Outcome.INCONCLUSIVE}
"""What an exit status of an evaluation says; every other one is an error."""


class Run(document.Part):
    """One run; times are seconds since the epoch."""

    id: str
    due: float
    started: float
    attempt: int = 1
    retry_at: float | None = None
    """When it is tried again, while it waits for that."""
    stopping: Outcome | None = None
    """Why it was asked to end, once it was."""
    ended: float | None = None
    outcome: Outcome | None = None
    sentence: str = ""

    @property
    def active(self) -> bool:
        """Whether it is under way or waits for another attempt."""
        return self.ended is None

    @property
    def running(self) -> bool:
        """Whether an attempt is under way."""
        return self.active and self.retry_at is None


class State(document.Part):
    """Everything that has to be known after a restart."""

    since: float
    """When the schedule was first seen."""
    times: tuple[str, str]
    """The expression and the zone for which ``considered`` holds."""
    considered: float
    """Due moments up to this one were dealt with."""
    runs: tuple[Run, ...] = ()
    """Those under way and the last ones that ended, oldest first."""
    failures: int = 0
    """Runs in a row that did not pass."""
    last_success: float | None = None
    last_outcome: Outcome | None = None
    counts: dict[str, int] = pydantic.Field(default_factory=dict)
    """Ended and missed runs by outcome."""
    told: Literal["passing", "failing"] = "passing"
    """What people were told last."""
    tell_attempts: int = 0
    """How often the next telling failed."""
    tell_at: float = 0.0
    """Not before this is it tried again."""

    @property
    def active(self) -> tuple[Run, ...]:
        """The runs that have not ended."""
        return tuple(run for run in self.runs if run.active)

    @property
    def last(self) -> Run | None:
        """The run that ended last."""
        ended = [run for run in self.runs if run.ended is not None]
        return max(ended, key=lambda run: run.ended or 0.0, default=None)


def identity(due: float) -> str:
    """The name of the run that is due at a moment: ``20261121T023000Z``."""
    return datetime.fromtimestamp(due, UTC).strftime("%Y%m%dT%H%M%SZ")

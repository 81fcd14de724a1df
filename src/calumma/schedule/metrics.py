"""What Prometheus is told of schedules, as text that the node serves with its own metrics.

The file stays when the scheduler ends, and that is its point: ``success_expected_timestamp`` says
until when the next success should have come, so that a rule notices a schedule that has silently
stopped (a dead man's switch), whatever the reason. Pure.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

from calumma.monitoring import textfile
from calumma.monitoring.textfile import Family, Sample
from calumma.schedule import cron
from calumma.schedule.definition import Schedule
from calumma.schedule.state import State

FILE = "schedules.prom"
PREFIX = "calumma_schedule"


LAST_SUCCESS = Family(
    "last_success_timestamp_seconds", "gauge", "When a run last ended with the verdict pass."
)
SUCCESS_EXPECTED = Family(
    "success_expected_timestamp_seconds",
    "gauge",
    "When the next pass is overdue: as many due times later as an alert needs failures, and the "
    "time that a run may take.",
)
FAILURES = Family("consecutive_failures", "gauge", "Runs in a row that did not pass.")
FAILING = Family("failing", "gauge", "1 once as many runs failed in a row as an alert needs.")
OUTCOME = Family("last_outcome", "gauge", "1 for the outcome of the last run.")
RUNS = Family("runs_total", "counter", "Runs that ended or were missed, by outcome.")
ACTIVE = Family("active_runs", "gauge", "Runs under way.")
SUSPENDED = Family("suspended", "gauge", "1 while nothing becomes due.")

FAMILIES = (LAST_SUCCESS, SUCCESS_EXPECTED, FAILURES, FAILING, OUTCOME, RUNS, ACTIVE, SUSPENDED)


def exposition(known: Iterable[tuple[Schedule, State]]) -> str:
    """The metrics of all schedules, in Prometheus' text format."""
    samples = (sample for schedule, state in known for sample in _samples(schedule, state))
    return textfile.text(PREFIX, FAMILIES, samples)


def expected(schedule: Schedule, times: cron.Times, state: State) -> float | None:
    """When the next success is overdue; None while the schedule is suspended."""
    if schedule.suspend:
        return None
    begin = max(state.last_success or 0.0, state.since)
    due = next(itertools.islice(times.after(begin), _patience(schedule) - 1, None), None)
    if due is None:
        return None
    return due + (schedule.startingDeadlineSeconds or 0) + schedule.activeDeadlineSeconds


def _patience(schedule: Schedule) -> int:
    """Runs in a row that may fail before anybody is told."""
    return schedule.alerts.afterFailures if schedule.alerts else 1


def _samples(schedule: Schedule, state: State) -> Iterator[Sample]:
    def sample(family: Family, value: float, **more: str) -> Sample:
        return Sample(family, value, {"schedule": schedule.name, **more})

    if state.last_success is not None:
        yield sample(LAST_SUCCESS, state.last_success)
    overdue = expected(schedule, schedule.times, state)
    if overdue is not None:
        yield sample(SUCCESS_EXPECTED, overdue)
    yield sample(FAILURES, state.failures)
    yield sample(FAILING, int(state.failures >= _patience(schedule)))
    if state.last_outcome is not None:
        yield sample(OUTCOME, 1, outcome=state.last_outcome)
    for outcome, count in sorted(state.counts.items()):
        yield sample(RUNS, count, outcome=outcome)
    yield sample(ACTIVE, len(state.active))
    yield sample(SUSPENDED, int(schedule.suspend))

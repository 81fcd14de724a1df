"""Schedules as text for people: one line each, or one with its last runs. Pure."""

from __future__ import annotations

import itertools
from datetime import datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from calumma.schedule.definition import Schedule
from calumma.schedule.state import Run, State


class Known(NamedTuple):
    """A schedule and what has happened with it; None when no scheduler has seen it yet."""

    schedule: Schedule
    state: State | None


HEAD = ("NAME", "SCHEDULE", "TIME ZONE", "STATE", "LAST", "OUTCOME", "NEXT")


def row(known: Known, now: float) -> tuple[str, ...]:
    """A line of ``calumma schedule list``."""
    schedule, state = known
    last = state.last if state else None
    return (
        schedule.name,
        schedule.schedule,
        schedule.timeZone,
        _condition(known),
        moment(schedule, last.started) if last else "",
        str(last.outcome) if last else "",
        "" if schedule.suspend else upcoming(schedule, now, 1)[0],
    )


def description(known: Known, now: float, project: str) -> list[tuple[str, str]]:
    """What ``calumma schedule show`` says before the runs, as names and values."""
    schedule, state = known
    deadline = schedule.startingDeadlineSeconds
    late = "any time" if deadline is None else f"{deadline} s"
    parameters = " ".join(f"{name}={value}" for name, value in schedule.parameters.items())
    lines = [
        ("schedule", f"{schedule.schedule} in {schedule.timeZone}"),
        ("state", _condition(known)),
        ("next", "none" if schedule.suspend else ", ".join(upcoming(schedule, now, 3))),
        ("evaluates", f"{schedule.suite}, revision {schedule.revision}, in {project}"),
        ("parameters", parameters or "none"),
        ("overlap", schedule.concurrencyPolicy),
        ("limits", f"begins up to {late} late, takes up to {schedule.activeDeadlineSeconds} s"),
        ("retries", f"{schedule.backoffLimit}, of errors only"),
        ("alerts", _alerts(known)),
    ]
    if state is not None:
        success = state.last_success
        counts = ", ".join(f"{number} {outcome}" for outcome, number in state.counts.items())
        lines.append(("last pass", moment(schedule, success) if success else "none yet"))
        lines.append(("so far", counts or "no run"))
    return lines


RUN_HEAD = ("RUN", "STARTED", "TOOK", "ATTEMPTS", "OUTCOME", "")


def runs(known: Known, now: float) -> list[tuple[str, ...]]:
    """The lines of the runs that are remembered, the last one first."""
    schedule, state = known
    return [_run(schedule, run, now) for run in reversed(state.runs if state else ())]


def upcoming(schedule: Schedule, now: float, count: int) -> list[str]:
    """The next times at which it is due."""
    return [
        moment(schedule, due) for due in itertools.islice(schedule.times.after(now), count)
    ] or ["never"]


def moment(schedule: Schedule, when: float) -> str:
    """A time as people in the schedule's zone say it."""
    local = datetime.fromtimestamp(when, ZoneInfo(schedule.timeZone))
    return local.strftime("%Y-%m-%d %H:%M %Z")


def _condition(known: Known) -> str:
    schedule, state = known
    words = ["suspended"] if schedule.suspend else []
    if state is not None and state.active:
        words.append("running" if any(run.running for run in state.active) else "retrying")
    if state is not None and state.failures:
        words.append(f"failing ({state.failures})")
    return ", ".join(words) or "waiting"


def _alerts(known: Known) -> str:
    schedule, state = known
    if schedule.alerts is None:
        return "none"
    way = "a webhook" if schedule.alerts.webhook else "a command"
    after = schedule.alerts.afterFailures
    text = f"{way}, after {after} {'failure' if after == 1 else 'failures'} in a row"
    if state is not None and state.told == "failing":
        text += "; people know that it fails"
    if state is not None and state.tell_attempts:
        text += f"; the last {state.tell_attempts} attempts to tell failed"
    return text


def _run(schedule: Schedule, run: Run, now: float) -> tuple[str, ...]:
    outcome = str(run.outcome) if run.outcome else "running" if run.running else "is tried again"
    took = f"{(run.ended or now) - run.started:.0f} s"
    return (
        run.id,
        moment(schedule, run.started),
        took,
        str(run.attempt),
        outcome,
        run.sentence,
    )

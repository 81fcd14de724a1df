"""What to do now: one pure pass over a schedule, with the clock passed in.

:func:`decide` gives the state that follows and what has to be done; deciding again, after that was
done, gives nothing. :func:`ended` and :func:`interrupted` record what became of a run. The rules
are those of Kubernetes' CronJob and Job controllers (``pkg/controller/cronjob``, ``job``):

- Of several due moments that passed unused only the last one is made up for, and only within
  ``startingDeadlineSeconds``; the others count as missed.
- ``Forbid`` lets a due run wait for the one under way, ``Replace`` ends that, ``Allow`` minds none.
- Suspended, nothing becomes due; what did meanwhile counts as missed, or is made up for.
- An error is tried again after 10 s, 20 s, 40 s, ... up to ``backoffLimit`` times, but a run ends
  at ``activeDeadlineSeconds``, with all its attempts.

A changed expression begins anew: moments that it would have had in the past are no missed runs. A
clock that goes back by a little changes nothing; by more than an hour, it was wrong before.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping
from typing import Literal, NamedTuple, TypeVar

from calumma.schedule import cron
from calumma.schedule.definition import Schedule
from calumma.schedule.state import VERDICTS, Outcome, Run, State, identity

MOST_MISSED = 100
"""Missed runs are counted up to so many at a time."""
FIRST_RETRY, LONGEST_RETRY = 10.0, 360.0
CLOCK_SLACK = 3600.0


class Start(NamedTuple):
    """Begin an attempt of a run."""

    run: Run


class Stop(NamedTuple):
    """End a run that is under way."""

    run: Run


class Forget(NamedTuple):
    """Remove the log of a run that nobody will ask for any more."""

    run: Run


class Tell(NamedTuple):
    """Tell people that the schedule fails, or passes again."""

    what: Literal["passing", "failing"]


Action = Start | Stop | Forget | Tell


class Decision(NamedTuple):
    """The state that follows, and what to do once it is written."""

    state: State
    actions: tuple[Action, ...]


def first(schedule: Schedule, now: float) -> State:
    """The state of a schedule that is seen for the first time."""
    times = (schedule.schedule, schedule.timeZone)
    return State(since=now, times=times, considered=now)


def decide(
    schedule: Schedule,
    times: cron.Times,
    state: State,
    now: float,
    ages: Mapping[str, float],
    request: float | None = None,
) -> Decision:
    """What to do at the time ``now``, in seconds since the epoch.

    ``ages`` are the seconds that active runs have taken, by a clock that nobody sets; ``request``
    is when a person asked for a run.
    """
    actions: list[Action] = []
    state = _clock(schedule, state, now)
    state = _end_late(schedule, state, now, ages, actions)
    state = _retry(state, now, actions)
    state = _begin(schedule, times, state, now, request, actions)
    state = _forget(schedule, state, actions)
    wanted = wanted_telling(schedule, state)
    if wanted is not None and (now >= state.tell_at or state.tell_at - now > LONGEST_RETRY):
        actions.append(Tell(wanted))
    return Decision(state, tuple(actions))


def _clock(schedule: Schedule, state: State, now: float) -> State:
    """Begin anew after another expression, and after a clock that was wrong."""
    times = (schedule.schedule, schedule.timeZone)
    if times != state.times or state.considered - now > CLOCK_SLACK:
        return _with(state, times=times, considered=now)
    return state


def _end_late(
    schedule: Schedule, state: State, now: float, ages: Mapping[str, float], actions: list[Action]
) -> State:
    """End the runs that have taken too long."""
    for run in state.active:
        if run.stopping is None and ages.get(run.id, 0.0) >= schedule.activeDeadlineSeconds:
            state = _stop(state, run, Outcome.TIMEOUT, now, actions)
    return state


def _stop(state: State, run: Run, why: Outcome, now: float, actions: list[Action]) -> State:
    """Ask a run to end; one that only waits for its next attempt has ended with that."""
    if not run.running:
        return _finish(state, run, why, now)
    stopping = _with(run, stopping=why)
    actions.append(Stop(stopping))
    return _put(state, stopping)


def _retry(state: State, now: float, actions: list[Action]) -> State:
    """Begin the attempts whose time has come."""
    for run in state.active:
        at = run.retry_at
        if at is not None and (now >= at or at - now > LONGEST_RETRY):
            again = _with(run, retry_at=None, attempt=run.attempt + 1)
            actions.append(Start(again))
            state = _put(state, again)
    return state


def _begin(
    schedule: Schedule,
    times: cron.Times,
    state: State,
    now: float,
    request: float | None,
    actions: list[Action],
) -> State:
    """Begin what is due, and what a person asked for."""
    begun = any(run.due == request for run in state.runs)
    if request is not None and not begun and _free(schedule, state):
        name = _unused(f"{identity(request)}-manual", state)
        state = _start(schedule, state, Run(id=name, due=request, started=now), actions)
    if schedule.suspend:
        return state
    due = times.latest(state.considered, now)
    if due is None:
        return state
    deadline = schedule.startingDeadlineSeconds
    late = deadline is not None and now - due > deadline
    if not late and not _free(schedule, state):
        return state
    missed = times.count(state.considered, due if late else due - 1, MOST_MISSED)
    state = _with(_counted(state, Outcome.MISSED, missed), considered=due)
    if late:
        return state
    return _start(schedule, state, Run(id=identity(due), due=due, started=now), actions)


def _unused(name: str, state: State) -> str:
    """This name, or with a number where an earlier run of the same second has it."""
    names = {run.id for run in state.runs}
    numbered = (f"{name}-{number}" for number in itertools.count(2))
    return next(each for each in itertools.chain((name,), numbered) if each not in names)


def _free(schedule: Schedule, state: State) -> bool:
    """Whether another run may begin."""
    return schedule.concurrencyPolicy != "Forbid" or not state.active


def _start(schedule: Schedule, state: State, new: Run, actions: list[Action]) -> State:
    if schedule.concurrencyPolicy == "Replace":
        for run in state.active:
            if run.stopping is None:
                state = _stop(state, run, Outcome.REPLACED, new.started, actions)
    actions.append(Start(new))
    return _with(state, runs=(*state.runs, new))


def _forget(schedule: Schedule, state: State, actions: list[Action]) -> State:
    """Drop the records of ended runs that are beyond the limits."""
    ended = sorted((run for run in state.runs if run.ended), key=lambda run: -(run.ended or 0.0))
    passed = [run for run in ended if run.outcome is Outcome.PASS]
    others = [run for run in ended if run.outcome is not Outcome.PASS]
    old = passed[schedule.successfulJobsHistoryLimit :] + others[schedule.failedJobsHistoryLimit :]
    if not old:
        return state
    actions += [Forget(run) for run in old]
    return _with(state, runs=tuple(run for run in state.runs if run not in old))


def wanted_telling(schedule: Schedule, state: State) -> Literal["passing", "failing"] | None:
    """What people should be told and have not been."""
    if schedule.alerts is None:
        return None
    if state.told == "passing" and state.failures >= schedule.alerts.afterFailures:
        return "failing"
    if state.told == "failing" and state.failures == 0:
        return "passing"
    return None


def told(state: State, what: Literal["passing", "failing"]) -> State:
    """The state once people have been told."""
    return _with(state, told=what, tell_attempts=0, tell_at=0.0)


def not_told(state: State, now: float) -> State:
    """The state after telling failed: it is tried again, ever less often."""
    delay = min(FIRST_RETRY * 2.0**state.tell_attempts, LONGEST_RETRY)
    return _with(state, tell_attempts=state.tell_attempts + 1, tell_at=now + delay)


def ended(schedule: Schedule, state: State, run_id: str, code: int | None, now: float) -> State:
    """The state after an attempt ended with an exit status, None when it was cut off."""
    run = next((run for run in state.active if run.id == run_id), None)
    if run is None:
        return state
    cut = Outcome.INTERRUPTED if code is None else VERDICTS.get(code, Outcome.ERROR)
    outcome = run.stopping or cut
    run = _with(run, sentence=_sentence(schedule, outcome, code))
    if outcome in (Outcome.ERROR, Outcome.INTERRUPTED) and run.attempt <= schedule.backoffLimit:
        delay = min(FIRST_RETRY * 2.0 ** (run.attempt - 1), LONGEST_RETRY)
        return _put(state, _with(run, retry_at=now + delay))
    return _finish(state, run, outcome, now)


def _sentence(schedule: Schedule, outcome: Outcome, code: int | None) -> str:
    match outcome:
        case Outcome.ERROR:
            return f"exit status {code}"
        case Outcome.INTERRUPTED:
            return "the scheduler was ended while it was under way"
        case Outcome.TIMEOUT:
            return f"it took longer than {schedule.activeDeadlineSeconds} s"
        case Outcome.REPLACED:
            return "another run was due"
    return ""


def lost(state: State, alive: Collection[str]) -> list[Run]:
    """Runs that should be under way and have no process, as after the scheduler was killed."""
    return [run for run in state.active if run.running and run.id not in alive]


def interrupted(schedule: Schedule, state: State, now: float, alive: Collection[str] = ()) -> State:
    """The state in which lost runs have ended."""
    for run in lost(state, alive):
        state = ended(schedule, state, run.id, None, now)
    return state


def _finish(state: State, run: Run, outcome: Outcome, now: float) -> State:
    done = _with(run, ended=now, retry_at=None, outcome=outcome)
    state = _counted(_put(state, done), outcome, 1)
    if outcome is Outcome.REPLACED:  # which says nothing of what is evaluated
        return state
    if outcome is Outcome.PASS:
        return _with(state, failures=0, last_success=now, last_outcome=outcome)
    return _with(state, failures=state.failures + 1, last_outcome=outcome)


def _counted(state: State, outcome: Outcome, number: int) -> State:
    if not number:
        return state
    counts = {**state.counts, outcome.value: state.counts.get(outcome.value, 0) + number}
    return _with(state, counts=counts)


def _put(state: State, run: Run) -> State:
    return _with(state, runs=tuple(run if each.id == run.id else each for each in state.runs))


_Part = TypeVar("_Part", State, Run)


def _with(part: _Part, **changes: object) -> _Part:
    return part.model_copy(update=changes)

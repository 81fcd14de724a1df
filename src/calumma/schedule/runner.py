"""One schedule, carried out: what its pass decides is written, then done, and its end recorded.

What is decided is on disk before it is done, so a scheduler that is killed knows when it is back
which run was cut off, and begins none twice.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Literal

from calumma import errors
from calumma.schedule import alerts, decision, execution
from calumma.schedule.state import Run, State
from calumma.schedule.store import Applied, Store

log = logging.getLogger(__name__)


class Runner:
    """A schedule with its state and its processes."""

    def __init__(self, name: str, applied: Applied, store: Store) -> None:
        self.name = name
        self._store = store
        self._executions: dict[str, execution.Execution] = {}
        self._begun: dict[str, float] = {}  # active runs, by a clock that nobody sets
        self._tasks: set[asyncio.Task[None]] = set()
        self._telling = False
        self._deleted = False
        self.apply(applied)
        self.state = store.state(name) or decision.first(self.schedule, time.time())

    def apply(self, applied: Applied) -> None:
        """Take over what was applied."""
        self.schedule = applied.schedule
        self.times = applied.schedule.times
        self._project = Path(applied.project)
        self._written: State | None = None

    def look(self) -> None:
        """One pass: decide, write, do. Raises OSError, and then nothing was done."""
        now = time.time()
        request = self._store.request(self.name)
        state = self._without_lost(now)
        ages = self._ages(state, now)
        found = decision.decide(self.schedule, self.times, state, now, ages, request)
        self._commit(found.state)
        for action in found.actions:
            self._do(action)
        if request is not None and any(run.due == request for run in self.state.runs):
            self._store.answered(self.name, request)

    async def close(self, *, deleted: bool = False) -> None:
        """End what is under way, and record that unless the schedule was deleted."""
        self._deleted = deleted
        for each in self._executions.values():
            each.stop()
        await asyncio.gather(*self._tasks)

    def _without_lost(self, now: float) -> State:
        """The state in which runs that an earlier scheduler had under way have ended."""
        for run in decision.lost(self.state, self._executions):
            log.warning("%s: run %s was interrupted", self.name, run.id)
            execution.end(self._mark(run), self._store.home.path)
        return decision.interrupted(self.schedule, self.state, now, self._executions)

    def _ages(self, state: State, now: float) -> dict[str, float]:
        """Seconds that the active runs have taken; of an earlier scheduler's, by its clock."""
        steady = time.monotonic()
        self._begun = {
            run.id: self._begun.get(run.id, steady - max(0.0, now - run.started))
            for run in state.active
        }
        return {run_id: steady - begun for run_id, begun in self._begun.items()}

    def _commit(self, state: State) -> None:
        """Write a state, then go by it; raises OSError, and then the former one holds."""
        if state != self._written:
            self._store.write_state(self.name, state)
            self._written = state
        self.state = state

    def _record(self, state: State) -> None:
        """Go by a state that says what has happened; the next pass writes it if this cannot."""
        self.state = state
        if self._deleted:
            return
        try:
            self._commit(state)
        except OSError as error:
            log.error("%s: the state cannot be written: %s", self.name, error)

    def _do(self, action: decision.Action) -> None:
        match action:
            case decision.Start(run):
                self._start(run)
            case decision.Stop(run):
                log.info("%s: ending run %s (%s)", self.name, run.id, run.stopping)
                self._executions[run.id].stop()
            case decision.Forget(run):
                self._store.log(self.name, run.id).unlink(missing_ok=True)
            case decision.Tell(what):
                if not self._telling:
                    self._telling = True
                    self._spawn(self._tell(what))

    def _start(self, run: Run) -> None:
        log.info("%s: beginning run %s, attempt %d", self.name, run.id, run.attempt)
        home = self._store.home
        started = execution.Execution(
            self._mark(run),
            self.schedule.argv,
            {"CALUMMA_HOME": str(home.path), "KUBECONFIG": str(home.kubeconfig)},
            self._project,
            self._store.log(self.name, run.id),
            home.path,
        )
        self._executions[run.id] = started
        self._begun.setdefault(run.id, time.monotonic())
        started.start()
        self._spawn(self._follow(run, started))

    async def _follow(self, run: Run, started: execution.Execution) -> None:
        """Wait for an attempt's end and record it."""
        code = await started.wait()
        del self._executions[run.id]
        state = decision.ended(self.schedule, self.state, run.id, code, time.time())
        ended = next(each for each in state.runs if each.id == run.id)
        log.info("%s: run %s: %s", self.name, run.id, ended.outcome or "is tried again")
        self._record(state)

    async def _tell(self, what: Literal["passing", "failing"]) -> None:
        """Tell people, and record whether that worked."""
        alerting = self.schedule.alerts
        message = alerts.message(self.schedule, self.state, what)
        output = self._store.log(self.name, "alerts")
        try:
            if alerting is not None:
                secret = self._store.secret(self.name, alerting.secret)
                await alerts.send(alerting, secret, message, self._store.home, output)
        except (errors.AlertFailed, errors.ConfigurationError) as error:
            log.error("%s: nobody was told that it is %s: %s", self.name, what, error)
            self._record(decision.not_told(self.state, time.time()))
        else:
            log.info("%s: people were told that it is %s", self.name, what)
            self._record(decision.told(self.state, what))
        finally:
            self._telling = False

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _mark(self, run: Run) -> str:
        return f"{self.name}/{run.id}"

"""The scheduler: looks at every schedule once a second, and lets none hold up another.

A schedule that cannot be carried out (a broken file, a full disk) is told in the log, once, and
tried again at the next look.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging

from calumma import errors
from calumma.cluster import layout
from calumma.schedule import metrics, store
from calumma.schedule.runner import Runner

log = logging.getLogger(__name__)

PERIOD = 1.0


class Scheduler:
    """All schedules of a home."""

    def __init__(self, home: layout.Home) -> None:
        self._home = home
        self._store = store.Store(home)
        self._runners: dict[str, Runner] = {}
        self._versions: dict[str, int | None] = {}
        self._problems: dict[str, str] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._published: str | None = None

    async def run(self, ended: asyncio.Event) -> None:
        """Carry schedules out until ``ended``; then end the runs that are under way."""
        while not ended.is_set():
            self.look()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), PERIOD)
        closing = (runner.close() for runner in self._runners.values())
        await asyncio.gather(*closing, *self._ending)
        self._publish()

    def look(self) -> None:
        """One pass over everything."""
        names = self._store.names()
        for name in self._versions.keys() - names:
            self._remove(name)
        for name in names:
            try:
                self._refresh(name)
                self._runners[name].look()
            except (errors.CalummaError, OSError, ValueError) as error:
                self._problem(name, str(error))
            else:
                self._problem(name, "")
        self._publish()

    def _refresh(self, name: str) -> None:
        """Take over what is new on disk."""
        version = self._store.version(name)
        if name in self._runners and self._versions.get(name) == version:
            return
        applied = self._store.read(name)
        if name in self._runners:
            self._runners[name].apply(applied)
        else:
            self._runners[name] = Runner(name, applied, self._store)
        self._versions[name] = version
        log.info("%s: %s in %s", name, applied.schedule.schedule, applied.schedule.timeZone)

    def _remove(self, name: str) -> None:
        """Forget a schedule that was deleted; its runs end."""
        log.info("%s: deleted", name)
        del self._versions[name]
        if name not in self._runners:
            return
        task = asyncio.create_task(self._end(self._runners.pop(name)))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def _end(self, runner: Runner) -> None:
        await runner.close(deleted=True)
        self._store.clear(runner.name)

    def _problem(self, name: str, problem: str) -> None:
        """Log what is wrong with a schedule when that changes."""
        if self._problems.get(name, "") != problem:
            log.error("%s: %s", name, problem or "well again")
        self._problems[name] = problem

    def _publish(self) -> None:
        """Write the metrics where they have changed."""
        text = metrics.exposition((each.schedule, each.state) for each in self._runners.values())
        if text == self._published:
            return
        try:
            store.write(self._home.metrics / metrics.FILE, text)
            self._published = text
        except OSError as error:
            log.error("the metrics cannot be written: %s", error)

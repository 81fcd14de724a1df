"""Evidence: what was known at a moment, kept as an executed notebook with its report and figures.

For each moment there is a folder ``runs/rollouts/<service>/<id>/<n>-<what>/`` in the project, with
``state.json`` and what ``evaluation/rollout.ipynb`` made of it, in a process of its own that is
short-lived and yields to what serves. A failure to make it never stops the rollout.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import NamedTuple

from calumma import evidence as reports
from calumma.cluster import layout
from calumma.rollout.state import State
from calumma.schedule import definition, execution

NOTEBOOK = Path("evaluation/rollout.ipynb")
STATE = "state.json"
TIMEOUT = 600
"""Seconds that the notebook may take."""
_VERDICTS = (0, 1, 2)
_YIELDING = ("nice", "-n", "10")


class _Moment(NamedTuple):
    """A folder, and what it is the evidence of."""

    folder: Path
    what: str


def folder(project: Path, service: str, rollout: str) -> Path:
    """Where all that is kept of a rollout lies."""
    return project / definition.RUNS / "rollouts" / service / rollout


class Evidence:
    """The moments of one rollout, made one after the other."""

    def __init__(self, rollout: str, service: str, project: Path, home: layout.Home) -> None:
        self._rollout, self._project, self._home = rollout, project.absolute(), home
        self._folder = folder(self._project, service, rollout)
        self._waiting: asyncio.Queue[_Moment] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None
        self._begun: set[Path] = set()
        self._queued: set[Path] = set()
        self._troubles: list[str] = []

    def resume(self) -> None:
        """Begin to make what an earlier process of the rollout did not finish."""
        for path in sorted(self._folder.glob("[0-9]*-*")):
            if (path / STATE).exists() and not (path / reports.REPORT).exists():
                self._queue(_Moment(path, path.name.partition("-")[2]))

    def keep(self, state: State, what: str) -> Path:
        """Begin to make the evidence of a moment; where its page will be.

        ``what`` is a word for the moment, such as ``step-1`` or ``promoted``.
        """
        moment = _Moment(self._place(what), what)
        self._begun.add(moment.folder)
        try:
            moment.folder.mkdir(parents=True, exist_ok=True)
            (moment.folder / STATE).write_text(state.model_dump_json(indent=1), encoding="utf-8")
        except OSError as error:
            self._fail(what, str(error))
        else:
            self._queue(moment)
        return moment.folder / reports.PAGE

    def troubles(self) -> tuple[str, ...]:
        """What went wrong since this was asked last, in sentences."""
        found, self._troubles = tuple(self._troubles), []
        return found

    async def close(self, seconds: float) -> None:
        """Wait so many seconds for what is under way, then end it."""
        if self._task is None:
            return
        try:
            await asyncio.wait_for(self._waiting.join(), seconds)
        except TimeoutError:
            self._fail("the last moments", f"it was not there after {seconds:g} s")
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def _queue(self, moment: _Moment) -> None:
        if moment.folder in self._queued:  # resumed, and then kept again by who repeats a look
            return
        self._queued.add(moment.folder)
        self._waiting.put_nowait(moment)
        if self._task is None:
            self._task = asyncio.create_task(self._work())

    def _place(self, what: str) -> Path:
        """A moment's folder: the next number, or one that an earlier process did not finish."""
        taken = sorted(self._folder.glob("[0-9]*-*"))
        for path in taken:
            mine = path.name.partition("-")[2] == what
            if mine and path not in self._begun and not (path / reports.REPORT).exists():
                return path
        numbers = [int(path.name.partition("-")[0]) for path in taken]
        return self._folder / f"{1 + max(numbers, default=0):02}-{what}"

    def _fail(self, what: str, why: str) -> None:
        self._troubles.append(f"The evidence of {what} could not be made: {why}.")

    async def _work(self) -> None:
        while True:
            moment = await self._waiting.get()
            try:
                await self._make(moment)
            except OSError as error:
                self._fail(moment.what, str(error))
            finally:
                self._waiting.task_done()

    async def _make(self, moment: _Moment) -> None:
        """Run the notebook on the folder's state, and say so where it came to no verdict."""
        mark, log = f"{self._rollout} {moment.folder}", moment.folder / "output.log"
        words = (
            *_YIELDING,
            *(sys.executable, "-m", "calumma.running", str(NOTEBOOK)),
            str(moment.folder / "rollout.ipynb"),
            f"state={moment.folder / STATE}",
            f"out={moment.folder}",
            f"--timeout={TIMEOUT}",
        )
        home = self._home.path
        running = execution.Execution(mark, words, {}, self._project, log, home)
        running.start()
        try:
            code = await asyncio.shield(running.wait())
        except asyncio.CancelledError:
            running.stop()
            await running.wait()
            raise
        if code not in _VERDICTS:
            self._fail(moment.what, execution.last_words(log))

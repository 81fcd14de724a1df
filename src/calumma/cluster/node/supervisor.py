"""The supervisor: keeps programs running, restarts them with backoff, and tells who asks.

A program is a row of a small state table::

    running   --exit-->  waiting    (restart after a delay that doubles while it keeps failing)
    running   --exit 0-> completed  (a task only)
    waiting   --time-->  running
    running   --stop-->  stopping   --exit--> gone
    waiting, completed --stop--> gone

Everything happens in one thread of one event loop, so a row is never seen half changed. The
supervisor imports only the standard library and knows nothing of Kubernetes: it must not fail.
:mod:`~calumma.cluster.node.supervision` is the way to talk to it.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Callable
from pathlib import Path

from calumma.cluster.node import output, process
from calumma.cluster.node.record import Ended, Observed, State, Wanted

log = logging.getLogger(__name__)

SHORTEST_DELAY = 0.5
LONGEST_DELAY = 30.0
BROKEN_GRACE = 1.0
"""Seconds that a broken program has to end: it may hang, and it serves nobody."""

STABLE_AFTER = 10.0
"""Seconds after which a run counts as a good one: the next restart is immediate."""


class Program:
    """One row: a program and its present run."""

    def __init__(self, wanted: Wanted, changed: Callable[[Program], None], home: Path) -> None:
        self.wanted = wanted
        self.state: State = "waiting"
        self._changed = changed
        self._home = home
        self._child: process.Child | None = None
        self._recorder: output.Recorder | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._since = time.time()
        self._restarts = -1
        self._failures = 0
        self._last: Ended | None = None
        self._retry_at: float | None = None
        self.gone = asyncio.Event()

    def observe(self) -> Observed:
        """The row as it is told to others."""
        return Observed(
            wanted=self.wanted,
            state=self.state,
            since=self._since,
            pid=self._child.pid if self._child else None,
            restarts=max(0, self._restarts),
            last=self._last,
            retry_at=self._retry_at,
        )

    def start(self) -> None:
        """Start a run now."""
        self._timer = None
        self._restarts += 1
        try:
            self._child = self._run()
        except OSError as error:
            log.error("cannot start %s: %s", self.wanted.name, error)
            self._ended(Ended(127, 0, time.time(), time.time(), self._end_output()))
            return
        asyncio.get_running_loop().add_reader(self._child.handle, self._reap)
        self._enter("running")

    def _run(self) -> process.Child:
        """Start the child, its output on the way to its log."""
        wanted = self.wanted
        recorder = self._recorder = output.Recorder(Path(wanted.log), runs=wanted.runs)
        asyncio.get_running_loop().add_reader(recorder.source, self._copy)
        try:
            directory = Path(wanted.directory)
            return process.start(
                wanted.argv, wanted.environment, directory, recorder.sink, self._home
            )
        finally:
            recorder.started()

    def _copy(self) -> None:
        """Copy output; a run that has closed its own is not watched any more."""
        recorder = self._recorder
        if recorder is not None and recorder.copy() is None:
            asyncio.get_running_loop().remove_reader(recorder.source)

    def _end_output(self) -> str:
        """Copy the last output; where it lies."""
        recorder = self._recorder
        if recorder is None:
            return ""
        self._recorder = None
        asyncio.get_running_loop().remove_reader(recorder.source)
        recorder.finish()
        return str(recorder.path)

    def stop(self) -> None:
        """Ask the run to end and forget the program; without a run it is gone at once."""
        if self.state == "stopping":
            return
        self._cancel_timer()
        if self._child is None:
            self._forget()
            return
        self.interrupt(self.wanted.grace)
        self._enter("stopping")

    def interrupt(self, grace: float) -> None:
        """Ask the present run to end, and kill it after so many seconds."""
        if self._child is not None and self._timer is None:
            self._child.signal(signal.SIGTERM)
            self._timer = asyncio.get_running_loop().call_later(grace, self._kill)

    def _kill(self) -> None:
        if self._child is not None:
            log.warning("%s did not end within its grace period", self.wanted.name)
            self._child.signal(signal.SIGKILL)

    def _reap(self) -> None:
        child = self._child
        if child is None:
            return
        asyncio.get_running_loop().remove_reader(child.handle)
        ended = child.reap()
        path = self._end_output()
        self._child = None
        self._cancel_timer()
        if self.state == "stopping":
            self._forget()
        else:
            self._ended(Ended(ended.code, ended.signal, self._since, time.time(), path))

    def _ended(self, ended: Ended) -> None:
        self._last = ended
        if self.wanted.task and ended.code == 0:
            self._enter("completed")
            return
        stable = ended.finished - ended.started >= STABLE_AFTER
        self._failures = 0 if stable else self._failures + 1
        delay = 0.0
        if self._failures:
            delay = min(SHORTEST_DELAY * 2 ** (self._failures - 1), LONGEST_DELAY)
        log.info("%s ended with %s, again in %.1f s", self.wanted.name, ended.code, delay)
        self._retry_at = time.time() + delay
        self._timer = asyncio.get_running_loop().call_later(delay, self.start)
        self._enter("waiting")

    def _enter(self, state: State) -> None:
        self.state = state
        self._since = time.time()
        if state != "waiting":
            self._retry_at = None
        self._changed(self)

    def _forget(self) -> None:
        self.gone.set()
        self._changed(self)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Supervisor:
    """All rows, and the queues of those who watch them."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._programs: dict[str, Program] = {}
        self._watchers: set[asyncio.Queue[tuple[str, Observed | None]]] = set()
        self._closing = False

    def put(self, wanted: Wanted) -> Observed | None:
        """Keep this program running, and say how it is; the same request again changes nothing.

        A name that is taken, also by a program that is ending, stays as it is: compare what is
        given back. None when the supervisor itself is ending.
        """
        if wanted.name not in self._programs:
            if self._closing:
                return None
            self._programs[wanted.name] = Program(wanted, self._notify, self._home)
            self._programs[wanted.name].start()
        return self._programs[wanted.name].observe()

    def stop(self, name: str) -> None:
        """End a program and forget it; an unknown name is no error."""
        program = self._programs.get(name)
        if program is not None:
            program.stop()

    def restart(self, name: str) -> None:
        """End a program that is broken; another run follows. An unknown name is no error."""
        program = self._programs.get(name)
        if program is not None:
            program.interrupt(BROKEN_GRACE)

    def observe(self) -> list[Observed]:
        """All rows."""
        return [program.observe() for program in self._programs.values()]

    def subscribe(self) -> asyncio.Queue[tuple[str, Observed | None]]:
        """A queue of ``(name, row)`` after each change, the row None once it is gone."""
        queue: asyncio.Queue[tuple[str, Observed | None]] = asyncio.Queue()
        self._watchers.add(queue)
        return queue

    def unsubscribe(self, queue: asyncio.Queue[tuple[str, Observed | None]]) -> None:
        """End a subscription."""
        self._watchers.discard(queue)

    async def close(self, first: tuple[str, ...] = ()) -> None:
        """End all programs, those named ``first`` before the others."""
        self._closing = True
        for names in (first, tuple(self._programs)):
            ending = [self._programs[name] for name in names if name in self._programs]
            for program in ending:
                program.stop()
            await asyncio.gather(*(program.gone.wait() for program in ending))

    def _notify(self, program: Program) -> None:
        name = program.wanted.name
        row = program.observe()
        if program.gone.is_set():
            del self._programs[name]
        for queue in self._watchers:
            queue.put_nowait((name, None if program.gone.is_set() else row))

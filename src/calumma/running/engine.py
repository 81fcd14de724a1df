"""Papermill's engine, with a watch beside it.

papermill waits for its kernel and for nothing else. Here a thread watches: when a cell or the
notebook takes longer than it may, or when somebody asks to stop, it interrupts the kernel, which
leaves a traceback of the line that hung, and kills it soon after. Everything else then goes the way
of a kernel that died by itself, so that there is one way to end early, from whatever state.

The notebook is written after each cell, and every few seconds within one.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, Self

from jupyter_core import utils
from papermill import clientwrap, engines

from calumma.running import page

NAME = "calumma"
START_SECONDS = 60
"""How long a kernel may take to start."""
GRACE_SECONDS = 3.0
"""How long an interrupted kernel may take to stop by itself."""

_AUTOSAVE_SECONDS = 2
_TICK_SECONDS = 0.1

_log = logging.getLogger("calumma.running")
_log.addHandler(logging.NullHandler())  # the run's own sentence says what these lines would


class Progress(NamedTuple):
    """The code cell that runs, of how many, and the seconds since the run began."""

    cell: int
    of: int
    seconds: float


class Stop:
    """Asks a run to end soon; may be asked by signal handlers and other threads."""

    reason = ""

    def ask(self, reason: str) -> None:
        """Ask; the first reason counts."""
        self.reason = self.reason or reason


class Watch:
    """Ends a run whose time is over, or that is asked to stop.

    ``cell_limit`` and ``limit`` are seconds that a cell and the notebook may take. After the run
    ``cause`` says why it was ended early, None when it was not. ``progress`` is called from a
    thread of the watch's own, several times a second.
    """

    def __init__(
        self,
        cell_limit: float | None,
        limit: float | None,
        stop: Stop | None,
        progress: Callable[[Progress], None] | None,
    ) -> None:
        self._cell_limit, self._limit = cell_limit, limit
        self._stop = stop or Stop()
        self._progress = progress
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._began = self._cell_began = time.monotonic()
        self._deadline: float | None = None
        self._process: Any = None
        self.client: Any = None
        self.cell = self.cells = 0
        self.cause: str | None = None

    def __enter__(self) -> Self:
        self._began = self._cell_began = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def next_cell(self) -> None:
        """A code cell begins."""
        self.cell += 1
        self._cell_began = time.monotonic()

    @property
    def death(self) -> str:
        """What is known of how a dead kernel died."""
        code = None if self._process is None else self._process.returncode
        if code is None or code >= 0:
            return "died" if code is None else f"ended by itself with status {code}"
        name = signal.Signals(-code).name
        likely = "; the machine may have been out of memory" if name == "SIGKILL" else ""
        return f"died of {name}{likely}"

    def _look(self) -> None:
        while not self._over.wait(_TICK_SECONDS):
            now = time.monotonic()
            self._find_process()
            if self._progress is not None:
                # A terminal that is gone must not end the watch.
                with contextlib.suppress(OSError, ValueError):
                    self._progress(Progress(self.cell, self.cells, now - self._began))
            if self.cause is None:
                self.cause = self._why(now)
            if self.cause is not None:
                self._end(now)

    def _why(self, now: float) -> str | None:
        if self._stop.reason:
            return f"was ended {self._where}: {self._stop.reason}"
        if self._limit is not None and now - self._began > self._limit:
            return f"took longer than the {self._limit:g} s that it may take, {self._where}"
        if self._cell_limit and self.cell and now - self._cell_began > self._cell_limit:
            may = f"the {self._cell_limit:g} s that it may take"
            return f"was ended {self._where}, which took longer than {may}"
        return None

    @property
    def _where(self) -> str:
        return f"in cell [{self.cell}]" if self.cell else "while its kernel started"

    def _end(self, now: float) -> None:
        """Interrupt a kernel that runs a cell, once, and kill it when its grace is over."""
        if self._process is None or self._process.poll() is not None:
            return
        number = signal.SIGKILL
        if self._deadline is None:
            self._deadline = now
            if self.cell:
                self._deadline, number = now + GRACE_SECONDS, signal.SIGINT
        if number is signal.SIGINT or now >= self._deadline:
            # The kernel leads a process group of its own, which holds what it started.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    def _find_process(self) -> None:
        provisioner = getattr(getattr(self.client, "km", None), "provisioner", None)
        self._process = getattr(provisioner, "process", None) or self._process


class _Notebook(engines.NotebookExecutionManager):  # type: ignore[misc]
    """The notebook while it runs: what papermill tells of it, and its file."""

    def __init__(self, nb: Any, output: Path, watch: Watch) -> None:
        super().__init__(nb, progress_bar=False)
        self._output, self._watch = output, watch
        self._due = False
        watch.cells = sum(_is_run(cell) for cell in nb.cells)

    def save(self, **_: Any) -> None:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        note = (
            f"**This run has not ended.** It was in cell {self._watch.cell} of "
            f"{self._watch.cells} when this was written, at {now}. If nothing runs it any more, it "
            "was killed there."
        )
        page.save(self.nb, self._output, note)
        self.last_save_time = self.now()

    def autosave_cell(self) -> None:
        # Called within the client's event loop for every message of the kernel. The save comes
        # later, so that the last words before a long silence are in it.
        if not self._due:
            self._due = True
            asyncio.get_running_loop().call_later(_AUTOSAVE_SECONDS, self._autosave)

    def _autosave(self) -> None:
        self._due = False
        self.save()

    def cell_start(self, cell: Any, cell_index: int | None = None, **more: Any) -> None:
        if _is_run(cell):
            self._watch.next_cell()
        super().cell_start(cell, cell_index, **more)

    def notebook_complete(self, **_: Any) -> None:
        # papermill's own calls the cells that never ran completed.
        self.end_time = self.now()
        found = self.nb.metadata.papermill
        found["end_time"] = self.end_time.isoformat()
        found["duration"] = (self.end_time - self.start_time).total_seconds()
        self.save()


class _Engine(engines.Engine):  # type: ignore[misc]
    @classmethod
    def execute_notebook(
        cls, nb: Any, kernel_name: str, *, output: Path, watch: Watch, **_: Any
    ) -> Any:
        notebook = _Notebook(nb, output, watch)
        watch.client = clientwrap.PapermillNotebookClient(
            notebook,
            kernel_name=kernel_name,
            startup_timeout=START_SECONDS,
            log=_log,
            # The kernel's own words: TCP on loopback, and the interrupt by which it is shut down.
            extra_arguments=["--log-level=CRITICAL"],
        )
        notebook.notebook_start()
        try:
            watch.client.execute()
        finally:
            notebook.notebook_complete()
        return nb


def register() -> None:
    """Make the engine known to papermill under :data:`NAME`."""
    engines.papermill_engines.register(NAME, _Engine)


@contextlib.contextmanager
def own_loop() -> Iterator[None]:
    """Close the event loop that jupyter_client would leave open in each thread that runs."""
    loop = utils.ensure_event_loop()
    try:
        yield
    finally:
        if not loop.is_running():  # the caller's own, whose work it does in another thread
            loop.close()


def _is_run(cell: Any) -> bool:
    return cell.cell_type == "code" and bool(cell.source.strip())

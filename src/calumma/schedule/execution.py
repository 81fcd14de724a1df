"""A process of the scheduler's: run once, in a group of its own, its output kept, ended when told.

It is a program of :mod:`calumma.cluster.node.supervisor` that is not started again. What it starts
in sessions of their own, as Jupyter does with kernels, carries a mark and is ended with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

from calumma.cluster.node import process, supervisor
from calumma.cluster.node.record import Wanted
from calumma.cluster.programs import container

MARK = "CALUMMA_SCHEDULED_RUN"
GRACE = 30.0
"""Seconds between SIGTERM and SIGKILL, in which an evaluation keeps its notebook."""


class Execution:
    """One process, from its start to its end."""

    def __init__(
        self,
        mark: str,
        argv: Sequence[str],
        environment: Mapping[str, str],
        directory: Path,
        log: Path,
        home: Path,
    ) -> None:
        self._mark, self._home = mark, home
        self._code: int | None = None
        wanted = Wanted(
            name=mark,
            argv=tuple(argv),
            environment={**container.inherited(), **environment, MARK: mark},
            directory=str(directory),
            log=str(log),
            task=True,
            grace=GRACE,
        )
        self._program = supervisor.Program(wanted, self._changed, home)

    def start(self) -> None:
        """Start the process; one that cannot be started ends with status 127."""
        self._program.start()

    def stop(self) -> None:
        """Ask it to end, and kill it after :data:`GRACE` seconds."""
        self._program.stop()

    async def wait(self) -> int | None:
        """Its exit status, once it and all that it started have ended; None if it was stopped."""
        await self._program.gone.wait()
        end(self._mark, self._home)
        return self._code

    def _changed(self, program: supervisor.Program) -> None:
        if program.state in ("waiting", "completed") and not program.gone.is_set():
            last = program.observe().last
            self._code = 0 if last is None or program.state == "completed" else last.code
            asyncio.get_running_loop().call_soon(program.stop)


def end(mark: str, home: Path) -> int:
    """Kill what is left of a home's process that carried this mark; how many there were."""
    own = set(process.carrying(process.MARK, str(home)))
    return process.kill(own.intersection(process.carrying(MARK, mark)))


def last_words(log: Path) -> str:
    """The last line that a process has written, for the sentence about its end."""
    lines = log.read_text(errors="replace").split("\n") if log.exists() else []
    last = next((line.strip() for line in reversed(lines) if line.strip()), "nothing")
    return f"{log} says: {last}"

"""The output of one run, copied from its pipe into its log.

A program writes into a pipe and the supervisor copies, as container runtimes do. Writing straight
into the file would take the supervisor out of the way of output, but then a log could be bounded
only by cutting it while it is written, which loses lines, and no line would have a time. What it
costs is that output waits while the supervisor is busy; that a child blocks when the supervisor
dies does not matter, because they die together. A disk that is full costs lines and never stops a
program. :mod:`calumma.cluster.logfile` is the form on disk.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from pathlib import Path
from typing import BinaryIO

from calumma.cluster import logfile

log = logging.getLogger(__name__)

_BLOCK = 64 << 10
_LAST_BLOCKS = 32
"""Blocks that are copied after the end of a run: more than a pipe holds."""


class Recorder:
    """Copies one run's output: ``sink`` is for the child, ``source`` to be watched by the loop.

    ``log`` is a file, or with ``runs`` a folder that gets a log for this run, with times. Raises
    OSError when it cannot be written.
    """

    def __init__(self, log: Path, *, runs: bool) -> None:
        log = logfile.next_run(log) if runs else log
        log.parent.mkdir(parents=True, exist_ok=True)
        self.path = log
        self._stamp = runs
        self._file: BinaryIO = log.open("ab", buffering=0)
        self._size = self._file.tell()
        self._rest = b""
        self._lost = 0
        self.source, self.sink = os.pipe()
        os.set_blocking(self.source, False)

    def started(self) -> None:
        """The child has its end: close ours, so that the pipe ends with the child."""
        os.close(self.sink)

    def copy(self) -> int | None:
        """Copy a block of what there is: its bytes, or None when nothing more will come."""
        try:
            data = os.read(self.source, _BLOCK)
        except BlockingIOError:
            return 0
        if data:
            *lines, self._rest = (self._rest + data).split(b"\n")
            written = [(line, True) for line in lines]
            while len(self._rest) >= logfile.LONGEST_LINE:
                written.append((self._rest[: logfile.LONGEST_LINE], False))
                self._rest = self._rest[logfile.LONGEST_LINE :]
            self._write(written)
        return len(data) or None

    def finish(self) -> None:
        """Copy what the run has left behind, and close everything."""
        for _ in range(_LAST_BLOCKS):
            if not self.copy():
                break
        if self._rest:
            self._write([(self._rest, True)])
        os.close(self.source)
        self._file.close()

    def _write(self, lines: list[tuple[bytes, bool]]) -> None:
        """Append lines, and begin another file when this one is full."""
        if not lines:
            return
        at = logfile.moment(time.time_ns())
        data = b"".join(self._line(text, at, whole) for text, whole in lines)
        if self._size and self._size + len(data) > logfile.LARGEST:
            self._rotate()
        try:
            view = memoryview(data)
            while view:
                count = self._file.write(view) or 0
                self._size += count
                view = view[count:]
        except OSError as error:
            if not self._lost:
                log.error("%s: %s; output is lost meanwhile", self.path, error.strerror)
            self._lost += len(view)
            return
        if self._lost:
            log.info("%s: %d bytes of output were lost", self.path, self._lost)
            self._lost = 0

    def _line(self, text: bytes, at: bytes, whole: bool) -> bytes:
        if self._stamp:
            return logfile.stamped(text, at, whole=whole)
        return text + b"\n" if whole else text

    def _rotate(self) -> None:
        """Begin another file; where that is impossible the present one goes on."""
        with contextlib.suppress(OSError):
            fresh = logfile.rotate(self.path)
            self._file.close()
            self._file = fresh
            self._size = 0

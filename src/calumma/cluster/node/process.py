"""Child processes: started in a group of their own, bound to our life, their output piped.

The only room that uses ``subprocess``. A child gets SIGKILL from the kernel when its parent dies
however that happens (``PR_SET_PDEATHSIG``), and whatever it started itself is in its process
group, which :meth:`Child.kill` reaches as a whole. Linux only, as the Triton wheel is.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

MARK = "CALUMMA_SUPERVISED_BY"
"""The environment variable that names the home whose supervisor started a process."""

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


class Exit(NamedTuple):
    """How a child ended: its exit code; a signal that killed it counts as 128 and its number."""

    code: int
    signal: int


class Child:
    """One running child process."""

    def __init__(self, popen: subprocess.Popen[bytes]) -> None:
        self._popen = popen
        self.pid = popen.pid
        self.handle = os.pidfd_open(popen.pid)
        """A file descriptor that becomes readable when the child has ended."""

    def signal(self, number: signal.Signals) -> None:
        """Signal the whole process group; a group that is gone is no error."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def reap(self) -> Exit:
        """Collect an ended child and kill what it left behind in its group."""
        code = self._popen.wait()
        os.close(self.handle)
        self.signal(signal.SIGKILL)
        return Exit(code if code >= 0 else 128 - code, max(0, -code))


def start(
    argv: Sequence[str], environment: Mapping[str, str], directory: Path, output: int, home: Path
) -> Child:
    """Start a child whose standard output and error are the file descriptor ``output``.

    Raises OSError when the program or the directory does not exist.
    """
    parent = os.getpid()

    def bind_to_parent() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    popen = subprocess.Popen(
        argv,
        env={**environment, MARK: str(home)},
        cwd=directory,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=bind_to_parent,
    )
    return Child(popen)


class Crew:
    """The other processes of a group, watched: ``lost`` is called once when one of them ends."""

    def __init__(self, group: int, lost: Callable[[], None]) -> None:
        self._lost = lost
        self._handles: list[int] = []
        for pid in members(group):
            with contextlib.suppress(ProcessLookupError):
                self._handles.append(os.pidfd_open(pid))
        for handle in self._handles:
            asyncio.get_running_loop().add_reader(handle, self._ended)

    def close(self) -> None:
        """Stop watching."""
        for handle in self._handles:
            asyncio.get_running_loop().remove_reader(handle)
            os.close(handle)
        self._handles.clear()

    def _ended(self) -> None:
        self.close()
        self._lost()


def members(group: int) -> Iterator[int]:
    """The processes of a group besides its leader."""
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = entry.read_text().rsplit(")", 1)[1].split()
            pid = int(entry.parent.name)
            if int(fields[2]) == group != pid:
                yield pid


def launch(argv: Sequence[str], environment: Mapping[str, str], directory: Path, log: Path) -> None:
    """Run a program that puts itself into the background, and return when it has done so."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        subprocess.run(
            argv,
            env=dict(environment),
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )


def output(argv: Sequence[str], directory: Path, seconds: float) -> str | None:
    """What a program prints; None when it is missing, fails, or takes longer than that."""
    try:
        done = subprocess.run(
            argv,
            cwd=directory,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=seconds,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode(errors="replace")


def carrying(variable: str, value: str) -> Iterator[int]:
    """Processes with this in their environment, which grandchildren inherit; never our own."""
    mark = f"{variable}={value}".encode()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            environment = (entry / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if mark in environment:
            yield int(entry.name)


def leftovers(home: Path) -> Iterator[int]:
    """Processes that a supervisor of this home started and that outlived it."""
    return carrying(MARK, str(home))


def kill_leftovers(home: Path) -> int:
    """Kill them; how many there were."""
    return kill(leftovers(home))


def kill(pids: Iterable[int]) -> int:
    """Kill processes; how many there were."""
    count = 0
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
            count += 1
        except ProcessLookupError:
            continue
    return count

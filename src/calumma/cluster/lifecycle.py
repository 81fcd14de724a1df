"""Bringing a cluster up and down: the composition of all its programs.

``up`` prepares a home (:mod:`calumma.cluster.preparation`), starts the supervisor and returns when
everything answers (:mod:`calumma.cluster.readiness`); ``down`` ends it and leaves the objects for
the next time. Both tell their progress to a callback. The command line is :mod:`calumma.cli`.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from calumma import errors
from calumma.cluster import layout, preparation, readiness
from calumma.cluster.node import folders, process, supervision
from calumma.cluster.node import settings as settings_room
from calumma.cluster.node.record import Observed
from calumma.cluster.programs import container

STOP_TIMEOUT = 60.0
_SUPERVISOR = (sys.executable, "-m", "calumma.cluster.supervisord")


def up(
    home: layout.Home, request: preparation.Request, tell: preparation.Tell
) -> settings_room.Settings:
    """Start a cluster and return when it answers.

    Raises AlreadyRunning, PortInUse, ConfigurationError or StartFailed, each with a sentence that
    says what to do; after a failure nothing is left running.
    """
    running = process_id(home)
    if running is not None:
        raise errors.AlreadyRunning(
            f"A cluster is running in {home.path} (process {running}). `calumma status` shows it, "
            "`calumma down` ends it, and CALUMMA_HOME names another home."
        )
    with _readable_errors(home):
        if killed := process.kill_leftovers(home.path):
            tell(f"ended {killed} processes that an earlier cluster left behind")
        folders.clear_all(home)
        settings = preparation.settle(home, request, tell)
        preparation.prepare(home, settings)
    try:
        process.launch(
            (*_SUPERVISOR, "--detach", "--home", str(home.path)),
            container.inherited(),
            home.path,
            home.log("supervisor"),
        )
        asyncio.run(readiness.wait(home, settings, tell))
    except BaseException:
        down(home, lambda _: None)
        raise
    return settings


def down(home: layout.Home, tell: preparation.Tell) -> bool:
    """End a cluster; whether one was running."""
    running = process_id(home)
    if running is None:
        process.kill_leftovers(home.path)
        return False
    tell("ending all processes")
    os.kill(running, signal.SIGTERM)
    deadline = time.monotonic() + STOP_TIMEOUT
    while process_id(home) is not None:
        if time.monotonic() > deadline:
            os.kill(running, signal.SIGKILL)
            break
        time.sleep(0.05)
    process.kill_leftovers(home.path)
    folders.clear_all(home)
    return True


def process_id(home: layout.Home) -> int | None:
    """The running supervisor of a home, or None."""
    try:
        with home.supervisor_lock.open() as lock:
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    lock.seek(0)
                    if written := lock.read():
                        return int(written)
                    time.sleep(0.01)
                else:
                    return None
    except FileNotFoundError:
        return None


async def programs_of(home: layout.Home) -> list[Observed]:
    """All programs of a running cluster; raises NotRunning when there is none."""
    async with supervision.Client(home.supervisor_socket) as supervisor:
        return await supervisor.list()


@contextmanager
def _readable_errors(home: layout.Home) -> Iterator[None]:
    """A full disk or a folder without rights as a sentence."""
    try:
        yield
    except OSError as error:
        raise errors.StartFailed(
            f"The home {home.path} cannot be prepared: {error.strerror or error}"
            f"{f' ({error.filename})' if error.filename else ''}. Free some space or rights, or "
            "name another folder with CALUMMA_HOME."
        ) from error

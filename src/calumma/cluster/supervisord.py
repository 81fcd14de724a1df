"""The supervisor's process: ``python -m calumma.cluster.supervisord --home FOLDER``.

Holds the home's lock for as long as it lives, so that a second cluster of the same home is
refused; starts the cluster's own programs from ``run/programs.json``; ends everything on SIGTERM.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import json
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from calumma.cluster import layout
from calumma.cluster.node import supervision
from calumma.cluster.node.record import Wanted
from calumma.cluster.node.supervisor import Supervisor

AGENT = "agent"
"""The name of the agent's program; it ends before the others, or it would start them again."""


async def supervise(home: layout.Home) -> None:
    """Run the home's programs until SIGTERM or SIGINT."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    supervisor = Supervisor(home.path)
    for data in json.loads(home.programs.read_text()):
        supervisor.put(Wanted.from_json(data))
    server = await supervision.serve(supervisor, home.supervisor_socket)
    await ended.wait()
    logging.info("ending")
    await supervisor.close(first=(AGENT,))
    server.close()
    home.supervisor_socket.unlink(missing_ok=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Be the supervisor; 1 when the home has one already."""
    parser = argparse.ArgumentParser(description="Supervise a cluster's programs.")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--detach", action="store_true", help="go into the background")
    options = parser.parse_args(arguments)
    home = layout.Home(options.home)
    if options.detach:
        if os.fork():
            os._exit(0)
        os.setsid()
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    with home.supervisor_lock.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            logging.error("the home %s has a supervisor already", home.path)
            return 1
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        asyncio.run(supervise(home))
        lock.truncate(0)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The activator's process: ``python -m calumma.cluster.activatord --home FOLDER``.

It stands in the data path where a request has to wait for a pod, so it is a process of its own:
the agent may be replaced while requests wait. Started again, it opens the same gates.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from calumma.cluster import layout
from calumma.cluster.node import activation


async def _serve(home: layout.Home) -> None:
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    activator = activation.Activator(home.gates)
    await activator.restore()
    server = await activator.serve(home.activator_socket)
    await ended.wait()
    server.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """Be the activator of a home."""
    parser = argparse.ArgumentParser(description="Let requests wait for pods.")
    parser.add_argument("--home", type=Path, required=True)
    home = layout.Home(parser.parse_args(arguments).home)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    asyncio.run(_serve(home))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The agent's process: ``python -m calumma.cluster.agentd --home FOLDER``.

Ends with an error when the API or the supervisor goes away for good; the supervisor starts it
again, and it reads everything anew.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from calumma import errors
from calumma.cluster import layout
from calumma.cluster.node import agent


async def _until_signal(home: layout.Home) -> None:
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    await agent.run(home)


def main(arguments: Sequence[str] | None = None) -> int:
    """Be the agent of a home."""
    parser = argparse.ArgumentParser(description="Reconcile a cluster.")
    parser.add_argument("--home", type=Path, required=True)
    home = layout.Home(parser.parse_args(arguments).home)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        asyncio.run(_until_signal(home))
    except asyncio.CancelledError:
        return 0
    except errors.CalummaError as error:
        logging.error("%s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

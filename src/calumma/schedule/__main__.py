"""The scheduler's process: ``python -m calumma.schedule --home FOLDER``, under the supervisor."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from calumma.cluster import layout
from calumma.schedule import scheduler


async def _until_signal(home: layout.Home) -> None:
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    await scheduler.Scheduler(home).run(ended)


def main(arguments: Sequence[str] | None = None) -> int:
    """Be the scheduler of a home."""
    parser = argparse.ArgumentParser(description="Carry schedules out.")
    parser.add_argument("--home", type=Path, required=True)
    home = layout.Home(parser.parse_args(arguments).home)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    asyncio.run(_until_signal(home))
    return 0


if __name__ == "__main__":
    sys.exit(main())

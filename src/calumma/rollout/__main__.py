"""The process that carries rollouts out: ``python -m calumma.rollout``.

The node of the one-machine cluster runs it with ``--home`` while there is a rollout; a Job runs it
for one ``--service`` until that has ended.
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
from calumma.rollout import carrying


async def _until_signal(rollouts: carrying.Rollouts, *, until_ended: bool) -> None:
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    await rollouts.run(ended, until_ended=until_ended)


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry rollouts out."""
    parser = argparse.ArgumentParser(description="Carry rollouts out.")
    parser.add_argument("--home", type=Path, default=layout.Home.default().path)
    parser.add_argument("--service", help="only this one")
    parser.add_argument("--namespace", default="default")
    parser.add_argument("--once-ended", action="store_true", help="end when it has ended")
    options = parser.parse_args(arguments)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    only = (options.namespace, options.service) if options.service else None
    rollouts = carrying.Rollouts(layout.Home(options.home), only)
    asyncio.run(_until_signal(rollouts, until_ended=options.once_ended))
    return 0


if __name__ == "__main__":
    sys.exit(main())

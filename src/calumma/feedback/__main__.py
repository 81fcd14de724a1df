"""``python -m calumma.feedback``: the receiver of KServe's logger and of labels, as a program."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import secrets
import signal
import sys
from pathlib import Path

from aiohttp import web

from calumma import errors
from calumma.feedback import exchange, folder, pseudonym, receiver

log = logging.getLogger("calumma.feedback")


def main() -> int:
    """Serve until SIGTERM or SIGINT."""
    asked = _parser().parse_args()
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    try:
        with folder.Writer(asked.folder) as writer:
            asyncio.run(_serve(asked, writer))
    except (errors.FeedbackError, OSError) as error:
        log.error("%s", error)
        return 1
    return 0


async def _serve(asked: argparse.Namespace, writer: folder.Writer) -> None:
    users = None
    if asked.user_header:
        key = pseudonym.key(asked.user_key or writer.path.with_suffix(".key"))
        users = exchange.Users(asked.user_header, key)
    exchanges = exchange.Exchanges(exchange.Choice(asked.sample, asked.unsure), users)
    place = asked.token_file or writer.path / "token"
    server = receiver.Receiver(writer, exchanges, _token(place), images=not asked.no_images)
    runner = web.AppRunner(server.app(), access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, asked.host, asked.port)
        await site.start()
        port = runner.addresses[0][1]
        log.info(
            "events and labels go to http://%s:%d, the token is in %s", asked.host, port, place
        )
        ended = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, ended.set)
        await ended.wait()
    finally:
        await runner.cleanup()


def _token(place: Path) -> str:
    """The token in a file; a new one where there is no file yet."""
    with contextlib.suppress(FileExistsError):
        descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(24) + "\n")
    found = place.read_text(encoding="utf-8").strip()
    if not found:
        raise errors.FeedbackError(f"the token file {place} is empty; remove it to get a new one")
    return found


def _share(text: str) -> float:
    if not 0 <= float(text) <= 1:
        raise ValueError(text)
    return float(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m calumma.feedback",
        description="Take what KServe's logger sends, and labels, and keep both in a folder.",
    )
    parser.add_argument("--folder", type=Path, required=True, help="where everything is kept")
    parser.add_argument("--port", type=int, required=True, help="0 takes a free one")
    parser.add_argument(
        "--host", default="127.0.0.1", help="the address to listen on: this machine"
    )
    parser.add_argument("--token-file", type=Path, help="whose token labels need: FOLDER/token")
    parser.add_argument(
        "--sample", type=_share, default=0.1, help="the share of all to be labelled at random: 0.1"
    )
    parser.add_argument(
        "--unsure", type=_share, default=0.7, help="a confidence below which it is labelled: 0.7"
    )
    parser.add_argument(
        "--user-header", help="the logged header that names the user, of whom a pseudonym is kept"
    )
    parser.add_argument("--user-key", type=Path, help="the pseudonyms' key: FOLDER.key")
    parser.add_argument(
        "--no-images", action="store_true", help="keep answers without their images"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())

"""Talking to the supervisor: its socket, and the client that the agent and the CLI use.

The protocol is one JSON object a line over a Unix socket that only its owner can open. Requests
are ``put``, ``stop``, ``restart``, ``list`` and ``watch``; a watch answers with all rows, a mark,
and then each change, until the connection ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Coroutine, Mapping
from pathlib import Path
from typing import Any

from calumma import errors
from calumma.cluster.node.record import Observed, Wanted
from calumma.cluster.node.supervisor import Supervisor

_LONGEST_LINE = 16 << 20


async def serve(supervisor: Supervisor, socket: Path) -> asyncio.Server:
    """Listen on the socket (mode 0600)."""
    socket.unlink(missing_ok=True)

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while line := await reader.readline():
                await _answer(supervisor, json.loads(line), reader, writer)
        writer.close()

    server = await asyncio.start_unix_server(connected, socket, limit=_LONGEST_LINE)
    socket.chmod(0o600)
    return server


class Client:
    """One connection to the supervisor. Use it as an asynchronous context manager."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._lock = asyncio.Lock()

    async def __aenter__(self) -> Client:
        try:
            self._reader, self._writer = await _open(self._socket)
        except OSError as error:
            raise errors.NotRunning(
                f"No supervisor answers on {self._socket}: {error}. `calumma up` starts one."
            ) from error
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()

    async def put(self, wanted: Wanted) -> Observed | None:
        """Keep a program running, and hear how it is; see :meth:`Supervisor.put`."""
        answer = await self._ask({"do": "put", "program": wanted.to_json()})
        row = answer["program"]
        return None if row is None else Observed.from_json(row)

    async def stop(self, name: str) -> None:
        """End a program and forget it."""
        await self._ask({"do": "stop", "name": name})

    async def restart(self, name: str) -> None:
        """End a program's present run; another follows."""
        await self._ask({"do": "restart", "name": name})

    async def list(self) -> list[Observed]:
        """All programs."""
        answer = await self._ask({"do": "list"})
        return [Observed.from_json(row) for row in answer["programs"]]

    async def _ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        async with self._lock:
            self._writer.write(json.dumps(request).encode() + b"\n")
            line = await self._reader.readline()
        if not line:
            raise errors.NotRunning(f"The supervisor closed its socket {self._socket}.")
        answer: dict[str, Any] = json.loads(line)
        return answer


SYNCED = ""
"""The name that a watch gives once, after all rows that were there when it began."""


async def watch(socket: Path) -> AsyncIterator[tuple[str, Observed | None]]:
    """All programs, SYNCED, then each change, as ``(name, row)``; a row that is gone is None.

    Ends when the supervisor does.
    """
    reader, writer = await _open(socket)
    try:
        writer.write(b'{"do": "watch"}\n')
        while line := await reader.readline():
            change = json.loads(line)
            row = change["program"]
            yield change["name"], None if row is None else Observed.from_json(row)
    finally:
        writer.close()


async def _open(socket: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_unix_connection(socket, limit=_LONGEST_LINE)


async def _answer(
    supervisor: Supervisor,
    request: Mapping[str, Any],
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> None:
    match request["do"]:
        case "put":
            row = supervisor.put(Wanted.from_json(request["program"]))
            answer: dict[str, Any] = {"program": None if row is None else row.to_json()}
        case "stop":
            supervisor.stop(request["name"])
            answer = {}
        case "restart":
            supervisor.restart(request["name"])
            answer = {}
        case "list":
            answer = {"programs": [row.to_json() for row in supervisor.observe()]}
        case "watch":
            await _until_left(_stream(supervisor, writer), reader)
            return
        case other:
            answer = {
                "error": f"unknown request {other!r}: put, stop, restart, list and watch are known"
            }
    await _send(writer, answer)


async def _until_left(stream: Coroutine[Any, Any, None], reader: asyncio.StreamReader) -> None:
    """Stream until the client closes its end: a watch sends nothing more."""
    task = asyncio.create_task(stream)
    await reader.read()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def _stream(supervisor: Supervisor, writer: asyncio.StreamWriter) -> None:
    queue = supervisor.subscribe()
    try:
        for row in supervisor.observe():
            await _send(writer, {"name": row.wanted.name, "program": row.to_json()})
        await _send(writer, {"name": SYNCED, "program": None})
        while True:
            name, changed = await queue.get()
            await _send(
                writer, {"name": name, "program": None if changed is None else changed.to_json()}
            )
    finally:
        supervisor.unsubscribe(queue)


async def _send(writer: asyncio.StreamWriter, message: Mapping[str, Any]) -> None:
    writer.write(json.dumps(message).encode() + b"\n")
    await writer.drain()

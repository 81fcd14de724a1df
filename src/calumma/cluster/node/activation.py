"""Talking to the activator: its socket, and the agent's side of it.

The protocol is one JSON object a line over a Unix socket that only its owner can open. The agent
sends all gates that should be open; the activator answers when they are, naming those whose port it
could not have, and tells at any time how many requests wait at a gate. Either may be killed: the
activator keeps its gates in a file and opens them again on the same ports, the agent connects again
and sends them all. :mod:`~calumma.cluster.node.gates` does the work.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from calumma import errors
from calumma.cluster.node.gates import Gate, Keeper

log = logging.getLogger(__name__)

_LONGEST_LINE = 16 << 20
_AGAIN = 0.1


class Activator:
    """All open gates, and who is told of the waiting."""

    def __init__(self, memory: Path) -> None:
        self._memory = memory
        self._keepers: dict[str, Keeper] = {}
        self._listeners: set[asyncio.StreamWriter] = set()

    async def restore(self) -> None:
        """Open the gates that an earlier process had."""
        with contextlib.suppress(FileNotFoundError, ValueError):
            await self.keep([Gate.from_json(row) for row in json.loads(self._memory.read_text())])

    async def keep(self, wanted: Iterable[Gate]) -> list[str]:
        """Have exactly these gates open; the names of those whose port cannot be had."""
        asked = {gate.name: gate for gate in wanted}
        refused: list[str] = []
        for name, keeper in list(self._keepers.items()):
            if name not in asked or asked[name].port != keeper.gate.port:
                keeper.close()
                del self._keepers[name]
        for name, gate in asked.items():
            if name in self._keepers:
                self._keepers[name].change(gate)
                continue
            keeper = Keeper(gate, self._tell)
            try:
                await keeper.open()
            except OSError as error:
                log.warning("gate %s: %s", name, error)
                refused.append(name)
                continue
            self._keepers[name] = keeper
        self._remember()
        return refused

    def active(self, port: int) -> int:
        """How many connections a pod's port has through its gate."""
        return sum(keeper.active[port] for keeper in self._keepers.values())

    async def serve(self, socket: Path) -> asyncio.Server:
        """Listen on the socket (mode 0600)."""
        socket.unlink(missing_ok=True)
        server = await asyncio.start_unix_server(self._connected, socket, limit=_LONGEST_LINE)
        socket.chmod(0o600)
        return server

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        rows = [keeper.gate.to_json() for keeper in self._keepers.values()]
        _send(writer, {"gates": rows})
        for name, keeper in self._keepers.items():
            if keeper.waiting:
                _send(writer, {"waiting": [name, keeper.waiting]})
        self._listeners.add(writer)
        with contextlib.suppress(ConnectionError):
            while line := await reader.readline():
                request = json.loads(line)
                if "active" in request:
                    _send(writer, {"answer": self.active(request["active"])})
                else:
                    gates = [Gate.from_json(row) for row in request["gates"]]
                    _send(writer, {"answer": await self.keep(gates)})
                await writer.drain()
        self._listeners.discard(writer)
        writer.close()

    def _tell(self, name: str, waiting: int) -> None:
        for writer in self._listeners:
            _send(writer, {"waiting": [name, waiting]})

    def _remember(self) -> None:
        draft = self._memory.with_suffix(".new")
        draft.write_text(json.dumps([k.gate.to_json() for k in self._keepers.values()]))
        draft.replace(self._memory)


class Client:
    """The agent's connection; ``demand`` is told how many requests wait at a gate."""

    def __init__(self, socket: Path, demand: Callable[[str, int], None]) -> None:
        self._socket = socket
        self._demand = demand
        self._gates: dict[str, Gate] = {}
        self._writer: asyncio.StreamWriter | None = None
        self._answers: deque[asyncio.Future[Any]] = deque()
        self.known = asyncio.Event()
        """Set once the activator has told which gates it has."""

    @property
    def ports(self) -> Mapping[str, int]:
        """The port of each gate by name."""
        return {name: gate.port for name, gate in self._gates.items()}

    async def put(self, owner: str, gates: Iterable[Gate], *, closing: bool) -> None:
        """Open or change the gates of one owner, and with ``closing`` close its others.

        Raises GatewayNotReady when the activator does not answer, or a port cannot be had: then
        the gate is forgotten, and another port can be asked for.
        """
        kept = {n: g for n, g in self._gates.items() if not (closing and g.owner == owner)}
        wanted = {**kept, **{gate.name: gate for gate in gates}}
        if wanted == self._gates:
            return
        refused = await self._ask({"gates": [gate.to_json() for gate in wanted.values()]})
        self._gates = {name: gate for name, gate in wanted.items() if name not in refused}
        if refused:
            raise errors.GatewayNotReady(
                f"The activator could not have the ports of {', '.join(refused)}: another program "
                "listens there. Others are tried."
            )

    async def active(self, port: int) -> int:
        """How many connections a pod's port has through a gate; 0 when nobody can say."""
        try:
            return int(await self._ask({"active": port}))
        except errors.GatewayNotReady:
            return 0

    async def run(self) -> None:
        """Stay connected until cancelled, and tell the gates again to an activator that is new."""
        while True:
            try:
                reader, self._writer = await asyncio.open_unix_connection(
                    self._socket, limit=_LONGEST_LINE
                )
                await self._follow(reader)
            except (OSError, ValueError) as error:
                log.debug("activator: %s", error)
            finally:
                self._lose()
            await asyncio.sleep(_AGAIN)

    async def _follow(self, reader: asyncio.StreamReader) -> None:
        while line := await reader.readline():
            message = json.loads(line)
            if "waiting" in message:
                self._demand(*message["waiting"])
            elif "gates" in message:
                self._meet([Gate.from_json(row) for row in message["gates"]])
            elif self._answers:
                answer = self._answers.popleft()
                if not answer.done():
                    answer.set_result(message["answer"])

    def _meet(self, theirs: Iterable[Gate]) -> None:
        """Take over what the activator has when we know nothing, else tell it what we know."""
        if not self.known.is_set():
            self._gates = {gate.name: gate for gate in theirs}
            self.known.set()
        elif self._writer is not None:
            self._answers.append(asyncio.get_running_loop().create_future())
            _send(self._writer, {"gates": [gate.to_json() for gate in self._gates.values()]})

    async def _ask(self, request: Mapping[str, Any]) -> Any:
        if self._writer is None:
            raise _unanswered()
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._answers.append(answer)
        _send(self._writer, request)
        return await answer

    def _lose(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._writer = None
        while self._answers:
            answer = self._answers.popleft()
            if not answer.done():
                answer.set_exception(_unanswered())
                answer.exception()  # it is told to who waits; nobody may


def _unanswered() -> errors.GatewayNotReady:
    return errors.GatewayNotReady(
        "The activator does not answer; the supervisor starts it again. `calumma logs activator` "
        "says why it ended."
    )


def _send(writer: asyncio.StreamWriter, message: Mapping[str, Any]) -> None:
    if not writer.is_closing():
        writer.write(json.dumps(message).encode() + b"\n")

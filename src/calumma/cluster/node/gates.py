"""Gates: where requests wait for a pod, and where a revision's limit of requests at a time is kept.

A gate is a loopback port in front of the pods of one revision. A connection that comes in is
joined to a pod's port as it is, byte by byte, so HTTP/1.1, h2c and anything else pass; while no pod
can take it, it waits in order of arrival. Envoy leads to a gate when a revision has no ready pod
(scaled to zero, or a pod being replaced), and always when the revision limits its requests at a
time: there each connection carries one request.

What a gate knows of its pods may be old: a port that refuses is asked again until it accepts. So
requests survive the replacement of a pod even while nobody tells the gate anything. The process is
:mod:`calumma.cluster.activatord`, the agent's side :mod:`~calumma.cluster.node.activation`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from calumma.cluster.programs import upstreams

_RETRY = 0.05
"""Seconds before a port that refused is asked again."""

_LONGEST_BUFFER = 1 << 20
"""Bytes of a waiting request that are taken in; the rest stays with the sender."""


@dataclass(frozen=True)
class Gate:
    """A port and the pods behind it; ``limit`` is the requests at a time of one pod, 0 for any.

    The name is its backend's, ``owner`` what it is for, so that its gates can be found again.
    """

    owner: str
    name: str
    port: int
    limit: int
    targets: tuple[int, ...]

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Gate:
        """From the JSON of :meth:`to_json`."""
        return cls(**{**data, "targets": tuple(data["targets"])})

    def to_json(self) -> dict[str, Any]:
        """As JSON."""
        return {**vars(self), "targets": list(self.targets)}


class Keeper:
    """One open gate: who waits, and how many each pod has. ``changed`` is told of the waiting."""

    def __init__(self, gate: Gate, changed: Callable[[str, int], None]) -> None:
        self.gate = gate
        self._changed = changed
        self._waiting: dict[_Side, asyncio.Future[int | None]] = {}
        self._reported = 0
        self._refusing: set[int] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.active: Counter[int] = Counter()

    @property
    def waiting(self) -> int:
        """How many connections wait for a pod."""
        return len(self._waiting)

    async def open(self) -> None:
        """Listen; raises OSError when the port is taken."""
        self._server = await asyncio.get_running_loop().create_server(
            lambda: _Side(self._arrive, self._forget), "127.0.0.1", self.gate.port, backlog=4096
        )

    def close(self) -> None:
        """Take no connection any more and end those that wait; those that are joined go on."""
        if self._server is not None:
            self._server.close()
        for side in list(self._waiting):
            side.finish()

    def change(self, gate: Gate) -> None:
        """Other pods or another limit, on the same port."""
        self.gate = gate
        self._refusing &= set(gate.targets)
        self._admit()

    def _arrive(self, side: _Side) -> None:
        task = asyncio.create_task(self._serve(side))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, side: _Side) -> None:
        """Wait for a pod, join it, and stay until both ends are closed."""
        while (port := await self._place(side)) is not None:
            try:
                other = await self._connect(port)
            except OSError:
                self._leave(port)
                self._refuse(port)
                continue
            try:
                side.join(other)
                await asyncio.gather(side.closed.wait(), other.closed.wait())
            finally:
                self._leave(port)
            return

    async def _connect(self, port: int) -> _Side:
        loop = asyncio.get_running_loop()
        source = (upstreams.SOURCE, 0)
        return (await loop.create_connection(_Side, "127.0.0.1", port, local_addr=source))[1]

    async def _place(self, side: _Side) -> int | None:
        """The port of a pod with a place for this connection, or None when its sender left."""
        if side.closed.is_set():
            return None
        place: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        self._waiting[side] = place
        self._admit()
        port = await place
        if port is not None and side.closed.is_set():
            self._leave(port)
            return None
        return port

    def _forget(self, side: _Side) -> None:
        """The sender has left before there was a place."""
        place = self._waiting.pop(side, None)
        if place is not None:
            place.set_result(None)
            self._report()

    def _admit(self) -> None:
        """Give places to those who wait, the first first."""
        while self._waiting:
            port = self._free()
            if port is None:
                break
            self.active[port] += 1
            self._waiting.pop(next(iter(self._waiting))).set_result(port)
        self._report()

    def _report(self) -> None:
        if self.waiting != self._reported:
            self._reported = self.waiting
            self._changed(self.gate.name, self.waiting)

    def _free(self) -> int | None:
        """The pod with the fewest requests that may have one more."""
        limit = self.gate.limit
        open_ports = [
            port
            for port in self.gate.targets
            if port not in self._refusing and not (limit and self.active[port] >= limit)
        ]
        return min(open_ports, key=lambda port: self.active[port], default=None)

    def _leave(self, port: int) -> None:
        self.active[port] -= 1
        if not self.active[port]:
            del self.active[port]
        self._admit()

    def _refuse(self, port: int) -> None:
        """Do not ask a port for a moment."""

        def again() -> None:
            self._refusing.discard(port)
            self._admit()

        self._refusing.add(port)
        asyncio.get_running_loop().call_later(_RETRY, again)


class _Side(asyncio.Protocol):
    """One end of a joined pair; what comes in goes out at the other, with backpressure."""

    def __init__(
        self,
        arrived: Callable[[_Side], None] | None = None,
        left: Callable[[_Side], None] | None = None,
    ) -> None:
        self._arrived = arrived
        self._left = left
        self._other: _Side | None = None
        self._early = bytearray()
        self._transport: asyncio.Transport | None = None
        self.closed = asyncio.Event()

    def join(self, other: _Side) -> None:
        """Pass on what either end has received so far and all that follows, both ways.

        Either may have ended meanwhile, or have spoken first, as servers of HTTP/2 do.
        """
        self._other, other._other = other, self
        for one, another in ((self, other), (other, self)):
            if one._early:
                another.write(bytes(one._early))
                one._early.clear()
            if one.closed.is_set():
                another.finish()
            else:
                one.read(going=True)

    def write(self, data: bytes) -> None:
        """Send."""
        if self._transport is not None:
            self._transport.write(data)

    def read(self, *, going: bool) -> None:
        """Take in more, or let the sender wait."""
        if self._transport is not None and not self._transport.is_closing():
            with contextlib.suppress(RuntimeError):  # it is so already
                (self._transport.resume_reading if going else self._transport.pause_reading)()

    def finish(self) -> None:
        """Close this end once everything is sent."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is there."""
        if isinstance(transport, asyncio.Transport):
            self._transport = transport
        if self._arrived is not None:
            self._arrived(self)

    def data_received(self, data: bytes) -> None:
        """Bytes for the other end."""
        if self._other is not None:
            self._other.write(data)
            return
        self._early += data
        if len(self._early) > _LONGEST_BUFFER:
            self.read(going=False)

    def pause_writing(self) -> None:
        """This end takes no more for now."""
        if self._other is not None:
            self._other.read(going=False)

    def resume_writing(self) -> None:
        """This end takes more again."""
        if self._other is not None:
            self._other.read(going=True)

    def connection_lost(self, exc: Exception | None) -> None:
        """This end is closed, so the other one ends too."""
        self.closed.set()
        if self._left is not None:
            self._left(self)
        if self._other is not None:
            self._other.finish()

"""The real sidecar between a real component and a real receiver of CloudEvents."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import aiohttp
from aiohttp import web

from calumma import destination
from support import pods

LARGEST = 64 << 20


class Event(NamedTuple):
    """What the receiver got."""

    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """Takes events; while it is closed it takes none, but lets the senders wait."""

    url: str = ""
    events: list[Event] = field(default_factory=list)
    status: int = 202
    unknown: bool = False
    under_way: int = 0
    most_under_way: int = 0
    open: asyncio.Event = field(default_factory=asyncio.Event)
    arrived: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        await self.open.wait()
        self.under_way -= 1
        named = {name.lower(): value for name, value in request.headers.items()}
        async with self.arrived:
            self.events.append(Event({**named, ":path": request.path}, body))
            self.arrived.notify_all()
        known = {destination.UNKNOWN: "true"} if self.unknown else {}
        return web.Response(status=self.status, headers=known)

    async def of(self, count: int) -> list[Event]:
        """The events, once there are so many, requests first."""
        async with asyncio.timeout(20), self.arrived:
            await self.arrived.wait_for(lambda: len(self.events) >= count)
        return sorted(self.events, key=lambda event: event.headers["ce-type"])


@dataclass
class Component:
    """A model server: doubles numbers, echoes, streams, and waits."""

    port: int = 0
    status: int = 200
    reply: Callable[[bytes], bytes] | None = None
    predicted: list[tuple[str, bytes]] = field(default_factory=list)
    running: asyncio.Event = field(default_factory=asyncio.Event)
    waiting: asyncio.Event = field(default_factory=asyncio.Event)
    left: asyncio.Event = field(default_factory=asyncio.Event)

    async def predict(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.predicted.append((request.path, body))
        await self.running.wait()
        if self.reply is not None:
            return web.Response(body=self.reply(body), status=self.status)
        doubled = [2 * number for number in json.loads(body)["instances"]]
        return web.json_response({"predictions": doubled}, status=self.status)

    async def echo(self, request: web.Request) -> web.Response:
        seen = {name.lower(): value for name, value in request.headers.items()}
        return web.Response(
            body=await request.read(),
            content_type=request.content_type,
            headers={
                "x-seen": json.dumps(seen),
                "x-path": request.raw_path,
                "x-method": request.method,
            },
            status=self.status,
        )

    async def stream(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b"data: 1\n\n")
        await self.running.wait()
        await response.write(b"data: 2\n\n")
        return response

    async def break_off(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-length": "1000"})
        await response.prepare(request)
        await response.write(b"half")
        assert request.transport is not None
        request.transport.close()
        return response

    async def wait(self, request: web.Request) -> web.Response:
        self.waiting.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.left.set()
            raise
        return web.Response()


async def serve(app: web.Application) -> tuple[web.AppRunner, int]:
    """Serve on a free port; a client that leaves cancels its handler."""
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    return runner, int(runner.addresses[0][1])


class Sidecar:
    """The program as a child process, and a client of it."""

    def __init__(self, url: str, process: asyncio.subprocess.Process, log: Path) -> None:
        self.url = url
        self.process = process
        self._log = log
        self.client = aiohttp.ClientSession(url, timeout=aiohttp.ClientTimeout(total=30))

    @property
    def log(self) -> str:
        """What it has written so far."""
        return self._log.read_text()

    async def end(self) -> int:
        """Ask it to end, and wait until it has."""
        await self.client.close()
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(20):
            return await self.process.wait()


@contextlib.asynccontextmanager
async def started(*words: str, **environment: str) -> AsyncIterator[Sidecar]:
    """A sidecar that accepts connections."""
    port = pods.free_port()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", "calumma.sidecar", "--port", str(port), *words),
                env={**os.environ, **environment},
                stdout=output,
                stderr=output,
            )
        sidecar = Sidecar(f"http://127.0.0.1:{port}", process, log)
        try:
            await _until_listening(port, sidecar)
            yield sidecar
        finally:
            await sidecar.end()


async def _until_listening(port: int, sidecar: Sidecar) -> None:
    async with asyncio.timeout(30):
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            if sidecar.process.returncode is not None:
                raise AssertionError(sidecar.log)
            await asyncio.sleep(0.02)


def flags(receiver: Receiver, component: Component, mode: str) -> list[str]:
    """The arguments of a logger."""
    given = {
        "log-url": receiver.url,
        "source-uri": "iris-predictor-00001-pod",
        "log-mode": mode,
        "inference-service": "iris",
        "namespace": "default",
        "endpoint": "",
        "component": "predictor",
        "metadata-headers": "X-Request-Id,Tenant",
        "metadata-annotations": 'team=blue,"note=a, b"',
        "logger-tls-skip-verify": "false",
        "component-port": str(component.port),
    }
    return [word for flag, value in given.items() for word in (f"--{flag}", value)]

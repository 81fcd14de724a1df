"""What the sidecar costs a request: the same requests with and without it, side by side.

A small server in a process of its own is asked directly, through the sidecar, and through the
sidecar as a logger whose receiver takes every event. The ways take turns, so that a busy machine
is as busy for each. ``python benchmarks/sidecar.py`` prints the medians; the CPU time is that of
the sidecar's process for one request.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import socket
import statistics
import sys
import time
from collections.abc import AsyncIterator
from typing import NamedTuple

import aiohttp
import psutil
from aiohttp import web

SIZES = {"1 kB": 1 << 10, "602 kB": 3 * 224 * 224 * 4}
REPLY = b'{"predictions": [1]}'


class Way(NamedTuple):
    """One way to the server, and the sidecar's process on it."""

    name: str
    url: str
    process: psutil.Process | None


def component(port: int) -> None:
    """The server: it reads a body and answers a little."""

    async def answer(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(body=REPLY)

    app = web.Application(client_max_size=16 << 20)
    app.router.add_post("/{path:.*}", answer)
    web.run_app(app, host="127.0.0.1", port=port, print=lambda *_: None, access_log=None)


def free_port() -> int:
    """A port of the kernel's choice."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextlib.asynccontextmanager
async def program(port: int, *words: str) -> AsyncIterator[psutil.Process]:
    """A Python program that listens on a port."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, *words, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(30):
            while True:
                with contextlib.suppress(OSError):
                    (await asyncio.open_connection("127.0.0.1", port))[1].close()
                    break
                await asyncio.sleep(0.02)
        yield psutil.Process(child.pid)
    finally:
        child.terminate()
        await child.wait()


async def measure(ways: list[Way], size: int, rounds: int) -> None:
    """Print each way's median latency and what it costs more than the first."""
    body = bytes(size)
    latencies: dict[str, list[float]] = {way.name: [] for way in ways}
    before = {way.name: sum(way.process.cpu_times()[:2]) for way in ways if way.process}
    async with aiohttp.ClientSession() as client:
        for _ in range(rounds):
            for way in ways:
                began = time.perf_counter()
                async with client.post(f"{way.url}/v1/models/m:predict", data=body) as answer:
                    if await answer.read() != REPLY:
                        raise SystemExit(f"{way.name} answered {answer.status}")
                latencies[way.name].append(time.perf_counter() - began)
    direct = statistics.median(latencies[ways[0].name])
    for way in ways:
        median = statistics.median(latencies[way.name])
        cost = ""
        if way.process is not None:
            used = sum(way.process.cpu_times()[:2]) - before[way.name]
            cost = f", {1e3 * (median - direct):.2f} ms more, CPU {1e3 * used / rounds:.2f} ms"
        print(f"  {way.name:28} {1e3 * median:.2f} ms{cost}")


async def main(rounds: int) -> None:
    """Start everything and measure."""
    server, plain, logging = free_port(), free_port(), free_port()
    passed = ("-P", "-m", "calumma.sidecar", "--component-port", str(server), "--port")
    sink = ("--log-url", f"http://127.0.0.1:{server}/")
    async with (
        program(server, __file__, "--component", str(server)),
        program(plain, *passed, str(plain)) as passing,
        program(logging, *passed, str(logging), *sink) as logger,
    ):
        ways = [
            Way("direct", f"http://127.0.0.1:{server}", None),
            Way("through the sidecar", f"http://127.0.0.1:{plain}", passing),
            Way("through it, both logged", f"http://127.0.0.1:{logging}", logger),
        ]
        for name, size in SIZES.items():
            print(f"requests of {name}, median of {rounds}:")
            await measure(ways, size, rounds)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--component", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.component:
        component(options.component)
    else:
        asyncio.run(main(options.rounds))

"""Readiness of real processes: what answers is ready, what stops or loses a part is not."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from calumma.cluster.node import probes, process
from calumma.cluster.node.ports import Ports
from calumma.cluster.node.record import Observed, Wanted

SERVER = """
import http.server, multiprocessing, sys, time

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/ready" else 404)
        self.end_headers()

multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,), daemon=True).start()
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


class Bench:
    """A prober and real servers that it probes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.changed: list[str] = []
        self.broken: list[str] = []
        self.children: list[process.Child] = []
        self.ports = Ports(lambda: ())
        self.prober = probes.Prober(
            lambda row: self.changed.append(row.wanted.name),
            lambda row: self.broken.append(row.wanted.name),
        )

    def start(self, name: str, path: str | None, **probe: Any) -> process.Child:
        port = self.ports.free()
        argv = (sys.executable, "-c", SERVER, str(port))
        environment = {"PATH": os.environ["PATH"]}
        log = self.folder / f"{name}.log"
        with log.open("wb") as output:
            child = process.start(argv, environment, self.folder, output.fileno(), self.folder)
        self.children.append(child)
        notes = {"probe": {"port": port, "path": path, **probe}}
        wanted = Wanted(name, argv, environment, str(self.folder), str(log), notes=notes)
        self.prober.follow(name, Observed(wanted, "running", 0.0, pid=child.pid))
        return child

    async def until(self, true: Callable[[], object]) -> None:
        async with asyncio.timeout(2 * probes.STEADY + 10):
            while not true():  # noqa: ASYNC110  other processes
                await asyncio.sleep(0.02)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    await bench.prober.close()
    for child in bench.children:
        child.signal(signal.SIGKILL)
        child.reap()


async def test_ready_when_the_path_answers_or_the_port_accepts(bench: Bench) -> None:
    bench.start("path", "/ready")
    bench.start("port", None)
    bench.start("wrong", "/elsewhere")
    await bench.prober.settle()
    await bench.until(lambda: bench.prober.ready == {"path", "port"})
    assert sorted(bench.changed) == ["path", "port"]


async def test_a_run_that_ended_is_not_ready_and_the_next_one_starts_unready(bench: Bench) -> None:
    bench.start("server", "/ready")
    await bench.until(lambda: "server" in bench.prober.ready)
    bench.prober.follow("server", None)
    assert not bench.prober.ready


async def test_a_server_that_stops_answering_is_not_ready(bench: Bench) -> None:
    child = bench.start("server", "/ready")
    await bench.until(lambda: "server" in bench.prober.ready)
    child.signal(signal.SIGSTOP)
    await bench.until(lambda: not bench.prober.ready)
    child.signal(signal.SIGCONT)
    await bench.until(lambda: bench.prober.ready)
    assert bench.changed == ["server"] * 3


async def test_a_server_that_lost_a_part_of_its_crew_is_broken(bench: Bench) -> None:
    child = bench.start("server", "/ready", crew=True)
    other = bench.start("other", "/ready", crew=False)
    await bench.until(lambda: bench.prober.ready == {"server", "other"})
    for each in (child, other):
        (part,) = process.members(each.pid)
        os.kill(part, signal.SIGKILL)
    await bench.until(lambda: bench.broken)
    assert bench.broken == ["server"]
    assert bench.prober.ready == {"other"}

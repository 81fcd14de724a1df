"""The load generator itself: how fast it can send, what it omits, and what others measure.

Three tables. *Ceiling*: a server in a process of its own answers at once, and the rate is raised
until less than 99% of the requests are sent within 10 ms of their time; beside the generator's own
client the general one that notebooks use at low rates, and whichever of ab, hey and wrk are
installed, which send as fast as answers come. *Stalls*: the server stalls a second in every ten; an
open loop and a closed loop of one connection report the same service. *Side by side*: a real Triton
behind the gateway at the same rates by this generator and by NVIDIA's perf_analyzer, where that is
installed (it comes with some tritonclient wheels), in turns.

    python benchmarks/load.py
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import aiohttp
import measuring
import numpy as np
import psutil
import uvloop

from calumma import datasets, inference
from calumma.cluster.node import ports
from calumma.inference import classification
from calumma.load import generator, measures, payloads, schedule, session, wire
from calumma.models import digits

MANIFESTS = measuring.ROOT / "inferenceservices/digits"
PATH = "/v1/models/digits:predict"
SEVEN = {"label": "7", "class": 7, "probability": 0.9, "probabilities": [0.1, 0.9]}
ANSWER = json.dumps({"predictions": [SEVEN]}).encode()
PERIOD, STALL = 10.0, 1.0
LATE = 0.010

Ask = Callable[[], Awaitable[object]]


class Trivial(asyncio.Protocol):
    """Answers every request alike, and only as soon as no stall is on."""

    def __init__(self, stalls: bool) -> None:
        self._stalls, self._buffer = stalls, b""
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(ANSWER)}\r\n\r\n".encode()
        self._reply = head + ANSWER

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer each whole request."""
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            length = re.search(rb"(?i)content-length: *(\d+)", self._buffer[:end])
            whole = end + 4 + (int(length[1]) if length else 0)
            if len(self._buffer) < whole:
                return
            self._buffer = self._buffer[whole:]
            into = time.monotonic() % PERIOD
            wait = STALL - into if self._stalls and into < STALL else 0.0
            asyncio.get_running_loop().call_later(wait, self._answer)

    def _answer(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(self._reply)  # type: ignore[attr-defined]


def serve(port: int, *, stalls: bool) -> None:
    """Run the trivial server."""

    async def run() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Trivial(stalls), "127.0.0.1", port)
        await server.serve_forever()

    uvloop.run(run())


@contextlib.contextmanager
def server(*, stalls: bool = False) -> Iterator[str]:
    """A trivial server's address."""
    port = ports.Ports(tuple).free()
    words = [sys.executable, __file__, "--serve", str(port), *(["--stalls"] if stalls else [])]
    with subprocess.Popen(words) as process:
        try:
            deadline = time.monotonic() + 20
            while time.monotonic() < deadline:
                with contextlib.suppress(OSError):
                    asyncio.run(_touch(port))
                    break
                time.sleep(0.05)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


async def _touch(port: int) -> None:
    (await asyncio.open_connection("127.0.0.1", port))[1].close()


class Run(NamedTuple):
    """One rate: the share that was sent on time, and CPU time a request."""

    on_time: float
    cpu_us: float


def ceilings(seconds: float) -> None:
    """Print how fast each client can be."""
    rows = []
    with server() as url:
        for name, send in (
            ("this generator", functools.partial(_own, url)),
            ("the same schedule by aiohttp", functools.partial(_general, url)),
        ):
            best, run = _ceiling(send, seconds)
            rows.append((name, f"{best:.0f}/s", f"{run.cpu_us:.0f}", f"{1e6 / run.cpu_us:.0f}/s"))
            measuring.tell(f"{name}: {best:.0f}/s")
        rows += [(name, f"{rate:.0f}/s, closed", "", "") for name, rate in _others(url, seconds)]
    print("\nCeiling: the highest rate with 99% of the requests sent within 10 ms of their time\n")
    print(measuring.table(("client", "requests", "CPU µs a request", "so of a core"), rows))


def _ceiling(send: Callable[[float, float], Run], seconds: float) -> tuple[float, Run]:
    """The highest rate that is sent on time, up by a quarter from 500; CPU time at the next one."""
    best, rate = 0.0, 500.0
    while True:
        run = max(send(rate, seconds) for _ in range(3))  # a busy machine gets more chances
        if run.on_time < measures.PUNCTUAL:
            return best, run
        best, rate = rate, rate * 1.25


def _own(url: str, rate: float, seconds: float) -> Run:
    async def send() -> Run:
        async with wire.Wire(url) as wires:
            target = payloads.Target(wires, "digits")
            mix = await target.prepare([payloads.Payload(name="d", dataset="digits")], Path(), 0)
            return await _timed(
                lambda times: generator.play(target.ask, times, mix.order(0), concurrency=1024),
                rate,
                seconds,
            )

    return session.in_thread(send())


def _general(url: str, rate: float, seconds: float) -> Run:
    async def send() -> Run:
        async with inference.Client(url, "digits") as client:
            order = schedule.shuffled(datasets.held_out("digits"), seed=0)
            return await _timed(
                lambda times: generator.send(client, times, order, concurrency=1024), rate, seconds
            )

    return asyncio.run(send())


async def _timed(
    send: Callable[[Sequence[float]], Awaitable[list[generator.Outcome]]],
    rate: float,
    seconds: float,
) -> Run:
    times = schedule.evenly(schedule.steps([rate], seconds)).tolist()
    before = time.process_time()
    outcomes = await send(times)
    used = time.process_time() - before
    return Run(measures.on_time(outcomes, LATE).value or 0.0, 1e6 * used / len(outcomes))


def _others(url: str, seconds: float) -> Iterator[tuple[str, float]]:
    """Requests a second of the closed-loop programs that are installed."""
    image = datasets.held_out("digits")[0].image
    with tempfile.NamedTemporaryFile(suffix=".json") as body:
        Path(body.name).write_bytes(classification.encode([image]))
        kind = "application/json"
        words = {
            "ab": ["-k", "-c", "64", "-t", f"{seconds:.0f}", "-n", "1000000", "-T", kind, "-p"],
            "hey": ["-c", "64", "-z", f"{seconds:.0f}s", "-m", "POST", "-T", kind, "-D"],
        }
        for name, options in words.items():
            if program := shutil.which(name):
                output = _output([program, *options, body.name, url + PATH])
                rate = re.search(r"Requests(?: per second|/sec):\s+([\d.]+)", output)
                yield name, float(rate[1]) if rate else float("nan")
        if program := shutil.which("wrk"):
            output = _output([program, "-t1", "-c64", f"-d{seconds:.0f}s", url + PATH])
            rate = re.search(r"Requests/sec:\s+([\d.]+)", output)
            yield "wrk (GET)", float(rate[1]) if rate else float("nan")


def stalls(seconds: float, rate: float = 100.0) -> None:
    """Print what an open and a closed loop say of the same stalling server."""
    with server(stalls=True) as url:
        plan = session.Plan([payloads.Payload(name="d", dataset="digits")], 1024, 10, LATE, 0)
        even = schedule.evenly(schedule.steps([rate], seconds)), seconds
        address = session.Address(url, "digits")
        played = session.play(address, plan, (np.empty(0), 0.0), even)
        opened = [each.latency for each in played.outcomes if each.failure is None]
        closed = asyncio.run(_closed(url, seconds))
    rows = [
        (name, str(len(found)), *(f"{1e3 * value:.0f}" for value in _quantiles(found)))
        for name, found in (("open loop", opened), ("closed loop, 1 connection", closed))
    ]
    print(
        f"\nStalls of 1 s each 10 s, {seconds:.0f} s, milliseconds (by theory: p95 500, p99 900)\n"
    )
    print(measuring.table(("", "requests", "p50", "p95", "p99", "max"), rows))


async def _closed(url: str, seconds: float) -> list[float]:
    """Latencies of a loop that waits for each answer."""
    found = []
    ends = time.monotonic() + seconds
    async with aiohttp.ClientSession() as client:
        while time.monotonic() < ends:
            began = time.perf_counter()
            async with client.post(url + PATH, data=b"{}") as answer:
                await answer.read()
            found.append(time.perf_counter() - began)
    return found


def side_by_side(program: str, rates: Sequence[float], seconds: float, rounds: int) -> None:
    """Print what this generator and perf_analyzer measure of one Triton."""
    found: dict[tuple[float, str], list[tuple[float, ...]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        libraries = _libraries(Path(folder))
        digits.train(Path(folder), config=MANIFESTS / "config.pbtxt", versions=["v1"])
        with measuring.cluster({"models": Path(folder)}) as cluster:
            cluster.kubectl("apply", "-k", str(MANIFESTS / "overlays/local"))
            cluster.until_ready(digits.NAME)
            url = cluster.url(f"{digits.NAME}-predictor")
            for _ in range(rounds):
                for rate in rates:
                    measuring.tell(f"{rate:g}/s")
                    ours = found.setdefault((rate, "this generator"), [])
                    ours.append(_by_session(url, rate, seconds))
                    theirs = found.setdefault((rate, "perf_analyzer"), [])
                    theirs.append(_by_perf_analyzer(program, libraries, url, rate, seconds))
    rows = [
        (f"{rate:g}", name, *(f"{value:.2f}" for value in np.median(runs, axis=0)))
        for (rate, name), runs in found.items()
    ]
    print(f"\nOne Triton behind Envoy, Poisson arrivals, medians of {rounds} turns, milliseconds")
    print("from the intended time of sending here, from the actual one by perf_analyzer\n")
    print(measuring.table(("offered/s", "by", "achieved/s", "p50", "p90", "p95", "p99"), rows))


def _by_session(url: str, rate: float, seconds: float) -> tuple[float, ...]:
    plan = session.Plan([payloads.Payload(name="t", tensors=1)], 1024, 10, LATE, 0)
    times = [schedule.randomly(schedule.steps([rate], length), 0) for length in (1.0, seconds)]
    played = session.play(
        session.Address(url, digits.NAME), plan, (times[0], 1.0), (times[1], seconds)
    )
    latencies = [1e3 * each.latency for each in played.outcomes if each.failure is None]
    return len(latencies) / seconds, *np.quantile(latencies, (0.5, 0.9, 0.95, 0.99)).tolist()


def _by_perf_analyzer(
    program: str, libraries: Path, url: str, rate: float, seconds: float
) -> tuple[float, ...]:
    words = [
        *(program, "-m", digits.NAME, "-u", url.removeprefix("http://")),
        *("--request-rate-range", f"{rate:g}", "--request-distribution", "poisson"),
        *("--measurement-interval", f"{1000 * seconds:.0f}", "--max-trials", "3"),
        *("--stability-percentage", "999", "--percentile", "99"),
    ]
    output = _output(words, {**os.environ, "LD_LIBRARY_PATH": str(libraries)})
    rate_found = re.search(r"Throughput: ([\d.]+)", output)
    quantiles = [re.search(rf"p{q} latency: (\d+) usec", output) for q in (50, 90, 95, 99)]
    values = [float(each[1]) / 1e3 if each else float("nan") for each in quantiles]
    return float(rate_found[1]) if rate_found else float("nan"), *values


def _libraries(folder: Path) -> Path:
    """The libraries that perf_analyzer needs, by the names that it knows, from pytriton's wheel."""
    made = folder / "libraries"
    made.mkdir()
    inside = Path(str(metadata.distribution("nvidia-pytriton").locate_file("")))
    for path in (inside / "nvidia_pytriton.libs").glob("*.so*"):
        stem, _, version = path.name.partition(".so")
        short = version.split(".")[1] if version.startswith(".") else ""
        name = re.sub(r"-[0-9a-f]{8}$", "", stem) + ".so" + (f".{short}" if short else "")
        with contextlib.suppress(FileExistsError):
            (made / name).symlink_to(path)
    return made


def _quantiles(found: Sequence[float]) -> list[float]:
    quantiles: list[float] = np.quantile(found, (0.5, 0.95, 0.99, 1.0)).tolist()
    return quantiles


def _output(words: Sequence[str], environment: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        words, capture_output=True, text=True, check=False, timeout=120, env=environment
    )
    return done.stdout + done.stderr


def main() -> None:
    """Measure and print the tables."""
    options = _options()
    if options.serve:
        serve(options.serve, stalls=options.stalls)
        return
    load = f"load average {psutil.getloadavg()[0]:.1f} before"
    print(f"{measuring.machine()}, {load}")
    ceilings(options.seconds)
    stalls(10 * options.seconds)
    program = shutil.which(options.perf_analyzer)
    if program is None:
        print(f"\nSide by side: {options.perf_analyzer} is not installed")
        return
    side_by_side(program, options.rates, options.seconds, options.rounds)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=3.0, help="length of a measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rates", type=float, nargs="+", default=[50.0, 200.0, 500.0])
    parser.add_argument("--perf-analyzer", default="perf_analyzer", help="the program")
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--stalls", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()

"""CPU time a request of the serving chain costs, against the same work without any server.

The work is one Food-11 JPEG: decode, resize, classify, name the class. The *ceiling* does it in
two processes of one thread each, with the functions that the transformer uses and the same ONNX
file. The *chain* is a transformer and Triton, started directly; the *cluster* is the same behind
the gateway, from the manifest of inferenceservices/food11. Both are loaded by clients that each
wait for their reply. Ceiling, chain and cluster take turns, so that a noisy machine is noisy for
all of them. CPU time is that of the servers' processes and their children, from /proc; the
clients' is not counted, nor the control plane's.

    python benchmarks/serving.py --food11 <folder of food11_quantized_aggressive.onnx and images>
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import itertools
import json
import math
import multiprocessing
import os
import runpy
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

import aiohttp
import measuring
import onnxruntime

from calumma.cluster.node import ports
from calumma.cluster.programs import program, triton
from calumma.models import food11
from calumma.serving import images

MANIFESTS = measuring.ROOT / "inferenceservices/food11"
TRANSFORMER = measuring.ROOT / "transformers/food11/main.py"
IMAGES = 40


class Chain(NamedTuple):
    """What serves: its port and host name, and the processes whose CPU time counts."""

    name: str
    port: int
    host: str
    processes: Sequence[int]


class Body(NamedTuple):
    """One form in which clients send an image."""

    name: str
    content_type: str
    bodies: Sequence[bytes]


class Window(NamedTuple):
    """One measurement: requests a second, CPU ms a request, and the slowest percent's ms."""

    rate: float
    cpu_ms: float
    p99_ms: float


def main() -> None:
    """Measure and print the table."""
    options = _options()
    files = [path.read_bytes() for path in _jpegs(options.food11)]
    documents = [
        json.dumps({"instances": [{"image": {"b64": base64.b64encode(file).decode()}}]}).encode()
        for file in files
    ]
    bodies = (Body("JPEG", "image/jpeg", files), Body("V1 JSON", "application/json", documents))
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        config = MANIFESTS / "config.pbtxt"
        model = food11.write(
            options.food11 / "food11_quantized_aggressive.onnx", folder, config=config
        )
        chains = [stack.enter_context(_chain(folder)), stack.enter_context(_cluster(folder))]
        wanted = runpy.run_path(str(TRANSFORMER))["APPLICATION"].image
        workers = [
            stack.enter_context(_ceiling(model.versions[1], wanted, files)) for _ in range(2)
        ]
        results: dict[str, list[Window]] = {}
        for _ in range(options.rounds):
            results.setdefault("ceiling, no server", []).append(_run(workers, options.seconds))
            for chain, body in itertools.product(chains, bodies):
                window = asyncio.run(_load(chain, body, options.seconds, options.connections))
                results.setdefault(f"{chain.name}, {body.name} body", []).append(window)
    _print(results, options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--food11", type=Path, required=True, help="folder of the model and images")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0, help="length of a measurement")
    parser.add_argument("--connections", type=int, default=8)
    return parser.parse_args()


def _jpegs(folder: Path) -> list[Path]:
    """The same images each time: the smallest 40, which are photos as people upload them."""
    return sorted(folder.rglob("*.jpg"), key=lambda path: (path.stat().st_size, path))[:IMAGES]


@contextlib.contextmanager
def _chain(folder: Path) -> Iterator[Chain]:
    """Triton and the transformer, as the node starts them."""
    backends = folder / "backends"
    for name, source in triton.backend_links().items():
        (backends / name).parent.mkdir(parents=True, exist_ok=True)
        (backends / name).write_bytes(source.read_bytes())
        (backends / name).chmod(0o755)
    free = ports.Ports(tuple)
    http, metrics, front = (free.free() for _ in range(3))
    server = triton.program(
        ["tritonserver", "--model-store=/mnt/models", "--log-info=false"],
        model_repository=folder / "food11/v1",
        backends=backends,
        http_port=http,
        grpc_port=None,
        metrics_port=metrics,
        pod=f"benchmark-{os.getpid()}",
    )
    transformer = program.Program(
        (
            *(sys.executable, str(TRANSFORMER)),
            *("--model_name", "food11", "--predictor_host", f"127.0.0.1:{http}"),
            *("--http_host", "127.0.0.1", "--http_port", str(front)),
            *("--enable_grpc", "false"),
        ),
        {**os.environ, **program.MALLOC},
        folder,
    )
    with _process(server) as one, _process(transformer) as two:
        _await(f"http://127.0.0.1:{http}/v2/health/ready")
        _await(f"http://127.0.0.1:{front}/v2/health/ready")
        yield Chain("transformer, Triton", front, "localhost", (one, two))


@contextlib.contextmanager
def _cluster(folder: Path) -> Iterator[Chain]:
    """The same in a cluster, with its gateway."""
    with measuring.cluster({"models": folder}) as cluster:
        cluster.kubectl("apply", "-k", str(MANIFESTS / "overlays/local"))
        cluster.until_ready("food11")
        serving = [
            pid
            for name, pid in cluster.processes().items()
            if name == "envoy" or name.startswith("pods/")
        ]
        port = cluster.settings.gateway_port
        yield Chain("Envoy, transformer, Triton", port, "food11.default.localhost", serving)


@contextlib.contextmanager
def _process(wanted: program.Program) -> Iterator[int]:
    process = subprocess.Popen(
        wanted.argv, env=dict(wanted.environment), cwd=wanted.directory, start_new_session=True
    )
    try:
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(15)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def _await(url: str) -> None:
    for _ in range(300):
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=1):
            return
        time.sleep(0.1)
    raise SystemExit(f"{url} did not answer within 30 s.")


async def _load(chain: Chain, body: Body, seconds: float, connections: int) -> Window:
    """Load the chain; every reply must be 200."""
    url = f"http://127.0.0.1:{chain.port}/v1/models/food11:predict"
    headers = {"Content-Type": body.content_type, "Host": chain.host}
    bodies = itertools.cycle(body.bodies)
    latencies: list[float] = []
    async with aiohttp.ClientSession(headers=headers) as session:

        async def client(until: float) -> None:
            while (start := time.perf_counter()) < until:
                async with session.post(url, data=next(bodies)) as reply:
                    text = await reply.read()
                    if reply.status != 200:
                        raise SystemExit(f"{chain.name} answered {reply.status}: {text!r:.300}")
                latencies.append(time.perf_counter() - start)

        async def phase(length: float) -> None:
            until = time.perf_counter() + length
            await asyncio.gather(*(client(until) for _ in range(connections)))

        await phase(0.5)
        latencies.clear()
        before, start = measuring.cost(chain.processes).seconds, time.perf_counter()
        await phase(seconds)
        cpu = measuring.cost(chain.processes).seconds - before
        wall = time.perf_counter() - start
    count = len(latencies)
    p99 = statistics.quantiles(latencies, n=100)[98]
    return Window(count / wall, 1e3 * cpu / count, 1e3 * p99)


@contextlib.contextmanager
def _ceiling(model: Path, wanted: images.Format, files: Sequence[bytes]) -> Iterator[Connection]:
    """A process that is sent seconds, and sends back images done and CPU seconds used."""
    ours, theirs = multiprocessing.Pipe()
    os.environ.update(program.MALLOC)
    process = multiprocessing.get_context("spawn").Process(
        target=_classify, args=(theirs, model, wanted, files), daemon=True
    )
    process.start()
    ours.recv()
    try:
        yield ours
    finally:
        process.terminate()
        process.join()


def _classify(
    pipe: Connection,
    model: Path,
    wanted: images.Format,
    files: Sequence[bytes],
) -> None:
    """What the chain does, in one process: decode, classify, name."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    todo = itertools.cycle(files)
    pipe.send("ready")
    while True:
        seconds = pipe.recv()
        until = time.perf_counter() + seconds
        count, start = 0, time.process_time()
        while time.perf_counter() < until:
            pixels = images.pixels(next(todo), wanted, max_pixels=40_000_000)
            session.run(None, {"input": pixels[None]})[0].argmax()
            count += 1
        pipe.send((count, time.process_time() - start))


def _run(workers: Sequence[Connection], seconds: float) -> Window:
    for worker in workers:
        worker.send(seconds)
    replies = [worker.recv() for worker in workers]
    count, cpu = sum(reply[0] for reply in replies), sum(reply[1] for reply in replies)
    return Window(count / seconds, 1e3 * cpu / count, float("nan"))


def _print(results: dict[str, list[Window]], options: argparse.Namespace) -> None:
    rounds = f"{options.rounds} rounds of {options.seconds:g} s, {options.connections} connections"
    print(f"{measuring.machine()}; {rounds}; medians\n")
    ceiling = statistics.median(window.cpu_ms for window in results["ceiling, no server"])
    rows = []
    for name, windows in results.items():
        rate, cpu, p99 = (
            statistics.median(window[column] for window in windows) for column in range(3)
        )
        shown = "" if math.isnan(p99) else f"{p99:.0f}"
        rows.append((name, f"{rate:.0f}", shown, f"{cpu:.2f}", f"{ceiling / cpu:.2f}"))
    print(measuring.table(("", "req/s", "p99 ms", "CPU ms a request", "of the ceiling"), rows))


if __name__ == "__main__":
    main()

"""What many InferenceServices on one machine cost: time to Ready, latencies, memory and CPU.

Each service is a small HTTP server of its own, so that what is measured is the cluster and not the
models. Between the milestones services are created one after the other, each waited for.

    python benchmarks/scale.py --services 100
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from typing import NamedTuple

import httpx
import measuring

from calumma.cluster.node import client
from calumma.cluster.objects import Object
from calumma.cluster.programs import images

SERVER = """
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()
    def log_message(self, *_):
        pass

ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
ROW = images.Row("example/small", "plain", (sys.executable, "-S", "-c", SERVER))
PROGRAMS = ("supervisor", "api", "agent", "activator", "envoy", "prometheus")
SAMPLES = 30


class Milestone(NamedTuple):
    """What was measured with so many services; times in seconds, ``idle`` in cores."""

    services: int
    ready: list[float]
    listing: list[float]
    kubectl: list[float]
    watching: list[float]
    weight: list[float]
    megabytes: dict[str, float]
    idle: float


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--services", type=int, default=100)
    parser.add_argument("--idle", type=float, default=20.0, help="seconds")
    options = parser.parse_args()
    with measuring.cluster({}, (ROW,)) as cluster:
        made = asyncio.run(_measure(cluster, sorted({1, 10, options.services}), options.idle))
    print(f"{measuring.machine()}\n")
    head = ("services", *(str(each.services) for each in made))
    rows = [
        _row("created to Ready, ms, p50", [each.ready for each in made]),
        _row("list all over HTTP, ms, p50", [each.listing for each in made]),
        _row("`kubectl get isvc -A`, ms, p50", [each.kubectl for each in made]),
        _row("a change to its watch event, ms, p50", [each.watching for each in made]),
        _row("a changed spec to Ready again, ms, p50", [each.weight for each in made]),
        ("idle, % of a core", *(f"{100 * each.idle:.1f}" for each in made)),
        *(
            (f"{name}, resident MB", *(f"{each.megabytes[name]:.0f}" for each in made))
            for name in PROGRAMS
        ),
    ]
    print(f"{measuring.table(head, rows)}\n")
    first, last = made[0], made[-1]
    more = last.services - first.services
    for name in PROGRAMS:
        each = (last.megabytes[name] - first.megabytes[name]) / more
        print(f"one more service costs {name} {each:.2f} MB")


async def _measure(cluster: measuring.Cluster, counts: list[int], idle: float) -> list[Milestone]:
    found = []
    present = 0
    async with cluster.api() as api:
        for count in counts:
            ready = []
            for number in range(present, count):
                start = time.perf_counter()
                await api.create(client.INFERENCE_SERVICE, _service(number))
                await measuring.until_ready(api, f"small-{number}")
                ready.append(time.perf_counter() - start)
            present = count
            measuring.tell(f"{count} services are ready")
            found.append(await _milestone(cluster, api, ready, count, idle))
    return found


async def _milestone(
    cluster: measuring.Cluster, api: client.Client, ready: list[float], count: int, idle: float
) -> Milestone:
    await asyncio.sleep(5)
    pids = await asyncio.to_thread(cluster.processes)
    before = measuring.cost([pids[name] for name in PROGRAMS], descendants=False)
    await asyncio.sleep(idle)
    after = measuring.cost([pids[name] for name in PROGRAMS], descendants=False)
    await _all_answer(cluster, count)
    return Milestone(
        count,
        ready,
        [await _timed(api.list(client.INFERENCE_SERVICE)) for _ in range(SAMPLES)],
        [_kubectl(cluster) for _ in range(10)],
        [await _watched(api, number) for number in range(SAMPLES)],
        [await _weighted(api, count // 2, number) for number in range(10)],
        {name: measuring.cost([pids[name]], descendants=False).megabytes for name in PROGRAMS},
        (after.seconds - before.seconds) / idle,
    )


async def _all_answer(cluster: measuring.Cluster, count: int) -> None:
    """Every service is asked: none is only said to be ready."""
    async with httpx.AsyncClient(trust_env=False) as http:
        for number in range(count):
            url = f"http://127.0.0.1:{cluster.settings.gateway_port}/"
            host = {"host": f"small-{number}.default.localhost"}
            (await http.get(url, headers=host)).raise_for_status()


async def _timed(work: object) -> float:
    start = time.perf_counter()
    await work  # type: ignore[misc]
    return time.perf_counter() - start


def _kubectl(cluster: measuring.Cluster) -> float:
    start = time.perf_counter()
    cluster.kubectl("get", "isvc", "-A")
    return time.perf_counter() - start


async def _watched(api: client.Client, number: int) -> float:
    """From sending a change of one object to its event in a watch of its kind."""
    listing = await api.list(client.INFERENCE_SERVICE)
    watch = api.watch(client.INFERENCE_SERVICE, listing.resource_version)
    isvc = listing.items[0]
    start = time.perf_counter()
    change = {"spec": {"predictor": {"canaryTrafficPercent": 50 + number}}}
    patching = asyncio.create_task(api.patch(client.INFERENCE_SERVICE, isvc, change))
    async for _, changed in watch:
        if changed["metadata"]["generation"] > isvc["metadata"]["generation"]:
            break
    taken = time.perf_counter() - start
    await patching
    return taken


async def _weighted(api: client.Client, service: int, number: int) -> float:
    """From sending another canary percentage to Ready again."""
    start = time.perf_counter()
    percent = {"canaryTrafficPercent": 40 + number}
    generation = await measuring.patch(api, f"small-{service}", percent)
    await measuring.until_ready(api, f"small-{service}", generation)
    return time.perf_counter() - start


def _service(number: int) -> Object:
    container = {"name": "kserve-container", "image": "example/small:1"}
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": f"small-{number}", "namespace": "default"},
        "spec": {"predictor": {"containers": [container]}},
    }


def _row(what: str, milestones: list[list[float]]) -> tuple[str, ...]:
    return (what, *(f"{1e3 * statistics.median(times):.0f}" for times in milestones))


if __name__ == "__main__":
    main()

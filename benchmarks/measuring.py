"""What the benchmarks share: a cluster of their own, and reading what processes cost."""

from __future__ import annotations

import asyncio
import contextlib
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import psutil

from calumma import errors
from calumma.cluster import conditions, layout, lifecycle, objects, preparation
from calumma.cluster.node import client
from calumma.cluster.node import settings as settings_room
from calumma.cluster.objects import Object
from calumma.cluster.programs import images

ROOT = Path(__file__).resolve().parent.parent


class Cluster(NamedTuple):
    """A running cluster: its home, its ports and folders, and an API client's kubeconfig."""

    home: layout.Home
    settings: settings_room.Settings

    def url(self, service: str) -> str:
        """Where an InferenceService of the namespace ``default`` answers."""
        return f"http://{service}.default.localhost:{self.settings.gateway_port}"

    def processes(self) -> dict[str, int]:
        """The process ids of all running programs and of the supervisor, by name."""
        rows = asyncio.run(lifecycle.programs_of(self.home))
        found = {row.wanted.name: row.pid for row in rows if row.pid is not None}
        return {"supervisor": lifecycle.process_id(self.home) or 0, **found}

    def kubectl(self, *words: str) -> str:
        """What ``kubectl`` answers."""
        environment = {**os.environ, "KUBECONFIG": str(self.home.kubeconfig)}
        done = subprocess.run(
            ["kubectl", *words],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"kubectl {' '.join(words)}: {done.stderr}")
        return done.stdout

    def api(self) -> client.Client:
        """A client of the API."""
        return client.Client(self.home.kubeconfig)

    def until_ready(self, name: str) -> None:
        """Return when an InferenceService is Ready as it was last asked for."""

        async def ready() -> None:
            async with self.api() as api:
                await until_ready(api, name)

        asyncio.run(ready())


@contextlib.contextmanager
def cluster(claims: Mapping[str, Path], rows: Sequence[images.Row] = ()) -> Iterator[Cluster]:
    """A cluster in a temporary home, on free ports; ``rows`` are further images."""
    with tempfile.TemporaryDirectory(prefix="calumma-") as folder:
        home = layout.Home(Path(folder))
        request = preparation.Request(
            project=ROOT,
            gateway_port=0,
            api_port=0,
            prometheus_port=0,
            claims=claims,
            images=rows,
        )
        try:
            yield Cluster(home, lifecycle.up(home, request, tell))
        finally:
            lifecycle.down(home, tell)


async def until_ready(api: client.Client, name: str, generation: int | None = None) -> Object:
    """Watch an InferenceService until it is Ready at a generation, its newest by default."""
    while True:
        with contextlib.suppress(errors.ApiError):
            found = await api.get(client.INFERENCE_SERVICE, "default", name)
            status = found.get("status", {})
            wanted = generation or found["metadata"]["generation"]
            ready = conditions.is_true(status.get("conditions", []))
            if status.get("observedGeneration", 0) >= wanted and ready:
                return found
        await asyncio.sleep(0.01)


async def patch(api: client.Client, name: str, predictor: Object) -> int:
    """Change an InferenceService's predictor; its new generation."""
    isvc = await api.get(client.INFERENCE_SERVICE, "default", name)
    patched = await api.patch(client.INFERENCE_SERVICE, isvc, {"spec": {"predictor": predictor}})
    return int(objects.dig(patched, "metadata", "generation", default=0))


class Cost(NamedTuple):
    """CPU time and resident memory (shared pages count for each process)."""

    seconds: float
    megabytes: float


def cost(processes: Sequence[int], *, descendants: bool = True) -> Cost:
    """What processes have used until now and keep, with all their living descendants."""
    found = [psutil.Process(pid) for pid in processes]
    if descendants:
        found += [child for each in found for child in each.children(recursive=True)]
    times = [each.cpu_times() for each in found]
    return Cost(
        sum(each.user + each.system for each in times),
        sum(each.memory_info().rss for each in found) / 1e6,
    )


def machine() -> str:
    """The processor's name and how many cores we may use."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.machine()}, {len(os.sched_getaffinity(0))} cores"


def tell(text: str) -> None:
    """Progress, beside the results."""
    sys.stderr.write(f"{text}\n")


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)

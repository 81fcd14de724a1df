"""How fast the control plane is, and what it costs while nothing happens.

Three figures, each on a cluster of its own in a temporary folder:

* from ``kubectl apply`` to Ready for the digits example, every process started anew;
* from a changed ``canaryTrafficPercent`` to its effect on the next request, seen from outside;
* memory and CPU of the control plane with one service that nobody uses.

    python benchmarks/control_plane.py
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from pathlib import Path

import httpx
import measuring

from calumma.cluster.node import client
from calumma.models import digits

MANIFESTS = measuring.ROOT / "inferenceservices/digits"
CONTROL_PLANE = ("supervisor", "api", "agent", "activator")
BESIDE = ("envoy", "prometheus")
CANARY = 99
"""A share by which nearly the first request shows the change, without a promotion."""


def main() -> None:
    """Measure and print the tables."""
    options = _options()
    with tempfile.TemporaryDirectory() as folder:
        digits.train(Path(folder), config=MANIFESTS / "config.pbtxt")
        with measuring.cluster({"models": Path(folder)}) as cluster:
            cold = [_apply(cluster, last=n + 1 == options.applies) for n in range(options.applies)]
            weights = asyncio.run(_weights(cluster, options.changes))
            idle = _idle(cluster, options.idle)
    print(f"{measuring.machine()}\n")
    head = ("", "n", "p50", "p90", "slowest")
    rows = [
        _row("`kubectl apply` to Ready, s", cold, "{:.2f}"),
        _row("changed weight to its effect, ms", [1e3 * each for each in weights], "{:.0f}"),
    ]
    print(f"{measuring.table(head, rows)}\n")
    print(f"{options.idle:g} s with one service that nobody uses:\n")
    print(measuring.table(("", "resident MB", "CPU, % of a core"), idle))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--applies", type=int, default=15)
    parser.add_argument("--changes", type=int, default=30)
    parser.add_argument("--idle", type=float, default=60.0, help="seconds")
    return parser.parse_args()


def _apply(cluster: measuring.Cluster, *, last: bool) -> float:
    """Seconds from the start of ``kubectl apply`` to Ready; only the last service stays."""
    start = time.perf_counter()
    cluster.kubectl("apply", "-k", str(MANIFESTS / "overlays/local"))
    cluster.until_ready(digits.NAME)
    taken = time.perf_counter() - start
    measuring.tell(f"ready after {taken:.2f} s")
    if not last:
        cluster.kubectl("delete", "isvc", digits.NAME)
        while any("pods/" in name for name in cluster.processes()):
            time.sleep(0.05)
    return taken


async def _weights(cluster: measuring.Cluster, changes: int) -> list[float]:
    """Seconds from sending a patch to the first answer that follows it."""
    async with cluster.api() as api, httpx.AsyncClient(trust_env=False) as http:
        model = {"storageUri": "pvc://models/digits/v2"}
        predictor = {"canaryTrafficPercent": 0, "model": model}
        generation = await measuring.patch(api, digits.NAME, predictor)
        await measuring.until_ready(api, digits.NAME, generation)
        isvc = await api.get(client.INFERENCE_SERVICE, "default", digits.NAME)
        new = isvc["status"]["components"]["predictor"]["latestReadyRevision"]
        url = f"http://127.0.0.1:{cluster.settings.gateway_port}/v2/models/digits"
        host = {"host": f"{digits.NAME}-predictor.default.localhost"}
        taken = []
        for change in range(changes):
            to_new = change % 2 == 0
            start = time.perf_counter()
            percent = {"canaryTrafficPercent": CANARY if to_new else 0}
            patched = asyncio.create_task(measuring.patch(api, digits.NAME, percent))
            # Away from the canary one answer proves nothing: three in a row do, at 1 in a million.
            wanted, row, first = (1 if to_new else 3), 0, start
            while row < wanted:
                answer = await http.get(url, headers=host)
                answer.raise_for_status()
                seen = answer.headers["x-calumma-predictor-revision"] == new
                row = row + 1 if seen == to_new else 0
                first = time.perf_counter() if row == 1 else first
            taken.append(first - start)
            await measuring.until_ready(api, digits.NAME, await patched)
    return taken


def _idle(cluster: measuring.Cluster, seconds: float) -> list[tuple[str, str, str]]:
    """Rows of what each program keeps and uses."""
    time.sleep(5)
    processes = cluster.processes()

    def costs() -> dict[str, measuring.Cost]:
        names = (*CONTROL_PLANE, *BESIDE)
        return {name: measuring.cost([processes[name]], descendants=False) for name in names}

    before, start = costs(), time.perf_counter()
    time.sleep(seconds)
    after, wall = costs(), time.perf_counter() - start
    used = {
        name: (cost.megabytes, 100 * (cost.seconds - before[name].seconds) / wall)
        for name, cost in after.items()
    }
    total = tuple(sum(used[name][column] for name in CONTROL_PLANE) for column in (0, 1))
    rows = {"control plane": total, **used}
    return [(name, f"{each[0]:.0f}", f"{each[1]:.2f}") for name, each in rows.items()]


def _row(name: str, values: list[float], form: str) -> tuple[str, ...]:
    deciles = statistics.quantiles(values, n=10)
    shown = (form.format(each) for each in (statistics.median(values), deciles[8], max(values)))
    return (name, str(len(values)), *shown)


if __name__ == "__main__":
    main()

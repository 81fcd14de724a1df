"""Whether users notice a rollout: constant load across a promotion and a rollback.

Requests are sent at fixed times, as in open traffic, while v2 takes 10% and then 50%, is promoted,
and a v3 takes 10% and is rolled back. Told are the requests that failed, latencies while weights
changed and while they did not, and whether the split that was seen at 10% lies within the binomial
99.9% interval of the declared one.

    python benchmarks/rollout.py
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import measuring
from scipy import stats

from calumma.load import generator, users
from calumma.models import digits

MANIFESTS = measuring.ROOT / "inferenceservices/digits"
STEPS = (("v2", 10), ("v2", 50), ("v2", None), ("v3", 10), ("v3", 0))
"""Model version and the canary's percentage, none for a promotion."""

LEVEL = 0.999


def main() -> None:
    """Measure and print the table."""
    options = _options()
    with tempfile.TemporaryDirectory() as folder:
        digits.train(Path(folder), config=MANIFESTS / "config.pbtxt")
        with measuring.cluster({"models": Path(folder)}) as cluster:
            cluster.kubectl("apply", "-k", str(MANIFESTS / "overlays/local"))
            cluster.until_ready(digits.NAME)
            live = users.Users(cluster.url(digits.NAME), digits.NAME, options.rate)
            with live:
                periods = _rollout(cluster, live, options)
    _print(live.outcomes, periods, options)


class _Period:
    """The requests from the count ``first`` to the count ``last``, and what went on meanwhile."""

    def __init__(self, name: str, percent: int | None, first: int, last: int) -> None:
        self.name, self.percent, self.first, self.last = name, percent, first, last


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--rate", type=float, default=100.0, help="requests a second")
    return parser.parse_args()


async def _change(cluster: measuring.Cluster, version: str, percent: int | None) -> None:
    async with cluster.api() as api:
        model = {"storageUri": f"pvc://models/{digits.NAME}/{version}"}
        predictor = {"canaryTrafficPercent": percent, "model": model}
        generation = await measuring.patch(api, digits.NAME, predictor)
        await measuring.until_ready(api, digits.NAME, generation)


def _rollout(
    cluster: measuring.Cluster, live: users.Users, options: argparse.Namespace
) -> list[_Period]:
    """Go through the steps; each is held for its part of the requests."""
    periods = []
    held = options.requests // len(STEPS)
    for number, (version, percent) in enumerate(STEPS, start=1):
        first = live.count
        asyncio.run(_change(cluster, version, percent))
        settled = live.count
        name = f"{version} {'promoted' if percent is None else f'at {percent}%'}"
        measuring.tell(f"{name}: in effect after {settled - first} requests")
        while live.count < number * held:
            time.sleep(0.05)
        periods += [
            _Period(f"changing to {name}", None, first, settled),
            _Period(name, percent, settled, live.count),
        ]
    return periods


def _print(
    outcomes: Sequence[generator.Outcome], periods: Sequence[_Period], options: argparse.Namespace
) -> None:
    failed = [outcome.failure for outcome in outcomes if outcome.failure]
    print(f"{measuring.machine()}; {options.rate:g} requests a second\n")
    print(f"{len(outcomes)} requests, {len(failed)} failed {sorted(set(failed)) or ''}\n")
    rows = []
    for period in periods:
        part = outcomes[period.first : period.last]
        if len(part) < 2:
            continue
        latencies = statistics.quantiles((1e3 * each.latency for each in part), n=100)
        rows.append(
            (
                period.name,
                str(len(part)),
                str(sum(1 for each in part if each.failure)),
                f"{latencies[49]:.0f}",
                f"{latencies[98]:.0f}",
                _split(part, period.percent),
            )
        )
    head = ("", "requests", "failed", "p50 ms", "p99 ms", f"canary (binomial {LEVEL:.1%})")
    print(measuring.table(head, rows))


def _split(part: Sequence[generator.Outcome], percent: int | None) -> str:
    """How many requests the newest revision got, and how many it may get by chance."""
    if percent is None:
        return ""
    newest = max(each.answer.revision or "" for each in part) if percent else ""
    seen = sum(1 for each in part if each.answer.revision == newest)
    low, high = stats.binom.interval(LEVEL, len(part), percent / 100)
    verdict = "inside" if low <= seen <= high else "OUTSIDE"
    return f"{seen}, {verdict} {low:.0f} to {high:.0f}"


if __name__ == "__main__":
    main()

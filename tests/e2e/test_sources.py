"""What a rollout learns on a real cluster: users through the split, pairs at the tags' hosts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from calumma.inference import classification
from calumma.models import digits
from calumma.rollout import judgement
from calumma.rollout.policy import Policy
from calumma.rollout.sources import Sources
from calumma.rollout.state import Phase, State, Tally
from support.cluster import ROOT, Cluster, manifest

STABLE, CANARY = "digits-predictor-00001", "digits-predictor-00002"
SUITE = yaml.safe_load((ROOT / "evaluation/suites/digits.yaml").read_text())
IMAGE = digits.png(digits.held_out().images[0])


@pytest.fixture(autouse=True)
def clean(cluster: Cluster) -> Iterator[None]:
    yield
    cluster.kubectl("delete", "isvc", "digits", "--ignore-not-found")
    cluster.until("clean", lambda: "/digits-" not in cluster.calumma("status").output)


def begun(weight: int) -> State:
    """A rollout whose step has just begun."""
    pairs = {"dataset": "digits", "rate": 20, "predictor": SUITE["online"]["predictor"]}
    policy = {
        "service": "digits",
        "steps": [{"weight": weight}],
        "interval": 4.0,
        "warmUp": 2.0,
        "deadline": 600.0,
        "metrics": [
            {"kind": "errors", "name": "errors", "margin": 0.05},
            {"kind": "slow", "name": "slow", "margin": 0.05, "milliseconds": 1000},
            {"kind": "correct", "name": "correct", "margin": 0.05},
        ],
        "sources": {"pairs": pairs},
    }
    return State(
        id="digits-1",
        policy=Policy.model_validate(policy, strict=False),
        phase=Phase.PROGRESSING,
        began=time.time(),
        stable=STABLE,
        canary=CANARY,
        stepped=time.time(),
        weight=weight,
    )


async def test_users_and_pairs_are_told_apart(cluster: Cluster, tmp_path: Path) -> None:
    isvc = manifest("v2")
    isvc["metadata"]["annotations"] = {"serving.kserve.io/enable-tag-routing": "true"}
    assert cluster.kubectl("apply", "-f", "-", document=isvc).code == 0
    cluster.until_ready()
    cluster.canary("v3", 20)
    named = cluster.kubectl("-n", "kserve", "get", "configmap", "calumma", "-o", "yaml").output
    watching = yaml.safe_load(named)["data"]["prometheus"]
    known, users, split = begun(20), 0, (0, 0)
    tallies: dict[str, Tally] = {}
    address = f"{cluster.gateway}/v1/models/digits:predict"
    headers = {"host": "digits.default.localhost"}
    body = classification.encode([IMAGE])
    found = Sources(known, cluster.get(), ("predictor",), prometheus=watching, evidence=tmp_path)
    async with found as sources, httpx.AsyncClient(timeout=30, headers=headers) as client:
        for _ in range(12):
            ends = time.monotonic() + known.policy.interval
            while time.monotonic() < ends:
                assert (await client.post(address, content=body)).status_code == 200
                users += 1
                await asyncio.sleep(0.1)
            now = time.time()
            learned = await sources.look(known, now)
            more = {"sent": learned.sent, "counted": learned.counted, "looked": now}
            known = known.model_copy(update=more)
            split = (split[0] + learned.users[0], split[1] + learned.users[1])
            for name, tally in learned.tallies.items():
                tallies[name] = judgement.add(tallies.get(name, Tally()), tally)
    assert learned.troubles == {}
    both, only_canary, only_stable, _ = tallies["correct"].pairs
    assert both + only_canary + only_stable >= 160  # of two bursts, at least
    assert only_stable > only_canary  # v3 confuses digits
    assert 40 <= sum(split) < users
    assert not judgement.split([(20, *split)]).mismatch
    windows = tallies["errors"].windows
    assert (sum(w.n for w in windows), sum(w.other_n for w in windows)) == split
    timed = [(w.n, w.other_n) for w in tallies["slow"].windows]
    # Envoy shows latencies later than counters, and those of pairs would be far more.
    assert abs(sum(map(sum, timed)) - sum(split)) <= 10 * len(timed)
    assert sum(w.events + w.other_events for w in windows) == 0

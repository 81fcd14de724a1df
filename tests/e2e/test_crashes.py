"""Anything is killed at any moment of any rollout, under load, and nothing that matters is lost.

``CALUMMA_CRASHES`` says how often (``benchmarks/crashes.py`` asks for 200), ``CALUMMA_SEED`` with
which seed. Each time: an acknowledged change of the rollout, ``kill -9`` of one program at a random
moment after it, and then every acknowledged write is there, the service converges to what was asked
for, no process is left without a parent, and no request failed unless Envoy was what was killed, or
the answer's first bytes were out when its pod was.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import httpx
import pytest

from calumma import errors
from calumma.cluster.node import client
from calumma.load import users
from support.cluster import Cluster, Object, condition, manifest, shares

COUNT = int(os.environ.get("CALUMMA_CRASHES") or 10)
SEED = int(os.environ.get("CALUMMA_SEED") or 3)
RATE = 15.0


@dataclass
class Rollout:
    """What a person asks for, and the split that follows from it."""

    chance: random.Random
    revision: int = 1
    stable: int = 1
    percent: int = 100
    steps: Iterator[int] = field(default_factory=lambda: itertools.count(2))

    def next(self) -> Object:
        """The next change: a canary of something new, another weight, promotion or rollback."""
        change: Object = {}
        if self.percent in (0, 100):
            self.revision, self.percent = self.revision + 1, self.chance.choice([10, 50])
            version = f"pvc://models/digits/v{self.chance.choice([1, 2])}"
            step = {"calumma.test/step": str(next(self.steps))}
            change = {"annotations": step, "model": {"storageUri": version}}
        else:
            self.percent = self.chance.choice([0, 20, 80, 100])
        return {"predictor": {**change, "canaryTrafficPercent": self.percent}}

    def settled(self) -> dict[str, int]:
        """The split once the change is in effect; after a promotion there is another stable one."""
        if self.percent == 100:
            self.stable = self.revision
            return {f"{self.revision:05d}": 100}
        return {f"{self.revision:05d}": self.percent, f"{self.stable:05d}": 100 - self.percent}


class Writer:
    """Writes ConfigMaps all the time, and knows which were acknowledged."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._end = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._write()))
        self.acknowledged: set[str] = set()

    def __enter__(self) -> Writer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    async def _write(self) -> None:
        async with client.Client(self._cluster.home.kubeconfig) as api:
            for number in itertools.count():
                if self._end.is_set():
                    return
                name = f"entry-{number}"
                metadata = {"name": name, "namespace": "default"}
                entry = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
                with contextlib.suppress(httpx.HTTPError, errors.ApiError):
                    await api.create(client.CONFIG_MAP, entry)
                    self.acknowledged.add(name)
                await asyncio.sleep(0.05)


def stored(cluster: Cluster) -> set[str]:
    """The names of the ConfigMaps that are there."""
    listed = cluster.kubectl("get", "configmaps", "-o", "name")
    assert listed.code == 0, listed.error
    return {line.removeprefix("configmap/") for line in listed.output.split()}


def kind_of(program: str) -> str:
    """What a program is: ``triton``, ``transformer``, ``storage-initializer`` or its own name."""
    container = program.rsplit("/", 1)[-1]
    if container != "kserve-container":
        return container
    return "transformer" if "transformer" in program else "triton"


def victim(cluster: Cluster, chance: random.Random) -> tuple[str, int]:
    """A program of a kind by chance, each kind as often as another."""
    programs = sorted(cluster.programs().items())
    kind = chance.choice(sorted({kind_of(name) for name, _ in programs}))
    return chance.choice([each for each in programs if kind_of(each[0]) == kind])


def orphans(cluster: Cluster) -> list[int]:
    """Processes of the cluster that belong to no program."""
    groups = set(cluster.programs().values())
    found = []
    for pid in cluster.processes():
        with contextlib.suppress(ProcessLookupError):
            if os.getpgid(pid) not in groups:
                found.append(pid)
    return found


def converged(cluster: Cluster, split: dict[str, int], killed: tuple[str, int]) -> bool:
    """Whether the service is what was asked for, and nothing waits for a successor."""
    try:
        isvc = cluster.get()
    except AssertionError:
        return False
    if isvc["status"].get("observedGeneration") != isvc["metadata"]["generation"]:
        return False
    if condition(isvc, "Ready")["status"] != "True" or shares(isvc) != split:
        return False
    name, pid = killed
    return cluster.programs().get(name) != pid and all_run(cluster)


def all_run(cluster: Cluster) -> bool:
    """Whether nothing waits for its next start, and the cluster's own programs are there."""
    words = cluster.calumma("status").output
    own = {"api", "agent", "activator", "envoy"}
    return " waiting " not in words and own <= set(cluster.programs())


def test_whatever_is_killed_whenever(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    chance = random.Random(SEED)
    assert cluster.kubectl("apply", "-f", "-", document=manifest()).code == 0
    cluster.until_ready()
    rollout, seen = Rollout(chance), Counter[str]()
    failed: dict[str, int] = {}
    answered = 0
    with Writer(cluster) as writer:
        for number in range(COUNT):
            with users.Users(cluster.get()["status"]["url"], "digits", rate=RATE) as live:
                cluster.patch(rollout.next())
                time.sleep(chance.uniform(0.0, 1.5))
                killed = victim(cluster, chance)
                os.kill(killed[1], signal.SIGKILL)
                split = rollout.settled()
                cluster.until(
                    f"converged to {split} after {killed[0]} (crash {number}, seed {SEED})",
                    functools.partial(converged, cluster, split, killed),
                )
            kind = kind_of(killed[0])
            seen[kind] += 1
            answered += live.summary.answers
            if live.summary.failures:
                failed[f"{number} {kind}"] = sum(live.summary.failures.values())
                cut = live.summary.failures == {"disconnected": 1}  # its answer had begun
                text = f"{kind}: {live.summary.sentence} (crash {number}, seed {SEED})"
                assert kind == "envoy" or cut, text
            assert set(writer.acknowledged) - stored(cluster) == set()
            cluster.until("without orphans", lambda: not orphans(cluster), 20)
            if (number + 1) % 25 == 0:
                with capsys.disabled():
                    sys.stdout.write(f"{number + 1} of {COUNT} crashes\n")
    lost = writer.acknowledged - stored(cluster)
    with capsys.disabled():
        sys.stdout.write(
            f"\n{COUNT} crashes with seed {SEED}: {dict(sorted(seen.items()))}\n"
            f"{len(writer.acknowledged)} acknowledged writes, {len(lost)} lost\n"
            f"{answered} requests answered; failed ones by crash: {failed or 'none'}\n"
        )
    assert not lost

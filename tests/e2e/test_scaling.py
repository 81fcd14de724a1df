"""Pods come and go with the load, none at all serve a request that waits, and limits are kept."""

from __future__ import annotations

import concurrent.futures
import functools
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from calumma.load import users
from support import cluster as support
from support.cluster import Cluster, Object, condition, image, manifest

SLOW = Path(support.__file__).with_name("slow.py")
GROUP = "autoscaling.knative.dev"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, models: Path) -> Iterator[Cluster]:
    """A cluster that knows the slow server's image."""
    folder = tmp_path_factory.mktemp("scaling")
    table = folder / "images.yaml"
    row = {"image": "example/slow", "command": [sys.executable, str(SLOW)], "kind": "plain"}
    table.write_text(yaml.safe_dump({"images": [row]}))
    words = ("--claim", f"models={models}", "--images", str(table))
    with support.running(folder / "home", *words) as running:
        yield running


@pytest.fixture
def slow(cluster: Cluster) -> Iterator[Callable[..., None]]:
    """Applies the InferenceService ``slow`` with fields of its predictor and annotations."""

    def apply(fields: Object, **annotations: str) -> None:
        named = {f"{GROUP}/{key.replace('_', '-')}": text for key, text in annotations.items()}
        container = {"name": "kserve-container", "image": "example/slow:1"}
        isvc = {
            "apiVersion": "serving.kserve.io/v1beta1",
            "kind": "InferenceService",
            "metadata": {"name": "slow", "annotations": named},
            "spec": {"predictor": {"containers": [container], **fields}},
        }
        applied = cluster.kubectl("apply", "-f", "-", document=isvc)
        assert applied.code == 0, applied.error
        cluster.until_ready("slow")

    yield apply
    cluster.kubectl("delete", "isvc", "--all")
    cluster.until("clean", lambda: "pods/" not in cluster.calumma("status").output)


def pods(cluster: Cluster, name: str = "slow") -> list[Object]:
    label = f"serving.kserve.io/inferenceservice={name}"
    listed = cluster.kubectl("get", "pods", "-l", label, "-o", "json")
    items: list[Object] = json.loads(listed.output)["items"]
    return items


def ready(cluster: Cluster, name: str = "slow") -> int:
    return sum(
        each["type"] == "Ready" and each["status"] == "True"
        for pod in pods(cluster, name)
        for each in pod.get("status", {}).get("conditions", [])
    )


def another(cluster: Cluster, program: str, before: int) -> bool:
    """Whether a program runs as another process than before."""
    return cluster.programs().get(program, before) != before


def work(cluster: Cluster, seconds: float, count: int = 1) -> list[httpx.Response]:
    """So many requests at a time, each of which takes so long."""
    body = json.dumps({"seconds": seconds}).encode()
    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        asked = [pool.submit(cluster.post, body, "slow.default", "/work") for _ in range(count)]
        return [each.result() for each in asked]


def test_a_service_without_load_has_no_pod_and_the_next_request_waits_for_one(
    cluster: Cluster, slow: Callable[..., None]
) -> None:
    slow({"minReplicas": 0}, window="6s")
    assert ready(cluster) == 1
    cluster.until("at zero", lambda: not pods(cluster))
    assert condition(cluster.get("slow"), "Ready")["status"] == "True"
    found = cluster.kubectl("get", "revision", "slow-predictor-00001", "-o", "json")
    active = condition(json.loads(found.output), "Active")
    assert (active["status"], active["reason"]) == ("False", "NoTraffic")

    answers = work(cluster, 0.01, count=20)
    assert {each.status_code for each in answers} == {200}
    assert max(each.elapsed.total_seconds() for each in answers) > 0.5, "it was a cold start"
    assert ready(cluster) == 1


def test_a_service_at_zero_survives_the_agent_and_the_activator(
    cluster: Cluster, slow: Callable[..., None]
) -> None:
    slow({"minReplicas": 0}, window="6s")
    cluster.until("at zero", lambda: not pods(cluster))
    for program in ("agent", "activator"):
        before = cluster.programs()[program]
        os.kill(before, signal.SIGKILL)
        cluster.until("again", functools.partial(another, cluster, program, before))
    assert work(cluster, 0.01)[0].status_code == 200


def test_pods_follow_the_concurrency_up_to_the_most(
    cluster: Cluster, slow: Callable[..., None]
) -> None:
    slow({"minReplicas": 1, "maxReplicas": 3, "scaleTarget": 2}, window="6s")
    with concurrent.futures.ThreadPoolExecutor(1) as background:
        load = background.submit(work, cluster, 12.0, 12)
        cluster.until("three pods", lambda: ready(cluster) == 3)
        answers = load.result()
    assert {each.status_code for each in answers} == {200}
    cluster.until("one pod again", lambda: len(pods(cluster)) == 1)


def test_requests_go_to_all_pods_and_a_pod_that_goes_finishes_its_own(
    cluster: Cluster, slow: Callable[..., None]
) -> None:
    slow({"minReplicas": 2})
    assert ready(cluster) == 2
    answers = work(cluster, 0.2, count=16)
    assert len({each.json()["pid"] for each in answers}) == 2
    with concurrent.futures.ThreadPoolExecutor(1) as background:
        load = background.submit(work, cluster, 3.0, 8)
        cluster.patch({"predictor": {"minReplicas": 1}}, "slow")
        assert {each.status_code for each in load.result()} == {200}
    cluster.until("one pod", lambda: len(pods(cluster)) == 1)


def test_the_limit_of_requests_at_a_time_is_kept_and_the_others_wait(
    cluster: Cluster, slow: Callable[..., None]
) -> None:
    slow({"containerConcurrency": 2, "maxReplicas": 1})
    answers = work(cluster, 0.1, count=20)
    assert {each.status_code for each in answers} == {200}
    assert max(each.json()["most"] for each in answers) == 2


def test_a_request_may_take_as_long_as_its_timeout(
    cluster: Cluster, slow: Callable[..., None]
) -> None:
    slow({"timeout": 1})
    assert work(cluster, 0.5)[0].status_code == 200
    assert work(cluster, 2.0)[0].status_code == 504


@pytest.mark.parametrize("replicas", [1, 2])
def test_no_request_fails_when_triton_and_the_transformer_are_killed(
    cluster: Cluster, slow: Callable[..., None], replicas: int
) -> None:
    isvc = manifest(minReplicas=replicas)
    isvc["spec"]["transformer"]["minReplicas"] = replicas
    assert cluster.kubectl("apply", "-f", "-", document=isvc).code == 0
    cluster.until_ready()
    with users.Users(cluster.get()["status"]["url"], "digits", rate=15.0) as live:
        for part in ("predictor", "transformer"):
            before = cluster.programs()
            victim = min(name for name in before if part in name)
            os.kill(before[victim], signal.SIGKILL)
            restarted = functools.partial(another, cluster, victim, before[victim])
            cluster.until("another process", restarted)
            cluster.until("ready", lambda: ready(cluster, "digits") == 2 * replicas)
    assert live.count > 30
    # Only an answer whose first bytes were out when its pod was killed cannot be repeated.
    assert live.summary.failures.get("disconnected", 0) <= 1
    assert set(live.summary.failures) <= {"disconnected"}
    assert cluster.predict(image()[0]).status_code == 200

"""KServe's logger and batcher, between real services of one cluster."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml

from calumma.cluster import objects
from support import cluster as support
from support.cluster import Cluster, image, manifest

DUMPER = Path(support.__file__).with_name("message_dumper.py")
KINDS = {"org.kubeflow.serving.inference.request", "org.kubeflow.serving.inference.response"}
URL = "http://message-dumper.default.svc.cluster.local"
Object = dict[str, Any]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, models: Path) -> Iterator[Cluster]:
    """A cluster with a service that dumps what it gets, as in KServe's own tests."""
    if support.KUBECTL is None:
        pytest.skip("kubectl is not installed")
    table = tmp_path_factory.mktemp("images") / "images.yaml"
    command = [sys.executable, str(DUMPER)]
    table.write_text(yaml.safe_dump({"images": [{"image": "test/dumper", "command": command}]}))
    home = tmp_path_factory.mktemp("home")
    with support.running(home, "--claim", f"models={models}", "--images", str(table)) as running:
        container = {"name": "kserve-container", "image": "test/dumper:1"}
        dumper = {
            "apiVersion": "serving.kserve.io/v1beta1",
            "kind": "InferenceService",
            "metadata": {"name": "message-dumper"},
            "spec": {"predictor": {"containers": [container]}},
        }
        apply(running, dumper)
        yield running


@pytest.fixture
def service(cluster: Cluster) -> Iterator[Cluster]:
    """The cluster; what a test made is deleted."""
    yield cluster
    cluster.kubectl("delete", "isvc", "digits", "--ignore-not-found")
    cluster.until("clean", lambda: "/digits-" not in cluster.calumma("status").output)


def apply(cluster: Cluster, isvc: Object) -> None:
    applied = cluster.kubectl("apply", "-f", "-", document=isvc)
    assert applied.code == 0, applied.error
    cluster.until_ready(isvc["metadata"]["name"])


def pods(cluster: Cluster, name: str) -> list[Object]:
    selector = f"serving.kserve.io/inferenceservice={name}"
    found = json.loads(cluster.kubectl("get", "pods", "-l", selector, "-o", "json").output)
    items: list[Object] = found["items"]
    return items


def pod_name(cluster: Cluster, part: str) -> str:
    names = [objects.name(each) for each in pods(cluster, "digits")]
    return next(name for name in names if part in name)


def events(cluster: Cluster, service: str = "digits") -> list[Object]:
    """What the dumper has printed about a service."""
    log = cluster.kubectl("logs", objects.name(pods(cluster, "message-dumper")[0])).output
    found = [json.loads(line) for line in log.splitlines()]
    return [event for event in found if event["inferenceservicename"] == service]


def test_events_of_both_components_reach_another_service(service: Cluster) -> None:
    isvc = manifest()
    isvc["spec"]["predictor"]["logger"] = {"mode": "all", "url": URL}
    isvc["spec"]["transformer"]["logger"] = {"mode": "all", "url": "http://message-dumper"}
    apply(service, isvc)
    picture, label = image(0)
    answer = service.predict(picture)
    assert answer.json()["predictions"][0]["label"] == label
    service.until("four events", lambda: len(events(service)) >= 4)
    found = events(service)
    assert Counter((each["component"], each["type"]) for each in found) == {
        (component, kind): 1 for component in ("predictor", "transformer") for kind in KINDS
    }
    assert len({each["id"] for each in found}) == 2
    assert {each["source"] for each in found} == {
        pod_name(service, "predictor"),
        pod_name(service, "transformer"),
    }
    response = next(e for e in found if e["component"] == "transformer" and "response" in e["type"])
    assert label in response["data"]


def test_kubectl_shows_the_agent(service: Cluster) -> None:
    isvc = manifest()
    isvc["spec"]["predictor"]["logger"] = {"mode": "all", "url": URL}
    apply(service, isvc)
    name = pod_name(service, "predictor")
    row = service.kubectl("get", "pod", name).output.splitlines()[1].split()
    assert row[1:3] == ["2/2", "Running"]
    assert f"logging all to {URL}" in service.kubectl("logs", name, "-c", "agent").output
    assert "Started HTTPService" in service.kubectl("logs", name, "-c", "kserve-container").output
    found = next(each for each in pods(service, "digits") if objects.name(each) == name)
    agent = found["spec"]["containers"][1]
    assert (agent["name"], agent["image"]) == ("agent", "kserve/agent:latest")
    assert agent["ports"][0]["containerPort"] == 9081
    assert agent["args"][agent["args"].index("--source-uri") + 1] == name
    assert objects.annotations_of(found)["internal.serving.kserve.io/logger-sink-url"] == URL


def test_a_changed_mode_is_a_new_revision(service: Cluster) -> None:
    isvc = manifest()
    isvc["spec"]["predictor"]["logger"] = {"mode": "all", "url": URL}
    apply(service, isvc)
    service.patch({"predictor": {"logger": {"mode": "response"}}})
    service.until_ready()
    assert support.shares(service.get()) == {"00002": 100}
    before = len(events(service))
    picture, _ = image(0)
    assert service.predict(picture).status_code == 200
    service.until("an event", lambda: len(events(service)) > before)
    new = events(service)[before:]
    assert {each["type"].rpartition(".")[2] for each in new} == {"response"}


def test_a_receiver_that_is_not_there_harms_no_request(service: Cluster) -> None:
    isvc = manifest()
    isvc["spec"]["predictor"]["logger"] = {"mode": "all", "url": "http://nobody.default"}
    apply(service, isvc)
    picture, label = image(0)
    for _ in range(10):
        assert service.predict(picture).json()["predictions"][0]["label"] == label
    name = pod_name(service, "predictor")

    def log() -> str:
        return service.kubectl("logs", name, "-c", "agent").output

    service.until("told", lambda: "events for http://nobody.default are dropped" in log())
    assert log().count("are dropped") == 1


def test_an_agent_that_is_killed_comes_back(service: Cluster) -> None:
    isvc = manifest()
    isvc["spec"]["predictor"]["logger"] = {"mode": "all", "url": URL}
    apply(service, isvc)
    service.kill(f"{pod_name(service, 'predictor')}/agent")
    picture, label = image(0)

    def answers() -> bool:
        answer = service.predict(picture)
        return answer.status_code == 200 and answer.json()["predictions"][0]["label"] == label

    service.until("answering", answers)

    def restarts() -> int:
        found = next(each for each in pods(service, "digits") if "predictor" in objects.name(each))
        return int(found["status"]["containerStatuses"][1]["restartCount"])

    service.until("counted", lambda: restarts() == 1)


def test_four_requests_are_one_batch(service: Cluster) -> None:
    isvc = manifest()
    isvc["spec"]["transformer"]["batcher"] = {"maxBatchSize": 4, "maxLatency": 20_000}
    apply(service, isvc)
    pictures = [image(number) for number in range(4)]
    with ThreadPoolExecutor(4) as users:
        answers = list(users.map(lambda each: service.predict(each[0]).json(), pictures))
    assert len({answer["batchId"] for answer in answers}) == 1
    assert [answer["message"] for answer in answers] == [""] * 4
    labels = [answer["predictions"][0]["label"] for answer in answers]
    assert labels == [label for _, label in pictures]


def test_grpc_is_logged_as_well(service: Cluster) -> None:
    isvc = manifest(logger={"mode": "all", "url": URL})
    del isvc["spec"]["transformer"]
    isvc["spec"]["predictor"]["model"]["ports"] = [{"name": "h2c", "containerPort": 9000}]
    apply(service, isvc)
    before = len(events(service))
    authority = ("grpc.default_authority", "digits-predictor.default.localhost")
    target = service.gateway.removeprefix("http://")
    with grpc.insecure_channel(target, options=(authority,)) as channel:
        live = channel.unary_unary("/inference.GRPCInferenceService/ServerLive")
        assert live(b"", timeout=30) == b"\x08\x01"
    service.until("both events", lambda: len(events(service)) >= before + 2)
    assert {each["type"] for each in events(service)[before:]} == KINDS


def test_events_in_blob_storage_are_refused_by_name(service: Cluster) -> None:
    isvc = manifest(logger={"mode": "all", "url": "s3://bucket/logs"})
    assert service.kubectl("apply", "-f", "-", document=isvc).code == 0

    def told() -> bool:
        message = str(support.condition(service.get(), "PredictorReady").get("message"))
        return "spec.predictor.logger.url s3://bucket/logs" in message

    service.until("refused", told)

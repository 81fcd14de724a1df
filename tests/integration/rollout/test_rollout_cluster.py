"""The API as a rollout uses it, against the real API server and by the official clients."""

from __future__ import annotations

import dataclasses
import itertools
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from calumma import errors
from calumma.rollout import cluster, record, service
from calumma.rollout.state import Phase
from support import api_server
from support.moments import state
from support.patched import Knative, uri

ISVCS = f"{api_server.ISVC}/namespaces"
_NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[api_server.ApiServer]:
    cache = tmp_path_factory.mktemp("cache")
    with api_server.running(tmp_path_factory.mktemp("api") / "home", cache) as started:
        yield started


@pytest.fixture(scope="module")
def person(server: api_server.ApiServer) -> Iterator[httpx.Client]:
    with server.client() as opened:
        yield opened


@pytest.fixture
def namespace(person: httpx.Client) -> str:
    name = f"rollout-{next(_NUMBERS)}"
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    assert person.post("/api/v1/namespaces", json=body).status_code == 201
    return name


@pytest.fixture
def rollouts(
    server: api_server.ApiServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[cluster.Cluster]:
    monkeypatch.setenv("KUBECONFIG", str(server.home.kubeconfig))
    yield cluster.Cluster()


@pytest.fixture
def isvc(person: httpx.Client, namespace: str) -> dict[str, Any]:
    answer = person.post(f"{ISVCS}/{namespace}/inferenceservices", json=api_server.isvc("digits"))
    assert answer.status_code == 201, answer.text
    created: dict[str, Any] = answer.json()
    return created


@pytest.fixture
def begun(rollouts: cluster.Cluster, isvc: dict[str, Any]) -> record.Record:
    return rollouts.write(record.empty(isvc).begun(state(), isvc))


def ended_process() -> int:
    """The id of a process that is no more."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
        return process.pid


class TestServices:
    def test_they_are_read_and_listed(
        self, rollouts: cluster.Cluster, isvc: dict[str, Any], namespace: str
    ) -> None:
        assert rollouts.service("digits", namespace) == isvc
        assert rollouts.services(namespace) == [isvc]
        assert isvc in rollouts.services()
        assert rollouts.patch("digits", namespace, {}) == isvc

    def test_one_that_is_gone_is_told_from_a_cluster_that_is(
        self, rollouts: cluster.Cluster, namespace: str
    ) -> None:
        with pytest.raises(errors.ServiceMissing, match=r"nobody in namespace .* does not exist"):
            rollouts.service("nobody", namespace)

    def test_a_change_of_somebody_else_is_not_overwritten(
        self, rollouts: cluster.Cluster, person: httpx.Client, isvc: dict[str, Any], namespace: str
    ) -> None:
        change = {"metadata": {"labels": {"by": "a-person"}}}
        path = f"{ISVCS}/{namespace}/inferenceservices/digits"
        headers = {"content-type": api_server.MERGE}
        assert person.patch(path, json=change, headers=headers).status_code == 200
        late = {
            "metadata": {"resourceVersion": isvc["metadata"]["resourceVersion"]},
            "spec": {"predictor": {"canaryTrafficPercent": 0}},
        }
        with pytest.raises(errors.Conflict, match="was changed by somebody else"):
            rollouts.patch("digits", namespace, late)
        now = rollouts.service("digits", namespace)
        late["metadata"]["resourceVersion"] = now["metadata"]["resourceVersion"]
        assert rollouts.patch("digits", namespace, late)["metadata"]["generation"] == 2

    def test_what_admission_refuses_is_told_in_its_words(
        self, rollouts: cluster.Cluster, namespace: str, isvc: dict[str, Any]
    ) -> None:
        wrong = {"spec": {"predictor": {"canaryTrafficPercent": "ten"}}}
        with pytest.raises(errors.RolloutError, match="canaryTrafficPercent"):
            rollouts.patch("digits", namespace, wrong)


def mirrored(
    rollouts: cluster.Cluster, node: httpx.Client, simulated: Knative, namespace: str
) -> Callable[..., dict[str, Any]]:
    """Patch the stored object and give it the status that the controllers decide."""

    def act(make: Callable[..., dict[str, Any]], *arguments: Any, ready: int = 0) -> dict[str, Any]:
        rollouts.patch("digits", namespace, make(rollouts.service("digits", namespace), *arguments))
        simulated.patch(make(simulated.isvc, *arguments))
        if ready:
            simulated.ready(ready)
        now = rollouts.service("digits", namespace)
        now["status"] = simulated.isvc["status"]
        path = f"{ISVCS}/{namespace}/inferenceservices/digits/status"
        answer = node.put(path, json=now)
        assert answer.status_code == 200, answer.text
        stored: dict[str, Any] = answer.json()
        return stored

    return act


def test_every_patch_is_admitted_and_does_what_it_says(
    rollouts: cluster.Cluster, server: api_server.ApiServer, namespace: str, person: httpx.Client
) -> None:
    simulated = Knative(transformer=False).serve()
    simulated.ready(1)
    body = {key: simulated.isvc[key] for key in ("apiVersion", "kind", "spec")}
    body["metadata"] = {"name": "digits"}
    path = f"{ISVCS}/{namespace}/inferenceservices"
    assert person.post(path, json=body).status_code == 201
    parts = ("predictor",)
    with server.node_client() as node:
        act = mirrored(rollouts, node, simulated, namespace)
        act(lambda _: {})

        def seen() -> service.View:
            return service.view(rollouts.service("digits", namespace))

        act(lambda isvc: service.begin(isvc, uri("v2"), "v2", pairs=True), ready=2)
        assert (seen().weight, seen().canary_ready) == (0, True)
        act(service.weigh, parts, 10)
        assert seen().effective == {"digits-predictor-00002": 10, "digits-predictor-00001": 90}
        kept = service.previous(rollouts.service("digits", namespace))
        act(service.promote, parts)
        assert (seen().stable, seen().canary) == ("digits-predictor-00002", None)
        act(service.undo, kept)
        assert seen().stable == "digits-predictor-00001"
        act(lambda isvc: service.begin(isvc, uri("v3"), "v3"), ready=3)
        act(service.weigh, parts, 50)
        act(service.roll_back, parts)
        assert (seen().weight, seen().canary) == (0, "digits-predictor-00003")
        assert seen().template == simulated.view.template


def test_standard_modes_patches_are_admitted(
    rollouts: cluster.Cluster, person: httpx.Client, server: api_server.ApiServer, namespace: str
) -> None:
    body = api_server.isvc("digits", minReplicas=2)
    body["metadata"]["annotations"] = {"serving.kserve.io/deploymentMode": "Standard"}
    path = f"{ISVCS}/{namespace}/inferenceservices"
    assert person.post(path, json=body).status_code == 201

    def settle(percent: int | None) -> None:
        """The status as it is when everything is in effect."""
        isvc = rollouts.service("digits", namespace)
        told = [] if percent is None else [{"name": "v2", "ready": True, "trafficPercent": percent}]
        conditions = [{"type": "PredictorReady", "status": "True"}]
        isvc["status"] = {
            "deploymentMode": "Standard",
            "conditions": conditions,
            "canaryStatuses": told,
        }
        with server.node_client() as node:
            answer = node.put(f"{path}/digits/status", json=isvc)
            assert answer.status_code == 200, answer.text

    def act(make: Callable[..., dict[str, Any]], *arguments: Any) -> service.View:
        isvc = rollouts.service("digits", namespace)
        after = rollouts.patch("digits", namespace, make(isvc, *arguments))
        view = service.view(after)
        settle(view.weight if view.canary else None)
        return view

    before = rollouts.service("digits", namespace)["spec"]
    settle(None)
    act(service.begin, uri("v2"), "v2")
    act(service.weigh, ("predictor",), 50)
    kept = service.previous(rollouts.service("digits", namespace))
    assert act(service.promote, ("predictor",)).weight == 100
    assert act(service.promote, ("predictor",)).stable == "digits-v2-predictor"
    assert act(service.undo, kept).canary == "digits-v2-predictor"
    assert act(service.undo, kept).weight == 0
    assert act(service.undo, kept).canary is None
    assert rollouts.service("digits", namespace)["spec"] == before
    act(service.begin, uri("v3"), "v2")
    act(service.weigh, ("predictor",), 50)
    assert act(service.roll_back, ("predictor",)).weight == 0
    assert act(service.roll_back, ("predictor",)).canary is None
    assert rollouts.service("digits", namespace)["spec"] == before


class TestRecords:
    def test_they_are_kept_and_found(
        self, rollouts: cluster.Cluster, begun: record.Record, namespace: str
    ) -> None:
        assert begun.state == state()
        assert rollouts.record("digits", namespace) == begun
        assert rollouts.records(namespace) == [begun]
        assert begun in rollouts.records()
        assert rollouts.record("nobody", namespace) is None

    def test_the_slower_of_two_is_told(
        self, rollouts: cluster.Cluster, begun: record.Record, isvc: dict[str, Any]
    ) -> None:
        first = rollouts.write(dataclasses.replace(begun, status="one"))
        with pytest.raises(errors.Conflict):
            rollouts.write(dataclasses.replace(begun, status="two"))
        with pytest.raises(errors.Conflict):
            rollouts.write(record.empty(isvc).begun(state(id="digits-2"), isvc))
        assert rollouts.record("digits", begun.namespace) == first

    def test_a_wish_is_seen_and_stands_in_the_way_of_what_was_read_before(
        self, rollouts: cluster.Cluster, begun: record.Record
    ) -> None:
        rollouts.request("digits", begun.namespace, "pause")
        with pytest.raises(errors.Conflict):
            rollouts.write(begun)
        found = rollouts.record("digits", begun.namespace)
        assert found is not None and (found.wish, found.state) == ("pause", begun.state)

    def test_a_wish_without_a_rollout_is_a_sentence(
        self, rollouts: cluster.Cluster, namespace: str
    ) -> None:
        with pytest.raises(errors.RolloutError, match="no rollout that could undo"):
            rollouts.request("digits", namespace, "undo")

    def test_they_go_with_their_service(
        self, rollouts: cluster.Cluster, begun: record.Record, person: httpx.Client
    ) -> None:
        path = f"{ISVCS}/{begun.namespace}/inferenceservices/digits"
        assert person.delete(path).status_code == 200
        api_server.until("gone", lambda: rollouts.record("digits", begun.namespace) is None)
        with pytest.raises(errors.Conflict, match="was deleted meanwhile"):
            rollouts.write(begun)

    def test_a_second_rollout_waits_for_the_end_of_the_first(
        self, rollouts: cluster.Cluster, begun: record.Record, isvc: dict[str, Any]
    ) -> None:
        with pytest.raises(errors.RolloutError, match="being rolled out already"):
            begun.begun(state(id="digits-2"), isvc)
        done = rollouts.write(
            dataclasses.replace(begun, state=state(phase=Phase.PROMOTED, ended=2.0))
        )
        again = rollouts.write(done.begun(state(id="digits-2"), isvc))
        assert [each.id for each in again.history] == ["digits-20261121T210000Z"]


class TestDrivers:
    def test_this_process_takes_renews_and_releases(
        self, rollouts: cluster.Cluster, begun: record.Record
    ) -> None:
        before = time.time()
        taken = rollouts.take(begun)
        assert taken.driver is not None
        assert (taken.driver.host, taken.driver.process) == (socket.gethostname(), os.getpid())
        renewed = rollouts.renew(taken)
        assert renewed.driver is not None and renewed.driver.time > taken.driver.time >= before
        assert renewed.state == begun.state
        with pytest.raises(errors.Conflict):
            rollouts.renew(taken)
        written = rollouts.write(renewed)
        assert written.driver is not None and written.driver.time > renewed.driver.time
        assert rollouts.release(rollouts.take(written)).driver is None

    def test_a_second_one_is_refused_and_told_who_the_first_is(
        self, rollouts: cluster.Cluster, begun: record.Record
    ) -> None:
        other = record.Driver(host="elsewhere", process=7, time=time.time())
        taken = rollouts.write(dataclasses.replace(begun, driver=other))
        assert taken.driver == other
        with pytest.raises(errors.RolloutError, match="by process 7 on elsewhere"):
            rollouts.take(taken)
        parent = record.Driver(host=socket.gethostname(), process=os.getppid(), time=time.time())
        taken = rollouts.write(dataclasses.replace(taken, driver=parent))
        with pytest.raises(errors.RolloutError, match=f"by process {os.getppid()} on"):
            rollouts.take(taken)

    def test_one_that_ended_or_fell_silent_is_followed(
        self, rollouts: cluster.Cluster, begun: record.Record
    ) -> None:
        me, ended = socket.gethostname(), ended_process()
        for other in (
            record.Driver(host=me, process=ended, time=time.time()),
            record.Driver(host="elsewhere", process=7, time=time.time() - 31),
        ):
            begun = rollouts.take(rollouts.write(dataclasses.replace(begun, driver=other)))
            assert begun.driver is not None and begun.driver.process == os.getpid()

    def test_of_two_that_come_at_once_one_is_too_late(
        self, rollouts: cluster.Cluster, begun: record.Record
    ) -> None:
        rollouts.take(begun)
        with pytest.raises(errors.Conflict):
            rollouts.take(begun)


def test_events_are_counted_where_people_look(
    rollouts: cluster.Cluster, isvc: dict[str, Any], person: httpx.Client, namespace: str
) -> None:
    for _ in range(3):
        rollouts.event(isvc, "StepStarted", "digits-predictor-00002 has 10%", False)
    rollouts.event(isvc, "RolledBack", "errors are worse", True)
    selector = "involvedObject.name=digits,source=calumma-rollout"
    answer = person.get(
        f"/api/v1/namespaces/{namespace}/events", params={"fieldSelector": selector}
    )
    told = {each["reason"]: each for each in answer.json()["items"]}
    assert {reason: each["count"] for reason, each in told.items()} == {
        "StepStarted": 3,
        "RolledBack": 1,
    }
    assert told["RolledBack"]["type"] == "Warning"
    assert told["StepStarted"]["type"] == "Normal"
    assert told["RolledBack"]["involvedObject"]["uid"] == isvc["metadata"]["uid"]


POLICY = """
service: digits
steps: [{weight: 10}]
metrics: [{name: errors, kind: errors, margin: 0.02}]
"""


class TestPolicies:
    @pytest.mark.parametrize(
        ("data", "sentence"),
        [
            ({}, "a policy is expected in policy.yaml"),
            ({"policy.yml": POLICY}, r"has the keys \['policy.yml'\]"),
            ({"policy.yaml": "steps: 1"}, "policy.yaml in the ConfigMap careful .*steps"),
            ({"policy.yaml": "{"}, "is not YAML"),
        ],
    )
    def test_what_is_no_policy_is_a_sentence(
        self,
        rollouts: cluster.Cluster,
        person: httpx.Client,
        namespace: str,
        data: dict[str, str],
        sentence: str,
    ) -> None:
        body = api_server.config_map("careful", data)
        answer = person.post(f"/api/v1/namespaces/{namespace}/configmaps", json=body)
        assert answer.status_code == 201
        with pytest.raises(errors.RolloutError, match=sentence):
            rollouts.policy("careful", namespace)

    def test_it_is_read(
        self, rollouts: cluster.Cluster, person: httpx.Client, namespace: str
    ) -> None:
        with pytest.raises(errors.RolloutError, match="no policy to go by"):
            rollouts.policy("careful", namespace)
        body = api_server.config_map("careful", {"policy.yaml": POLICY})
        person.post(f"/api/v1/namespaces/{namespace}/configmaps", json=body)
        assert rollouts.policy("careful", namespace).steps[0].weight == 10


class TestWithoutACluster:
    def test_nobody_answers(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            port = unused.getsockname()[1]
        config = tmp_path / "config"
        config.write_text(
            "{apiVersion: v1, kind: Config, current-context: a, users: [{name: a, user: {}}],"
            f" clusters: [{{name: a, cluster: {{server: 'http://127.0.0.1:{port}'}}}}],"
            " contexts: [{name: a, context: {cluster: a, user: a}}]}"
        )
        monkeypatch.setenv("KUBECONFIG", str(config))
        with pytest.raises(errors.ServiceUnavailable, match="no cluster answers"):
            cluster.Cluster().service("digits", "default")

    def test_nobody_says_where_one_is(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
        with pytest.raises(errors.ServiceUnavailable, match="without a kubeconfig"):
            cluster.Cluster().records()

    def test_one_that_comes_back_is_asked_again(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with api_server.running(tmp_path / "home", tmp_path / "cache") as own:
            monkeypatch.setenv("KUBECONFIG", str(own.home.kubeconfig))
            asking = cluster.Cluster()
            assert asking.services() == []
            own.end(9)
            with pytest.raises(errors.ServiceUnavailable, match="no cluster answers"):
                asking.services()
            own.restart()
            assert asking.services() == []

    def test_one_that_is_not_ours_names_no_prometheus(self, rollouts: cluster.Cluster) -> None:
        assert rollouts.prometheus() is None

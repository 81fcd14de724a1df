"""The plan for one InferenceGraph: the same machinery, another owner."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from calumma.cluster.node import owners
from calumma.cluster.objects import Object
from support.node import Node
from support.simulation import digits

FIRST, SECOND = "both-00001", "both-00002"


def graph(*steps: dict[str, Any], **metadata: Any) -> Object:
    return {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "InferenceGraph",
        "metadata": {
            "name": "both",
            "namespace": "default",
            "generation": 1,
            "uid": "g-1",
            "resourceVersion": "1",
            **metadata,
        },
        "spec": {"nodes": {"root": {"routerType": "Sequence", "steps": list(steps)}}},
    }


def service(address: str = "http://digits.default.svc.cluster.local") -> Object:
    ready = {"type": "Ready", "status": "True"}
    return {**digits(), "status": {"address": {"url": address}, "conditions": [ready]}}


@pytest.fixture
def node(tmp_path: Path) -> Node:
    found = Node(tmp_path, owner=owners.Owner("InferenceGraph", "default", "both"))
    found.isvcs = [service()]
    return found


@pytest.fixture
def serving(node: Node) -> Node:
    node.apply(graph({"serviceName": "digits"}))
    node.complete()
    return node


def status(node: Node) -> Object:
    assert node.isvc is not None
    found: Object = node.isvc["status"]
    return found


def ready(node: Node) -> str:
    (found,) = (each for each in status(node)["conditions"] if each["type"] == "Ready")
    return str(found["status"])


def arguments(node: Node, revision: str) -> dict[str, str]:
    (row,) = (r for r in node.programs.values() if r.wanted.notes["revision"] == revision)
    words = row.wanted.argv[4:]
    return dict(zip(words[::2], words[1::2], strict=True))


def test_a_graph_is_one_router_with_a_host(serving: Node) -> None:
    assert serving.running() == [FIRST]
    assert serving.shares("both.default") == {FIRST: 100}
    assert [host.name for host in serving.part.hosts] == ["both.default"]
    (backend,) = serving.part.backends
    assert backend.name == f"default/both/router/{FIRST}"
    assert ready(serving) == "True"
    assert status(serving)["url"] == "http://both.default.localhost:8080"
    assert serving.isvc is not None
    assert "finalizers" not in serving.isvc["metadata"]


def test_the_router_knows_the_gateway_and_its_services(serving: Node) -> None:
    found = arguments(serving, FIRST)
    assert (found["--gateway"], found["--namespace"]) == ("127.0.0.1:8080", "default")
    (row,) = serving.programs.values()
    assert found["--port"] == str(row.wanted.notes["ports"]["http"])
    probe = row.wanted.notes["probe"]
    assert (probe["port"], probe["path"]) == (int(found["--port"]), "/readyz")
    assert row.wanted.environment["PROPAGATE_HEADERS"] == ""
    (step,) = json.loads(found["--graph-json"])["nodes"]["root"]["steps"]
    assert step["serviceUrl"] == "http://digits.default.svc.cluster.local/v1/models/digits:predict"


def test_a_service_that_moves_makes_a_revision_that_takes_over_when_it_is_ready(
    serving: Node,
) -> None:
    serving.isvcs = [service("http://elsewhere")]
    serving.work()
    assert serving.running() == [FIRST, SECOND]
    assert serving.shares("both.default") == {FIRST: 100}
    serving.complete()
    assert serving.shares("both.default") == {SECOND: 100}
    assert serving.running() == [SECOND]
    assert "http://elsewhere/v1" in arguments(serving, SECOND)["--graph-json"]


def test_a_service_that_goes_leaves_the_router(serving: Node) -> None:
    serving.isvcs = []
    serving.work()
    assert ready(serving) == "Unknown"
    assert serving.shares("both.default") == {FIRST: 100}
    serving.isvcs = [service()]
    serving.work()
    assert (ready(serving), serving.running()) == ("True", [FIRST])


def test_a_deleted_graph_leaves_nothing(serving: Node) -> None:
    serving.isvc = None
    serving.kind("Service").clear()
    serving.kind("Revision").clear()
    serving.work()
    assert serving.programs == {}
    assert serving.names("Pod") == []
    assert serving.part.hosts == ()


def test_replicas_are_pods(node: Node) -> None:
    wanted = graph({"serviceUrl": "http://a"})
    wanted["spec"]["minReplicas"] = 2
    node.apply(wanted)
    node.complete()
    (backend,) = node.part.backends
    assert len(set(backend.endpoints)) == 2


def test_an_image_of_the_routers_that_is_unknown_fails_the_graph(node: Node) -> None:
    node.settings = {**node.settings, "router": {"image": "team/router:1"}}
    node.apply(graph({"serviceUrl": "http://a"}))
    node.complete()
    assert ready(node) == "False"
    assert 'Unable to fetch image "team/router:1"' in str(status(node))

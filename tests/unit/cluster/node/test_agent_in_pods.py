"""A pod with KServe's agent in front of its component, as the node plans it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from calumma.cluster import objects
from calumma.cluster.node.record import Observed
from calumma.cluster.objects import Object
from support.node import Node
from support.simulation import digits, predictor_revision

LOGGER = {"mode": "all", "url": "http://message-dumper.default"}


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def serving(node: Node, **predictor: Any) -> Node:
    node.apply(digits(**predictor))
    node.complete()
    return node


def row(node: Node, container: str, component: str = "predictor") -> Observed:
    found = [
        each
        for name, each in node.programs.items()
        if name.endswith(f"/{container}") and each.wanted.notes["component"] == component
    ]
    assert len(found) == 1
    return found[0]


def pod(node: Node, component: str) -> Object:
    return next(p for name, p in node.kind("Pod").items() if component in name)


def flag(observed: Observed, name: str) -> str:
    return observed.wanted.argv[observed.wanted.argv.index(name) + 1]


def test_requests_enter_through_the_agent(node: Node) -> None:
    serving(node, logger=LOGGER)
    agent, main = row(node, "agent"), row(node, "kserve-container")
    ports, behind = agent.wanted.notes["ports"], main.wanted.notes["ports"]
    assert flag(agent, "--port") == str(ports["http"])
    assert flag(agent, "--component-port") == str(behind["http"])
    assert flag(agent, "--gateway") == "127.0.0.1:8080"
    assert flag(agent, "--source-uri") == agent.wanted.notes["pod"]
    backends = {each.revision: each for each in node.part.backends}
    assert backends[predictor_revision(1)].endpoints == (ports["http"],)
    assert main.wanted.notes["metrics"] == behind["metrics"]
    assert agent.wanted.notes["metrics"] is None


def test_both_containers_are_probed_and_shown(node: Node) -> None:
    serving(node, logger=LOGGER)
    probe = row(node, "agent").wanted.notes["probe"]
    assert probe["headers"] == {"K-Network-Probe": "queue"}
    assert row(node, "kserve-container").wanted.notes["probe"]["path"] == "/v2/health/ready"
    stored = pod(node, "predictor")
    assert [each["name"] for each in stored["spec"]["containers"]] == ["kserve-container", "agent"]
    assert [each["ready"] for each in stored["status"]["containerStatuses"]] == [True, True]
    assert len(pod(node, "transformer")["spec"]["containers"]) == 1


def test_an_agent_that_is_not_ready_takes_the_pod_out(node: Node) -> None:
    serving(node, logger=LOGGER)
    node.crash("/agent", "agent: error: argument --log-mode: invalid choice")
    backends = {each.revision: each for each in node.part.backends}
    assert backends[predictor_revision(1)].endpoints == ()


def test_an_agent_that_is_planned_later_finds_its_component(node: Node) -> None:
    serving(node, logger=LOGGER)
    lost = row(node, "agent")
    del node.programs[lost.wanted.name]
    node.work()
    behind = row(node, "kserve-container").wanted.notes["ports"]
    assert flag(row(node, "agent"), "--component-port") == str(behind["http"])


def test_a_transformer_has_one_of_its_own(node: Node) -> None:
    isvc = digits()
    isvc["spec"]["transformer"]["batcher"] = {"maxBatchSize": 4}
    node.apply(isvc)
    node.complete()
    agent = row(node, "agent", "transformer")
    assert flag(agent, "--max-batchsize") == "4"
    assert agent.wanted.notes["endpoint"] == agent.wanted.notes["ports"]["http"]


def test_a_component_that_speaks_grpc_is_asked_so(node: Node) -> None:
    isvc = digits(logger=LOGGER)
    isvc["spec"]["predictor"]["model"]["ports"] = [{"name": "h2c", "containerPort": 9000}]
    node.apply(isvc)
    node.complete()
    agent, main = row(node, "agent"), row(node, "kserve-container")
    own, behind = agent.wanted.notes["ports"], main.wanted.notes["ports"]
    assert flag(agent, "--grpc-ports") == f"{own['grpc']}:{behind['grpc']}"
    backend = next(b for b in node.part.backends if b.component == "predictor")
    assert (backend.endpoints, backend.http2) == ((own["grpc"],), True)


def test_a_new_image_in_kserves_settings_leaves_running_pods_alone(node: Node) -> None:
    serving(node, logger=LOGGER)
    node.settings = {**node.settings, "agent": {"image": "nobody/knows:1"}}
    node.work()
    assert row(node, "agent").state == "running"
    backends = {each.revision: each for each in node.part.backends}
    assert len(backends[predictor_revision(1)].endpoints) == 1


def test_an_agent_alone_is_refused(node: Node) -> None:
    isvc = digits()
    isvc["spec"]["transformer"]["containers"][0]["image"] = "kserve/agent:latest"
    node.apply(isvc)
    node.complete()
    waiting = pod(node, "transformer")["status"]["containerStatuses"][0]["state"]["waiting"]
    assert "no container before it" in waiting["message"]
    assert objects.dig(node.isvc, "status", "conditions")

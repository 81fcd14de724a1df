"""The plan for an InferenceService in Standard mode, carried out until nothing is left to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from calumma.cluster.kserve import vocabulary
from calumma.cluster.node import routing
from calumma.cluster.objects import Object
from calumma.cluster.programs import envoy, splits
from support.node import Node
from support.simulation import digits

STABLE, CANARY, TRANSFORMER = "digits-predictor", "digits-v2-predictor", "digits-transformer"
PUBLIC, SPLIT = "digits-default", "digits-predictor-default"


def standard(
    version: str = "v1", percent: int | None = None, *, transformer: bool = False, **predictor: Any
) -> Object:
    """The example in Standard mode, with a canary named v2 where there is a percentage."""
    isvc = digits(version, **predictor)
    isvc["metadata"]["annotations"] = {vocabulary.DEPLOYMENT_MODE: "Standard"}
    if not transformer:
        del isvc["spec"]["transformer"]
    if percent is not None:
        model = {"modelFormat": {"name": "triton"}, "storageUri": "pvc://models/digits/v2"}
        entry = {"trafficPercent": percent, "predictor": {"name": "v2", "model": model}}
        isvc["spec"]["canary"] = [entry]
    return isvc


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


@pytest.fixture
def serving(node: Node) -> Node:
    node.apply(standard())
    node.complete()
    return node


def status(node: Node) -> Object:
    assert node.isvc is not None
    found: Object = node.isvc["status"]
    return found


def condition(node: Node, kind: str) -> tuple[str, str]:
    for each in status(node)["conditions"]:
        if each["type"] == kind:
            return each["status"], each.get("reason", "")
    return "", ""


def pods_of(node: Node, deployment: str) -> dict[str, str]:
    """The pods of a Deployment: their uids by name."""
    return {
        name: each["metadata"]["uid"]
        for name, each in node.kind("Pod").items()
        if each["metadata"]["labels"]["app"] == f"isvc.{deployment}"
    }


def finish(node: Node) -> None:
    """Let everything become ready, however many steps of an update that takes."""
    for _ in range(8):
        node.complete()


def test_it_begins_not_ready_and_says_why(node: Node) -> None:
    node.apply(standard())
    assert node.names("Deployment") == node.names("v1 Service") == [STABLE]
    assert condition(node, "PredictorReady") == ("False", "MinimumReplicasUnavailable")
    assert condition(node, "IngressReady") == ("False", "Predictor Deployment NotReady")
    assert condition(node, "Ready")[0] == "False"
    assert "observedGeneration" not in status(node)
    assert node.shares(PUBLIC) == {}
    finish(node)
    assert condition(node, "PredictorReady") == ("True", "NewReplicaSetAvailable")
    assert condition(node, "IngressReady") == ("True", "")
    assert node.shares(PUBLIC) == node.shares(SPLIT) == {STABLE: 100}
    (name,) = pods_of(node, STABLE)
    (replica_set,) = node.names("ReplicaSet")
    assert name.startswith(f"{replica_set}-")


def test_an_updates_new_pod_is_ready_before_the_old_one_goes(serving: Node) -> None:
    (old,) = pods_of(serving, STABLE)
    serving.apply(standard("v2"))
    assert len(pods_of(serving, STABLE)) == 2
    assert condition(serving, "Ready")[0] == "True"
    assert status(serving)["observedGeneration"] == 1
    (backend,) = serving.part.backends
    assert (len(backend.endpoints), backend.draining) == (1, ())
    serving.busy = {backend.endpoints[0]}
    finish(serving)
    (backend,) = serving.part.backends
    assert backend.draining == tuple(serving.busy)
    assert len(backend.endpoints) == 1
    assert backend.endpoints != backend.draining
    assert old in pods_of(serving, STABLE)
    assert status(serving)["observedGeneration"] == 2
    serving.busy = set()
    serving.work()
    assert old not in pods_of(serving, STABLE)
    assert len(serving.names("ReplicaSet")) == 2


def test_pods_come_and_go_one_by_one(node: Node) -> None:
    node.apply(standard(minReplicas=4))
    finish(node)
    before = pods_of(node, STABLE)
    node.apply(standard("v2", minReplicas=4))
    most, least = 0, 4
    for _ in range(40):
        node.advance()
        node.step()
        running = {row.wanted.notes["pod"] for row in node.programs.values()}
        wanted = sum(each["spec"]["replicas"] for each in node.kind("ReplicaSet").values())
        most = max(most, wanted, len(running & set(before)))
        least = min(least, len(node.part.backends[0].endpoints))
    assert (most, least) == (5, 3)
    assert len(pods_of(node, STABLE)) == 4
    assert not set(before) & set(pods_of(node, STABLE))


def test_a_broken_update_leaves_the_old_pod_and_tells(serving: Node) -> None:
    before = pods_of(serving, STABLE)
    serving.apply(standard("v9"))
    (new,) = set(pods_of(serving, STABLE)) - set(before)
    serving.store(serving.isvc or {})
    serving.crash(f"{new}/storage-initializer", "no such model")
    assert set(before) < set(pods_of(serving, STABLE))
    assert condition(serving, "Ready")[0] == "True"
    assert status(serving)["observedGeneration"] == 1
    model = status(serving)["modelStatus"]
    assert model["states"] == {"activeModelState": "Loaded", "targetModelState": "FailedToLoad"}
    assert model["lastFailureInfo"]["message"] == "no such model"
    text = f'Pod "{new}": container storage-initializer failed: no such model'
    assert [event.message for event in serving.events if event.reason == "PodFailed"] == [text]
    serving.apply(standard())
    assert pods_of(serving, STABLE) == before


def test_a_canary_gets_its_share_when_it_is_ready(serving: Node) -> None:
    serving.apply(standard(percent=20))
    assert condition(serving, "CanaryPredictorReady") == ("False", "CanariesNotReady")
    assert serving.shares(PUBLIC) == {STABLE: 100}
    finish(serving)
    assert serving.shares(PUBLIC) == serving.shares(SPLIT) == {STABLE: 80, CANARY: 20}
    assert serving.shares("digits-v2-predictor.default") == {CANARY: 100}
    assert condition(serving, "CanaryPredictorReady") == ("True", "AllCanariesReady")
    (found,) = status(serving)["canaryStatuses"]
    assert (found["name"], found["ready"], found["trafficPercent"]) == ("v2", True, 20)
    serving.apply(standard(percent=50))
    assert serving.shares(PUBLIC) == {STABLE: 50, CANARY: 50}
    assert status(serving)["canaryStatuses"][0]["trafficPercent"] == 50


def test_a_promoted_canary_keeps_its_pod_and_the_old_one_serves_until_then(node: Node) -> None:
    node.apply(standard(percent=20, minReplicas=2))
    finish(node)
    assert len(pods_of(node, STABLE)) == len(pods_of(node, CANARY)) == 1
    before = pods_of(node, CANARY)
    node.apply(standard("v2", name="v2", minReplicas=2))
    assert node.shares(PUBLIC) == {STABLE: 80, CANARY: 20}
    assert node.names("Deployment") == [STABLE, CANARY]
    finish(node)
    assert node.shares(PUBLIC) == node.shares(SPLIT) == {CANARY: 100}
    assert node.names("Deployment") == node.names("v1 Service") == [CANARY]
    assert before.items() < pods_of(node, CANARY).items()
    assert pods_of(node, STABLE) == {}
    assert condition(node, "CanaryPredictorReady") == ("", "")
    assert status(node)["address"]["url"] == f"http://{CANARY}.default.svc.cluster.local"


def test_a_canary_that_is_taken_back_ends_when_it_is_idle(serving: Node) -> None:
    serving.apply(standard(percent=20))
    finish(serving)
    serving.busy = {f"default/digits/predictor/{CANARY}"}
    serving.apply(standard())
    assert serving.shares(PUBLIC) == {STABLE: 100}
    assert serving.names("Deployment") == [STABLE]
    assert CANARY in serving.running()
    serving.busy = set()
    serving.work()
    assert serving.running() == [STABLE]
    assert "canaryStatuses" not in status(serving)


def test_stopping_ends_everything(serving: Node) -> None:
    serving.apply(standard(percent=20))
    finish(serving)
    stopped = standard(percent=20)
    stopped["metadata"]["annotations"][vocabulary.STOP] = "true"
    serving.apply(stopped)
    assert serving.running() == []
    for kind in ("Deployment", "ReplicaSet", "Pod", "v1 Service"):
        assert serving.names(kind) == [], kind
    kinds = ("CanaryPredictorReady", "IngressReady", "PredictorReady", "Ready")
    assert {condition(serving, kind) for kind in kinds} == {("False", "Stopped")}
    assert condition(serving, "Stopped") == ("True", "")
    assert serving.part.hosts == ()


def test_a_transformer_calls_the_stable_predictor_alone(node: Node) -> None:
    node.apply(standard(percent=20, transformer=True))
    finish(node)
    assert node.shares(PUBLIC) == node.shares("digits-transformer-default") == {TRANSFORMER: 100}
    assert node.shares(SPLIT) == {STABLE: 80, CANARY: 20}
    ports = {each.name: each for each in node.part.entrances}
    entrance = ports[f"default/{STABLE}"]
    assert [name.rsplit("/", 1)[1] for name, _ in entrance.split.shares] == [STABLE]
    row = next(
        row for row in node.programs.values() if row.wanted.notes["component"] == "transformer"
    )
    argv = row.wanted.argv
    assert argv[argv.index("--predictor_host") + 1] == f"127.0.0.1:{entrance.port}"
    warnings = [each.message for each in node.events if each.reason == "CanaryWithoutEffect"]
    assert len(warnings) == 1
    assert "the transformer calls the stable predictor only" in warnings[0]
    kinds = [each["type"] for each in status(node)["conditions"]]
    assert kinds == [
        "CanaryPredictorReady",
        "IngressReady",
        "PredictorReady",
        "Ready",
        "Stopped",
        "TransformerReady",
    ]


def test_an_old_predictor_stays_while_an_old_transformer_may_call_it(node: Node) -> None:
    node.apply(standard(percent=20, transformer=True))
    finish(node)
    caller = next(each for each in node.part.backends if each.revision == TRANSFORMER)
    node.busy = set(caller.endpoints)
    node.apply(standard("v2", transformer=True, name="v2"))
    finish(node)
    assert node.shares(SPLIT) == {CANARY: 100}
    assert len(pods_of(node, TRANSFORMER)) == 2
    assert node.names("Deployment") == [STABLE, TRANSFORMER, CANARY]
    node.busy = set()
    for _ in range(30):
        callers = {
            argv[argv.index("--predictor_host") + 1]
            for row in node.programs.values()
            if "--predictor_host" in (argv := row.wanted.argv)
        }
        assert callers <= {f"127.0.0.1:{each.port}" for each in node.part.entrances}
        node.advance()
        node.step()
    assert node.names("Deployment") == [TRANSFORMER, CANARY]


def test_a_percentage_of_knative_mode_is_told_to_have_no_effect(serving: Node) -> None:
    serving.apply(standard("v2", canaryTrafficPercent=10))
    finish(serving)
    assert serving.shares(PUBLIC) == {STABLE: 100}
    warnings = [each.message for each in serving.events if each.reason == "CanaryWithoutEffect"]
    assert len(warnings) == 1
    assert "a canary there is an entry of spec.canary" in warnings[0]


def test_an_agent_that_starts_takes_nothing_away(serving: Node) -> None:
    serving.apply(standard(percent=20))
    finish(serving)
    before, hosts = status(serving), serving.part
    serving.programmed = {}
    serving.step()
    assert serving.part == hosts
    assert status(serving) == before


def test_an_agent_that_starts_during_a_promotion_keeps_what_serves(serving: Node) -> None:
    serving.apply(standard("v2", name="other"))
    assert serving.names("Deployment") == ["digits-other-predictor", STABLE]
    serving.programmed = {}
    serving.step()
    assert serving.shares(PUBLIC) == {STABLE: 100}
    finish(serving)
    assert serving.shares(PUBLIC) == {"digits-other-predictor": 100}
    assert serving.names("Deployment") == ["digits-other-predictor"]


def test_more_pods_than_a_machine_runs_are_refused(serving: Node) -> None:
    serving.store(standard("v2", minReplicas=101))
    serving.step()
    assert condition(serving, "PredictorReady") == ("False", "ReconcileFailed")
    assert serving.running() == [STABLE]
    assert "asks for 101 pods; one machine runs at most 100" in serving.events[-2].message


def test_a_runtime_that_is_missing_leaves_everything_as_it_is(serving: Node) -> None:
    isvc = standard()
    isvc["spec"]["predictor"]["model"]["modelFormat"]["name"] = "sklearn"
    serving.store(isvc)
    serving.step()
    assert serving.names("Deployment") == [STABLE]
    assert serving.shares(PUBLIC) == {STABLE: 100}
    assert status(serving)["modelStatus"]["transitionStatus"] == "InvalidSpec"
    assert status(serving)["observedGeneration"] == 1
    assert serving.events[-1].reason == "InternalError"


def test_a_grpc_port_beside_the_first_one_is_reached_too(node: Node) -> None:
    isvc = standard()
    ports = [{"containerPort": 8080}, {"name": "grpc-port", "containerPort": 9000}]
    isvc["spec"]["predictor"]["model"]["ports"] = ports
    node.apply(isvc)
    finish(node)
    plain, grpc = node.part.backends
    assert (plain.revision, plain.http2) == (STABLE, False)
    assert (grpc.revision, grpc.http2) == (f"{STABLE}+grpc", True)
    (row,) = (row for row in node.programs.values() if row.wanted.notes.get("endpoint"))
    chosen = row.wanted.notes["ports"]
    assert (plain.endpoints, grpc.endpoints) == ((chosen["http"],), (chosen["grpc"],))
    assert all(host.split.grpc for host in node.part.hosts)
    (service,) = node.kind("v1 Service").values()
    assert [each["port"] for each in service["spec"]["ports"]] == [80, 9000]


def test_a_cluster_local_service_has_no_public_host(node: Node) -> None:
    isvc = standard()
    isvc["metadata"]["labels"] = {"networking.knative.dev/visibility": "cluster-local"}
    node.apply(isvc)
    finish(node)
    assert condition(node, "Ready")[0] == "True"
    assert [host.name for host in node.part.hosts] == [f"{STABLE}.default"]


def test_recreate_ends_the_old_pod_first(node: Node) -> None:
    plan = {"type": "Recreate"}
    node.apply(standard(deploymentStrategy=plan))
    finish(node)
    (old,) = pods_of(node, STABLE)
    node.apply(standard("v2", deploymentStrategy=plan))
    assert old not in pods_of(node, STABLE)
    assert condition(node, "PredictorReady")[0] == "False"
    finish(node)
    assert condition(node, "Ready")[0] == "True"


def test_a_host_name_that_two_owners_mean_belongs_to_the_first() -> None:
    split = splits.Split("predictor", (("a", 100),), 60.0)
    first = envoy.Host("a-b-c", ("a-b-c.localhost", "a-b-c.example.com"), split)
    second = envoy.Host("other", ("a-b-c.localhost", "other.localhost"), split)
    third = envoy.Host("lost", ("a-b-c.example.com",), split)
    found = routing.distinct([first, second, third])
    assert [host.domains for host in found] == [first.domains, ("other.localhost",)]


STEPS = st.lists(
    st.sampled_from(
        [
            ("apply", standard()),
            ("apply", standard("v2")),
            ("apply", standard(percent=20)),
            ("apply", standard(percent=50, minReplicas=3)),
            ("apply", standard("v2", name="v2")),
            ("apply", standard(transformer=True, percent=0)),
            ("ready", None),
            ("crash", None),
            ("forget", None),
        ]
    ),
    max_size=8,
)


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=STEPS)
def test_every_history_settles_and_is_planned_once(
    steps: list[tuple[str, Object | None]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    node = Node(tmp_path_factory.mktemp("node"))
    node.apply(standard())
    for what, isvc in steps:
        if isvc is not None and (node.isvc or {})["spec"] != isvc["spec"]:
            node.apply(isvc)
        elif what == "ready":
            node.complete()
        elif what == "crash":
            node.crash("kserve-container", "gone")
        elif what == "forget":
            node.programmed = {}
        node.work()
    assert not node.step()
    assert len(node.running()) <= 3

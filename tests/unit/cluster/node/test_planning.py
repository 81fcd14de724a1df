"""The plan for one InferenceService, carried out until nothing is left to do."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from calumma.cluster.objects import Object
from support.node import Node
from support.simulation import digits, predictor_revision

V1, V2, V3 = (predictor_revision(number) for number in (1, 2, 3))
TRANSFORMER = "digits-transformer-00001"


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


@pytest.fixture
def serving(node: Node) -> Node:
    node.apply(digits())
    node.complete()
    return node


def change(node: Node, version: str, percent: int | None) -> None:
    assert node.isvc is not None
    isvc = digits(version)
    if percent is not None:
        isvc["spec"]["predictor"]["canaryTrafficPercent"] = percent
    node.apply(isvc)


def condition(node: Node, kind: str) -> Object:
    assert node.isvc is not None
    found: Object = next(c for c in node.isvc["status"]["conditions"] if c["type"] == kind)
    return found


def test_an_initializer_runs_before_the_containers(node: Node) -> None:
    node.apply(digits())
    assert node.names("Revision") == [V1, TRANSFORMER]
    programs = sorted(name.rsplit("/", 1)[1] for name in node.programs)
    assert programs == ["kserve-container", "storage-initializer"]
    node.complete()
    assert len(node.programs) == 3
    assert condition(node, "Ready")["status"] == "True"


def test_the_finalizer_is_kserves(serving: Node) -> None:
    assert serving.isvc is not None
    assert serving.isvc["metadata"]["finalizers"] == ["inferenceservice.finalizers"]


def test_hosts_lead_to_the_transformer_and_its_entrance_to_the_predictor(serving: Node) -> None:
    assert serving.shares("digits.default") == {TRANSFORMER: 100}
    assert serving.shares("digits-predictor.default") == {V1: 100}
    entrance = serving.part.entrances[0]
    transformer = next(
        row for row in serving.programs.values() if row.wanted.notes["component"] == "transformer"
    )
    argv = transformer.wanted.argv
    assert argv[argv.index("--predictor_host") + 1] == f"127.0.0.1:{entrance.port}"
    ports = transformer.wanted.notes["ports"]
    assert argv[argv.index("--http_port") + 1] == str(ports["http"])
    assert argv[argv.index("--grpc_port") + 1] == str(ports["grpc"])


def test_a_canary_splits_and_both_revisions_run(serving: Node) -> None:
    change(serving, "v2", 10)
    assert serving.shares("digits-predictor.default") == {V1: 100}
    serving.complete()
    assert serving.shares("digits-predictor.default") == {V2: 10, V1: 90}
    assert serving.running() == [V1, V2, TRANSFORMER]
    prev = {V1: 100}
    assert serving.shares("prev-digits-predictor.default") == prev


def test_promotion_stops_the_old_revision_only_when_it_is_idle(serving: Node) -> None:
    change(serving, "v2", 10)
    serving.complete()
    serving.busy = {f"default/digits/predictor/{V1}"}
    change(serving, "v2", None)
    assert serving.shares("digits-predictor.default") == {V2: 100}
    assert V1 in serving.running()
    backends = {backend.revision for backend in serving.part.backends}
    assert V1 in backends
    serving.busy = set()
    serving.work()
    assert serving.running() == [V2, TRANSFORMER]
    assert not any(name.startswith(V1) for name in serving.names("Pod"))


def test_who_waits_for_a_revision_that_drains_and_was_killed_is_not_forgotten(
    serving: Node,
) -> None:
    name = f"default/digits/predictor/{V1}"
    change(serving, "v2", 10)
    serving.complete()
    gate = serving.gates[name].port
    serving.busy = {name}
    serving.crash(f"{V1}-deployment", "killed")
    change(serving, "v2", None)
    backend = next(each for each in serving.part.backends if each.revision == V1)
    assert (backend.gate, serving.gates[name].port) == (gate, gate)
    assert serving.gates[name].targets == backend.endpoints != ()
    serving.busy = set()
    serving.work()
    assert serving.running() == [V2, TRANSFORMER]
    assert name not in serving.gates


@pytest.mark.parametrize(("version", "percent"), [("v2", 50), ("v3", 10), ("v2", None)])
def test_ready_at_a_generation_means_that_its_traffic_is_in_effect(
    serving: Node, version: str, percent: int | None
) -> None:
    change(serving, "v2", 10)
    serving.complete()
    isvc = digits(version)
    if percent is not None:
        isvc["spec"]["predictor"]["canaryTrafficPercent"] = percent
    serving.store(isvc)
    assert serving.isvc is not None
    for _ in range(30):
        serving.step()
        serving.advance()
        observed = serving.isvc["status"]["observedGeneration"]
        if observed == 3 and condition(serving, "Ready")["status"] == "True":
            break
    newest = V3 if version == "v3" else V2
    rest = {} if percent is None else {V1: 100 - percent}
    assert serving.shares("digits-predictor.default") == {newest: percent or 100, **rest}


def test_a_revision_with_no_percent_but_a_target_keeps_running(serving: Node) -> None:
    change(serving, "v2", 10)
    serving.complete()
    change(serving, "v2", 0)
    assert serving.shares("digits-predictor.default") == {V2: 0, V1: 100}
    assert serving.running() == [V1, V2, TRANSFORMER]


def test_a_failing_canary_leaves_the_stable_one_alone(serving: Node) -> None:
    change(serving, "v2", 10)
    serving.crash(V2, "no such model")
    assert serving.shares("digits-predictor.default") == {V1: 100}
    assert "no such model" in condition(serving, "PredictorConfigurationReady")["message"]
    assert serving.isvc is not None
    info = serving.isvc["status"]["modelStatus"]["lastFailureInfo"]
    assert info["message"] == "no such model"
    pod = next(p for name, p in serving.kind("Pod").items() if name.startswith(V2))
    waiting = pod["status"]["initContainerStatuses"][0]["state"]["waiting"]
    assert waiting["reason"] == "CrashLoopBackOff"


def test_a_canary_that_failed_is_stopped_when_another_takes_its_place(serving: Node) -> None:
    change(serving, "v2", 10)
    serving.crash(V2, "no such model")
    change(serving, "v3", 10)
    serving.complete()
    assert serving.running() == [V1, V3, TRANSFORMER]


def test_a_revision_that_is_never_ready_fails_at_its_deadline(node: Node) -> None:
    isvc = digits()
    isvc["metadata"]["annotations"] = {"serving.knative.dev/progress-deadline": "90s"}
    node.apply(isvc)
    for now, left, ready in (
        ("2026-01-01T00:00:00Z", 90.0, "Unknown"),
        ("2026-01-01T00:01:20Z", 10.0, "Unknown"),
        ("2026-01-01T00:01:30Z", None, "False"),
    ):
        node.now = now
        node.work()
        assert (node.last.look_again, condition(node, "Ready")["status"]) == (left, ready)
    message = condition(node, "PredictorConfigurationReady")["message"]
    assert 'ReplicaSet "digits-predictor-00001-deployment" has timed out progressing.' in message
    assert V1 in node.running()
    node.complete()
    assert condition(node, "Ready")["status"] == "True"
    assert node.last.look_again is None


def test_a_service_for_the_cluster_only_has_no_public_host(node: Node) -> None:
    isvc = digits()
    isvc["metadata"]["labels"] = {"networking.knative.dev/visibility": "cluster-local"}
    node.apply(isvc)
    node.complete()
    domains = {domain for host in node.part.hosts for domain in host.domains}
    assert "digits.default.svc.cluster.local" in domains
    assert "digits-predictor.default" in domains
    assert not [each for each in domains if each.endswith((".localhost", ".example.com"))]


def test_an_image_without_a_program_fails_the_revision_and_names_the_known_ones(
    node: Node,
) -> None:
    isvc = digits()
    isvc["spec"]["transformer"]["containers"][0]["image"] = "nobody/knows:1"
    node.apply(isvc)
    node.complete()
    message = condition(node, "TransformerConfigurationReady")["message"]
    assert 'Unable to fetch image "nobody/knows:1"' in message
    assert "nvcr.io/nvidia/tritonserver, calumma/*" in message
    pod = next(p for name, p in node.kind("Pod").items() if "transformer" in name)
    waiting = pod["status"]["containerStatuses"][0]["state"]["waiting"]
    assert waiting["reason"] == "ErrImagePull"


def test_a_crashed_container_is_not_routed_to_until_it_is_ready_again(serving: Node) -> None:
    container = next(
        n for n in serving.programs if "predictor" in n and n.endswith("kserve-container")
    )
    serving.crash(container, "killed")
    backend = next(b for b in serving.part.backends if b.revision == V1)
    assert backend.endpoints == ()
    assert condition(serving, "Ready")["status"] == "False"


def test_a_deleted_object_loses_its_finalizer_then_its_processes(serving: Node) -> None:
    assert serving.isvc is not None
    serving.isvc["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    serving.work()
    assert serving.isvc["metadata"]["finalizers"] == []
    serving.isvc = None
    serving.kind("Service").clear()
    serving.kind("Revision").clear()
    serving.work()
    assert serving.programs == {}
    assert serving.names("Pod") == []
    assert serving.part.hosts == ()


def test_several_replicas_are_several_pods_and_endpoints(node: Node) -> None:
    node.apply(digits(minReplicas=3))
    node.complete()
    assert len([name for name in node.names("Pod") if name.startswith(V1)]) == 3
    backend = next(b for b in node.part.backends if b.revision == V1)
    assert len(set(backend.endpoints)) == 3


def test_prometheus_targets_name_what_they_are(serving: Node) -> None:
    found = {(t.component, t.revision) for t in serving.last.targets}
    assert found == {("predictor", V1), ("transformer", TRANSFORMER)}


def test_stopping_ends_all_processes(serving: Node) -> None:
    isvc = digits()
    isvc["metadata"]["annotations"] = {"serving.kserve.io/stop": "true"}
    serving.apply(isvc)
    assert serving.programs == {}
    assert serving.part.hosts == ()


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["v1", "v2", "v3"]),
            st.sampled_from([None, 0, 10, 50, 100]),
            st.sampled_from(["ready", "crash", "wait"]),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_whatever_happens_the_plan_settles_and_targets_keep_running(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int | None, str]]
) -> None:
    node = Node(tmp_path_factory.mktemp("node"))
    node.apply(digits())
    node.complete()
    for version, percent, then in steps:
        change(node, version, percent)
        if then == "ready":
            node.complete()
        elif then == "crash":
            newest = max(name for name in node.names("Revision") if "predictor" in name)
            node.crash(newest, "boom")
        routed = set(node.shares("digits-predictor.default"))
        assert routed <= set(node.running())
        assert sum(node.shares("digits-predictor.default").values()) == 100
        assert not node.step()

"""InferenceGraphs: the scenarios of KServe's own end-to-end tests, and what they leave out."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import kserve
import kubernetes
import pytest
import yaml

from support import cluster as support
from support.cluster import Cluster, condition, image, manifest

NAMESPACE = "kserve-ci-e2e-test"
SUCCESS, ERROR = "success-200-isvc", "error-404-isvc"
PROGRAM = support.ROOT / "tests/support/intentional.py"
INSTANCES = {"instances": [[6.8, 2.8, 4.8, 1.4], [6.0, 3.4, 4.5, 1.6]]}
SUCCEEDED = (200, {"predictions": [{"message": "SUCCESS"}]})
FAILED = (404, {"detail": "Intentional 404 code"})
UNMATCHED = (
    404,
    {
        "error": "Failed to process request",
        "cause": "None of the routes matched with the switch condition",
    },
)
IF_ERROR = "[@this].#(decision_picker==ERROR)"
IF_SUCCESS = "[@this].#(decision_picker==SUCCESS)"


def picker(decision: str) -> dict[str, Any]:
    return {"decision_picker": decision, "key1": {"name": "abc"}}


def node(kind: str, *steps: dict[str, Any]) -> dict[str, Any]:
    return {"routerType": kind, "steps": list(steps)}


def over(dependency: str, inner: dict[str, Any]) -> dict[str, Any]:
    """A sequence of another node and the service that succeeds."""
    first = {"name": "rootStep1", "nodeName": "node1", "dependency": dependency}
    rest = {"name": "rootStep2", "serviceName": SUCCESS}
    return {"root": node("Sequence", first, rest), "node1": inner}


STEP = {"name": "node1Step1", "serviceName": ERROR, "condition": IF_ERROR}
HARD = {"dependency": "Hard"}
SCENARIOS: dict[str, tuple[dict[str, Any], list[tuple[Any, tuple[int, Any]]]]] = {
    "scenario1": (
        {
            "root": node(
                "Sequence", {"serviceName": SUCCESS}, {"serviceName": ERROR, "data": "$request"}
            )
        },
        [(INSTANCES, FAILED)],
    ),
    "scenario2": (
        {
            "root": node(
                "Sequence", {"serviceName": ERROR}, {"serviceName": SUCCESS, "data": "$request"}
            )
        },
        [(INSTANCES, SUCCEEDED)],
    ),
    "scenario3": (
        {"root": node("Sequence", {"serviceName": ERROR, **HARD}, {"serviceName": SUCCESS})},
        [(INSTANCES, FAILED)],
    ),
    "scenario4": (
        {
            "root": node(
                "Switch",
                {"name": "rootStep1", "serviceName": ERROR, "condition": IF_ERROR},
                {"name": "rootStep2", "serviceName": SUCCESS, "condition": IF_SUCCESS},
            )
        },
        [
            (picker("ERROR"), FAILED),
            (picker("SUCCESS"), SUCCEEDED),
            (picker("NO_MATCH"), UNMATCHED),
        ],
    ),
    "scenario5": (over("Soft", node("Switch", STEP)), [(picker("ERROR"), SUCCEEDED)]),
    "scenario6": (over("Hard", node("Switch", {**STEP, **HARD})), [(picker("ERROR"), FAILED)]),
    "scenario7": (
        {
            "root": node(
                "Ensemble",
                {"name": "rootStep1", "serviceName": SUCCESS},
                {"name": "rootStep2", "serviceName": ERROR},
            )
        },
        [(picker("SUCCESS"), (200, {"rootStep1": SUCCEEDED[1], "rootStep2": FAILED[1]}))],
    ),
    "scenario8": (
        {
            "root": node(
                "Ensemble",
                {"name": "rootStep1", "serviceName": ERROR, **HARD},
                {"name": "rootStep2", "serviceName": SUCCESS},
                {"name": "rootStep3", "serviceName": SUCCESS},
            )
        },
        [(picker("SUCCESS"), FAILED)],
    ),
    "scenario9": (
        over("Soft", node("Splitter", {**STEP, "weight": 100})),
        [(INSTANCES, SUCCEEDED)],
    ),
    "scenario10": (
        over("Hard", node("Splitter", {**STEP, **HARD, "weight": 100})),
        [(INSTANCES, FAILED)],
    ),
}


def graph(name: str, nodes: dict[str, Any], namespace: str = NAMESPACE) -> dict[str, Any]:
    return {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "InferenceGraph",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"nodes": nodes},
    }


def step_service(name: str) -> dict[str, Any]:
    """An InferenceService of one of upstream's images."""
    container = {
        "name": "kserve-container",
        "image": f"kserve/{name}:latest",
        "args": ["--model_name", name],
        "resources": {"limits": {"cpu": "100m", "memory": "1Gi"}},
    }
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"predictor": {"containers": [container]}},
    }


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, models: Path) -> Iterator[Cluster]:
    """A cluster that knows upstream's images, with both services ready."""
    if support.KUBECTL is None:
        pytest.skip("kubectl is not installed")
    table = tmp_path_factory.mktemp("images") / "images.yaml"
    rows = [
        {
            "image": f"kserve/{name}",
            "command": [sys.executable, str(PROGRAM), outcome],
            "kind": "kserve",
        }
        for name, outcome in ((SUCCESS, "success"), (ERROR, "error"))
    ]
    table.write_text(yaml.safe_dump({"images": rows}))
    words = ("--claim", f"models={models}", "--images", str(table))
    with support.running(tmp_path_factory.mktemp("home"), *words) as running:
        assert running.kubectl("create", "namespace", NAMESPACE).code == 0
        for name in (SUCCESS, ERROR):
            applied = running.kubectl("apply", "-f", "-", document=step_service(name))
            assert applied.code == 0, applied.error
        for name in (SUCCESS, ERROR):
            running.until_ready(name, NAMESPACE)
        yield running


@pytest.fixture(scope="module")
def api(cluster: Cluster) -> kubernetes.client.CustomObjectsApi:
    """KServe's client creates the first graph, the custom objects API the others, as upstream."""
    kubernetes.config.load_kube_config(str(cluster.home.kubeconfig))
    return kubernetes.client.CustomObjectsApi()


@pytest.fixture(scope="module")
def graphs(cluster: Cluster, api: kubernetes.client.CustomObjectsApi) -> Cluster:
    """All ten graphs, created."""
    client = kserve.KServeClient(config_file=str(cluster.home.kubeconfig))
    for name, (nodes, _) in SCENARIOS.items():
        if name == "scenario1":
            steps = [
                kserve.V1alpha1InferenceStep(service_name=SUCCESS),
                kserve.V1alpha1InferenceStep(service_name=ERROR, data="$request"),
            ]
            root = kserve.V1alpha1InferenceRouter(router_type="Sequence", steps=steps)
            client.create_inference_graph(
                kserve.V1alpha1InferenceGraph(
                    api_version="serving.kserve.io/v1alpha1",
                    kind="InferenceGraph",
                    metadata=kubernetes.client.V1ObjectMeta(name=name, namespace=NAMESPACE),
                    spec=kserve.V1alpha1InferenceGraphSpec(nodes={"root": root}),
                )
            )
            client.wait_ig_ready(name, namespace=NAMESPACE, polling_interval=1)
        else:
            create(api, graph(name, nodes))
    return cluster


def create(api: kubernetes.client.CustomObjectsApi, body: dict[str, Any]) -> None:
    namespace = body["metadata"]["namespace"]
    api.create_namespaced_custom_object(
        "serving.kserve.io", "v1alpha1", namespace, "inferencegraphs", body
    )


def read(cluster: Cluster, name: str, namespace: str = NAMESPACE) -> dict[str, Any]:
    answer = cluster.kubectl("get", "ig", name, "-n", namespace, "-o", "json")
    assert answer.code == 0, answer.error
    found: dict[str, Any] = json.loads(answer.output)
    return found


def until_ready(cluster: Cluster, name: str, namespace: str = NAMESPACE) -> dict[str, Any]:
    def ready() -> bool:
        found = read(cluster, name, namespace)
        observed = found.get("status", {}).get("observedGeneration")
        true = condition(found, "Ready")["status"] == "True"
        return true and bool(observed == found["metadata"]["generation"])

    cluster.until(f"graph {name} ready", ready)
    return read(cluster, name, namespace)


def pid(cluster: Cluster, part: str) -> int | None:
    """The process of the program with this text in its name, None when none runs."""
    return next((pid for name, pid in cluster.programs().items() if part in name), None)


def ask(cluster: Cluster, name: str, body: Any, namespace: str = NAMESPACE) -> httpx.Response:
    """Ask a graph by the host that its status names."""
    host = f"{name}.{namespace}.localhost"
    return cluster.post(json.dumps(body).encode(), host, "/")


@pytest.mark.parametrize("name", SCENARIOS)
def test_upstreams_scenario(graphs: Cluster, name: str) -> None:
    found = until_ready(graphs, name)
    port = graphs.settings()["gateway_port"]
    assert found["status"]["url"] == f"http://{name}.{NAMESPACE}.localhost:{port}"
    for body, (status, expected) in SCENARIOS[name][1]:
        answer = ask(graphs, name, body)
        assert (answer.status_code, answer.json()) == (status, expected)
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["x-calumma-router-revision"] == f"{name}-00001"


def test_kubectl_shows_a_graph_as_kserve_does(graphs: Cluster) -> None:
    until_ready(graphs, "scenario2")
    heading, row = graphs.kubectl("get", "ig", "scenario2", "-n", NAMESPACE).output.splitlines()
    assert heading.split() == ["NAME", "URL", "READY", "AGE"]
    assert row.split()[:3] == ["scenario2", read(graphs, "scenario2")["status"]["url"], "True"]
    kinds = [each["type"] for each in read(graphs, "scenario2")["status"]["conditions"]]
    assert kinds == ["ConfigurationsReady", "Ready", "RoutesReady", "Stopped"]
    events = graphs.kubectl("describe", "ig", "scenario2", "-n", NAMESPACE).output
    assert "InferenceGraph [scenario2] is Ready" in events
    explained = graphs.kubectl("explain", "ig.spec.nodes.steps").output
    assert "mapPredictionsToInstances" in explained


def test_a_graph_that_is_refused(graphs: Cluster) -> None:
    split = node("Splitter", {"serviceName": SUCCESS, "weight": 60})
    answer = graphs.kubectl("create", "-f", "-", document=graph("split", {"root": split}))
    assert answer.code == 1
    assert (
        'admission webhook "inferencegraph.kserve-webhook-server.validator" denied the request: '
        "InferenceGraph[split] Node[root] splitter node: the sum of traffic weights for all "
        "routing targets should be 100"
    ) in answer.error
    unknown = graph("unknown", {"root": {"routerType": "Chain"}})
    assert (
        'Unsupported value: "Chain"' in graphs.kubectl("create", "-f", "-", document=unknown).error
    )


def test_a_changed_graph_is_a_new_revision_and_loses_no_request(graphs: Cluster) -> None:
    until_ready(graphs, "scenario3")
    nodes = {"root": node("Sequence", {"serviceName": SUCCESS})}
    statuses = [ask(graphs, "scenario3", INSTANCES).status_code]
    applied = graphs.kubectl("apply", "-f", "-", document=graph("scenario3", nodes))
    assert applied.code == 0, applied.error

    def changed() -> bool:
        statuses.append(ask(graphs, "scenario3", INSTANCES).status_code)
        return statuses[-1] == 200

    graphs.until("the changed graph", changed)
    until_ready(graphs, "scenario3")
    assert ask(graphs, "scenario3", INSTANCES).headers["x-calumma-router-revision"] == (
        "scenario3-00002"
    )
    assert set(statuses) == {404, 200}
    graphs.until(
        "the old router gone", lambda: "scenario3-00001" not in graphs.calumma("status").output
    )


def test_a_router_that_dies_is_started_again(graphs: Cluster) -> None:
    until_ready(graphs, "scenario2")
    before = pid(graphs, "/scenario2-")
    graphs.kill("/scenario2-")
    graphs.until("another process", lambda: pid(graphs, "/scenario2-") not in (None, before))
    graphs.until("an answer", lambda: ask(graphs, "scenario2", INSTANCES).status_code == 200)


def test_a_stopped_graph_has_no_process_and_comes_back(graphs: Cluster) -> None:
    until_ready(graphs, "scenario7")
    stop = ("annotate", "ig", "scenario7", "-n", NAMESPACE, "serving.kserve.io/stop")
    assert graphs.kubectl(*stop[:-1], f"{stop[-1]}=true").code == 0
    graphs.until("stopped", lambda: "/scenario7-" not in graphs.calumma("status").output)
    stopped = read(graphs, "scenario7")
    assert condition(stopped, "Stopped")["status"] == "True"
    assert condition(stopped, "Ready")["reason"] == "Stopped"
    assert "url" not in stopped["status"]
    assert ask(graphs, "scenario7", INSTANCES).status_code == 404
    assert graphs.kubectl(*stop[:-1], f"{stop[-1]}-").code == 0
    until_ready(graphs, "scenario7")
    assert ask(graphs, "scenario7", INSTANCES).status_code == 200


def test_a_deleted_graph_leaves_nothing(graphs: Cluster) -> None:
    until_ready(graphs, "scenario8")
    client = kserve.KServeClient(config_file=str(graphs.home.kubeconfig))
    client.delete_inference_graph("scenario8", NAMESPACE)
    graphs.until("gone", lambda: "/scenario8-" not in graphs.calumma("status").output)
    assert ask(graphs, "scenario8", INSTANCES).status_code == 404
    for kind in ("ksvc", "revision", "pods"):
        left = graphs.kubectl("get", kind, "-n", NAMESPACE, "-o", "name").output
        assert "scenario8" not in left, kind


def test_a_graph_waits_for_its_service_and_routes_to_it(graphs: Cluster) -> None:
    """The digits example as a step, by its name and by three URLs; created after the graph."""
    gateway = graphs.gateway.rpartition(":")[2]
    hosts = {
        "cluster": "digits.default.svc.cluster.local",
        "short": "digits",
        "public": f"digits.default.localhost:{gateway}",
    }
    path = "/v1/models/digits:predict"
    steps = [{"name": name, "serviceUrl": f"http://{host}{path}"} for name, host in hosts.items()]
    steps.append({"name": "named", "serviceName": "digits"})
    created = graphs.kubectl(
        "create", "-f", "-", document=graph("both", {"root": node("Ensemble", *steps)}, "default")
    )
    assert created.code == 0, created.error
    missing = 'inferenceservices.serving.kserve.io "digits" not found'
    graphs.until(
        "waiting",
        lambda: missing in condition(read(graphs, "both", "default"), "Ready").get("message", ""),
    )
    applied = graphs.kubectl("apply", "-f", "-", document=manifest())
    assert applied.code == 0, applied.error
    until_ready(graphs, "both", "default")
    picture, label = image(0)
    direct = graphs.predict(picture)
    routed = graphs.predict(picture, "both.default.localhost")
    assert direct.json()["predictions"][0]["label"] == label
    assert routed.json() == dict.fromkeys([*hosts, "named"], direct.json())
    assert "routing root" in graphs.calumma("logs", "both").output
    status = graphs.calumma("status").output
    assert "INFERENCEGRAPH" in status
    assert "http://both.default.localhost" in status


def test_the_example_asks_the_careful_model_where_the_quick_one_is_unsure(graphs: Cluster) -> None:
    overlay = "inferenceservices/digits/overlays/cascade"
    applied = graphs.kubectl("apply", "-k", overlay)
    assert applied.code == 0, applied.error
    until_ready(graphs, "cascade", "default")

    def asked(host: str, number: int) -> dict[str, Any]:
        answer = graphs.predict(image(number)[0], f"{host}.default.localhost")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()["predictions"][0]
        return found

    seen = set()
    for number in range(200):
        quick = asked("digits", number)
        unsure = quick["probability"] < 0.9
        if unsure in seen:
            continue
        seen.add(unsure)
        careful = asked("digits-careful", number)
        assert careful["probability"] != quick["probability"]
        assert asked("cascade", number) == (careful if unsure else quick)
        if len(seen) == 2:
            break
    assert seen == {True, False}

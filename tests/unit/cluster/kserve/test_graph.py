"""One pass of the InferenceGraph controller."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from calumma.cluster.kserve import configuration, controller, graph, runtimes
from calumma.cluster.objects import Object
from support import simulation

NOW, LATER = "2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z"
SETTINGS = configuration.parse(simulation.bundled("ConfigMap")[0])
HOST = "http://s.default.svc.cluster.local"


def declared(
    *steps: dict[str, Any], annotations: dict[str, str] | None = None, **spec: Any
) -> Object:
    return {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "InferenceGraph",
        "metadata": {
            "name": "g",
            "namespace": "default",
            "generation": 3,
            "uid": "u",
            "labels": {"team": "a", "networking.knative.dev/visibility": "cluster-local"},
            "annotations": annotations or {},
        },
        "spec": {
            "nodes": {"root": {"routerType": "Sequence", "steps": list(steps)}},
            **spec,
        },
    }


def isvc(name: str = "s", address: str | None = HOST, ready: str = "True") -> Object:
    status: Object = {"conditions": [{"type": "Ready", "status": ready}]}
    if address is not None:
        status["address"] = {"url": address}
    return {
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"predictor": {"containers": [{"name": "c"}]}},
        "status": status,
    }


def world(*isvcs: Object, service: Object | None = None, **router: Any) -> graph.World:
    settings = {**SETTINGS, "router": {**SETTINGS["router"], **router}}
    by_name = {each["metadata"]["name"]: each for each in isvcs}
    return graph.World(service, by_name, runtimes.Runtimes([], []), settings)


NAMED = {"serviceName": "s"}


def built(obj: Object, seen: graph.World) -> Object:
    (service,) = graph.decide(obj, seen, NOW).services
    return service


def template(service: Object) -> tuple[Object, Object, Object]:
    """Metadata, spec and container of a Knative Service's template."""
    found = service["spec"]["template"]
    return found["metadata"], found["spec"], found["spec"]["containers"][0]


def ready(service: Object, status: str = "True") -> Object:
    kinds = ("ConfigurationsReady", "Ready", "RoutesReady")
    found = [{"type": kind, "status": status, "lastTransitionTime": NOW} for kind in kinds]
    return {**service, "status": {"conditions": found, "url": "http://g.default.localhost"}}


def condition(status: Object, kind: str = "Ready") -> Object:
    return next(each for each in status["conditions"] if each["type"] == kind)


def test_the_router_gets_the_graph_with_its_services_urls() -> None:
    steps = (NAMED, {"serviceUrl": "http://outside"}, {"nodeName": "more"})
    obj = declared(*steps)
    obj["spec"]["nodes"]["more"] = {"routerType": "Switch", "steps": [{**NAMED, "condition": "a"}]}
    service = built(obj, world(isvc()))
    _, pod, container = template(service)
    flag, text = container["args"]
    assert flag == "--graph-json"
    url = f"{HOST}/v1/models/s:predict"
    assert [each.get("serviceUrl") for each in json.loads(text)["nodes"]["root"]["steps"]] == [
        url, "http://outside", None,
    ]  # fmt: skip
    assert json.loads(text)["nodes"]["more"]["steps"][0]["serviceUrl"] == url
    assert "serviceUrl" not in obj["spec"]["nodes"]["root"]["steps"][0]
    assert container["image"] == "kserve/router:latest"
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert container["env"] == [{"name": "PROPAGATE_HEADERS", "value": ""}]
    assert "timeoutSeconds" not in pod


def test_the_service_carries_what_the_graph_says() -> None:
    annotations = {"note": "x", "kubectl.kubernetes.io/last-applied-configuration": "{}"}
    obj = declared(
        NAMED,
        annotations=annotations,
        timeout=30,
        minReplicas=2,
        maxReplicas=4,
        scaleTarget=5,
        scaleMetric="rps",
        resources={"limits": {"cpu": "2"}},
        nodeSelector={"disk": "ssd"},
    )
    service = built(obj, world(isvc(), headers={"propagate": ["A", "B.*"]}, cpuLimit="1"))
    metadata, pod, container = template(service)
    assert service["metadata"]["name"] == "g"
    assert service["metadata"]["ownerReferences"][0]["kind"] == "InferenceGraph"
    assert service["metadata"]["labels"]["serving.kserve.io/inferencegraph"] == "g"
    assert metadata["labels"] == {
        "team": "a",
        "serving.kserve.io/inferencegraph": "g",
        "serving.kserve.io/kind": "InferenceGraph",
    }
    assert metadata["annotations"] == {
        "note": "x",
        "autoscaling.knative.dev/class": "kpa.autoscaling.knative.dev",
        "autoscaling.knative.dev/min-scale": "2",
        "autoscaling.knative.dev/max-scale": "4",
        "autoscaling.knative.dev/target": "5",
        "autoscaling.knative.dev/metric": "rps",
    }
    assert pod["timeoutSeconds"] == 30
    assert pod["nodeSelector"] == {"disk": "ssd"}
    assert container["resources"] == {"limits": {"cpu": "2"}}
    assert container["env"][0]["value"] == "A,B.*"


def test_resources_are_the_configurations_unless_the_graph_has_some() -> None:
    amounts: dict[str, Any] = {"cpuRequest": "100m", "memoryRequest": "1Mi", "cpuLimit": "1"}
    _, _, container = template(built(declared(NAMED), world(isvc(), **amounts)))
    expected = {"requests": {"cpu": "100m", "memory": "1Mi"}, "limits": {"cpu": "1"}}
    assert container["resources"] == expected


def test_a_label_of_the_other_kind_does_not_change_the_owner() -> None:
    obj = declared(NAMED)
    obj["metadata"]["labels"]["serving.kserve.io/inferenceservice"] = "s"
    service = built(obj, world(isvc()))
    assert "serving.kserve.io/inferenceservice" not in service["metadata"]["labels"]
    assert "serving.kserve.io/inferenceservice" not in template(service)[0]["labels"]


def test_conditions_and_url_are_the_knative_services() -> None:
    service = built(declared(NAMED), world(isvc()))
    first = graph.decide(declared(NAMED), world(isvc()), NOW)
    assert [each["type"] for each in first.status["conditions"]] == ["Stopped"]
    assert "observedGeneration" not in first.status
    obj = {**declared(NAMED), "status": first.status}
    made = graph.decide(obj, world(isvc(), service=ready(service)), LATER)
    kinds = [each["type"] for each in made.status["conditions"]]
    assert kinds == ["ConfigurationsReady", "Ready", "RoutesReady", "Stopped"]
    assert condition(made.status, "Stopped") == {
        "type": "Stopped", "status": "False", "lastTransitionTime": NOW,
    }  # fmt: skip
    assert made.status["url"] == "http://g.default.localhost"
    assert made.status["observedGeneration"] == 3
    ready_now = controller.Event("Normal", "InferenceGraphReady", "InferenceGraph [g] is Ready")
    assert made.events == [ready_now]
    again = graph.decide(
        {**obj, "status": made.status}, world(isvc(), service=ready(service)), LATER
    )
    assert (again.status, again.events) == (made.status, [])
    lost = graph.decide(
        {**obj, "status": made.status}, world(isvc(), service=ready(service, "False")), LATER
    )
    assert "url" not in lost.status
    assert lost.events[0].reason == "InferenceGraphNotReady"


def test_a_changed_graph_is_observed_when_its_service_is_stored_as_wanted() -> None:
    service = ready(built(declared(NAMED), world(isvc())))
    moved = world(isvc(address="http://elsewhere"), service=service)
    made = graph.decide(declared(NAMED), moved, NOW)
    assert "observedGeneration" not in made.status
    assert "http://elsewhere/v1" in template(made.services[0])[2]["args"][1]


@pytest.mark.parametrize(
    ("isvcs", "message"),
    [
        ([isvc(address=None)], "service s is not ready"),
        ([isvc(ready="Unknown")], "service s is not ready"),
        (
            [],
            'Failed to find graph service s: inferenceservices.serving.kserve.io "s" not found',
        ),
    ],
)
def test_a_graph_waits_for_its_services(isvcs: list[Object], message: str) -> None:
    made = graph.decide(declared(NAMED), world(*isvcs), NOW)
    found = condition(made.status)
    assert (found["status"], found["message"]) == ("Unknown", message)
    assert (made.services, made.complete, made.events) == ([], False, [])


def test_a_service_that_the_router_leads_to_may_lose_its_readiness() -> None:
    service = ready(built(declared(NAMED), world(isvc())))
    made = graph.decide(declared(NAMED), world(isvc(ready="False"), service=service), LATER)
    assert condition(made.status)["status"] == "True"
    assert list(made.services) == [built(declared(NAMED), world(isvc()))]
    both = declared(NAMED, {"serviceName": "t"})
    seen = world(isvc(ready="False"), isvc("t", "http://t", ready="False"), service=service)
    assert condition(graph.decide(both, seen, LATER).status)["message"] == "service t is not ready"


def test_a_router_that_serves_goes_on_while_the_graph_cannot_be_built() -> None:
    service = ready(built(declared(NAMED), world(isvc())))
    made = graph.decide(declared(NAMED), world(service=service), LATER)
    assert condition(made.status)["status"] == "Unknown"
    assert condition(made.status, "RoutesReady")["status"] == "True"
    assert not made.complete


@pytest.mark.parametrize(
    ("obj", "seen", "message"),
    [
        (
            declared({"serviceUrl": "u", "condition": "a.@join"}),
            world(),
            "Step 0 of node 'root': The GJSON path 'a.@join' has the modifier @join",
        ),
        (declared({"nodeName": "x"}), world(), "Node 'root' leads to the node 'x'"),
        (
            declared(annotations={"serving.kserve.io/deploymentMode": "Standard"}),
            world(),
            "the deployment mode Standard does not run",
        ),
        (declared(), world(isvc("g")), "the InferenceService g has the host g.default already"),
    ],
)
def test_what_cannot_be_run_is_told_once(obj: Object, seen: graph.World, message: str) -> None:
    made = graph.decide(obj, seen, NOW)
    found = condition(made.status)
    assert (found["status"], found["reason"]) == ("False", "ReconcileFailed")
    assert message in found["message"]
    assert [each.reason for each in made.events] == ["InternalError"]
    again = graph.decide({**copy.deepcopy(obj), "status": made.status}, seen, LATER)
    assert (again.status, again.events) == (made.status, [])


def test_a_stopped_graph_has_no_service() -> None:
    obj = declared(NAMED, annotations={"serving.kserve.io/stop": "true"})
    service = ready(built(declared(NAMED), world(isvc())))
    made = graph.decide(obj, world(isvc(), service=service), NOW)
    assert (list(made.services), made.complete) == ([], True)
    assert [(c["type"], c["status"], c.get("reason")) for c in made.status["conditions"]] == [
        ("Ready", "False", "Stopped"),
        ("Stopped", "True", None),
    ]
    assert "url" not in made.status

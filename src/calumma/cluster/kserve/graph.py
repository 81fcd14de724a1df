"""One pass of KServe's InferenceGraph controller.

:func:`decide` turns a graph into one Knative Service that runs its router, with every
``serviceName`` resolved to the service's URL, and takes the Knative Service's conditions over.
What the graph waits for or cannot do is said in its Ready condition; meanwhile the router that was
there goes on. :mod:`calumma.graph` is the router.
Source: kserve ``controller/v1alpha1/inferencegraph/controller.go`` and ``knative_reconciler.go``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from calumma import errors
from calumma.cluster import conditions, objects
from calumma.cluster.knative import revision, route
from calumma.cluster.kserve import component, configuration, controller, endpoint, runtimes
from calumma.cluster.kserve import vocabulary as words
from calumma.cluster.objects import Object
from calumma.graph import definition

STOPPED = "Stopped"
IMAGE = "kserve/router:latest"
PATTERNS = "PROPAGATE_HEADERS"
_PROBE = {
    "httpGet": {"path": "/readyz", "port": 8080, "scheme": "HTTP"},
    "initialDelaySeconds": 5,
    "timeoutSeconds": 2,
    "periodSeconds": 5,
    "successThreshold": 1,
    "failureThreshold": 3,
}
_SECURITY = {
    "privileged": False,
    "runAsNonRoot": True,
    "readOnlyRootFilesystem": True,
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
}
_POD_FIELDS = ("affinity", "tolerations", "nodeSelector", "nodeName", "serviceAccountName")
_TEMPLATE_ONLY = frozenset({words.SERVICE_LABEL})


@dataclass(frozen=True)
class World:
    """What belongs to one graph, as it is now.

    ``service`` is its Knative Service, None when there is none; ``isvcs`` are the
    InferenceServices of its namespace by name.
    """

    service: Object | None
    isvcs: Mapping[str, Object]
    runtimes: runtimes.Runtimes
    settings: configuration.Configuration


@dataclass(frozen=True)
class Decision:
    """The Knative Service that should exist, the status, and the events of this pass.

    A pass that is not ``complete`` leaves a Service that it does not name as it is.
    """

    services: Sequence[Object]
    complete: bool
    status: Object
    events: list[controller.Event] = field(default_factory=list)


def decide(graph: Object, world: World, now: str) -> Decision:
    """One pass; ``now`` is an RFC 3339 time."""
    stored = objects.dig(graph, "status", default={})
    ready: Object | None = None
    wanted: list[Object] = []
    stopped = words.is_stopped(graph)
    observed = True
    if stopped:
        ready = {"status": "False", "reason": STOPPED}
    else:
        try:
            wanted = [_service(graph, world)]
            present = world.service
            observed = present is not None and present["spec"] == wanted[0]["spec"]
        except errors.ServiceUnavailable as waiting:
            ready = {"status": "Unknown", "reason": "ServiceNotReady", "message": str(waiting)}
        except (errors.ReconcileFailed, errors.GraphError) as failure:
            ready = {"status": "False", "reason": "ReconcileFailed", "message": str(failure)}
    taken = [] if stopped else objects.dig(world.service, "status", "conditions", default=[])
    found = {each["type"]: dict(each) for each in taken}
    if ready is not None:
        found[conditions.READY] = {"type": conditions.READY, **ready}
    found[STOPPED] = {"type": STOPPED, "status": str(stopped)}
    status = {k: v for k, v in stored.items() if k not in ("conditions", "url")}
    status["conditions"] = [
        _dated(found[kind], stored.get("conditions", ()), now) for kind in sorted(found)
    ]
    if conditions.is_true(status["conditions"]):
        status["url"] = objects.dig(world.service, "status", "url")
    if observed:
        status["observedGeneration"] = objects.dig(graph, "metadata", "generation", default=1)
    events = _events(objects.name(graph), stored.get("conditions", ()), status["conditions"])
    return Decision(wanted, ready is None or stopped, status, events)


def _dated(condition: Object, stored: Sequence[Mapping[str, Any]], now: str) -> Object:
    """A condition with the time since when it is as it is."""
    if "lastTransitionTime" in condition:
        return condition
    old = conditions.find(stored, condition["type"]) or {}
    same = {k: v for k, v in old.items() if k != "lastTransitionTime"} == condition
    return {**condition, "lastTransitionTime": old["lastTransitionTime"] if same else now}


def _service(graph: Object, world: World) -> Object:
    """The Knative Service that a graph should have.

    Raises ServiceUnavailable while a service that it names is missing or not ready, GraphError and
    ReconcileFailed where it cannot be run.
    """
    _refuse_unbuilt(graph, world)
    spec = _resolved(graph, world)
    definition.parse(spec)
    router = world.settings.get("router") or {}
    labels = {k: v for k, v in objects.labels_of(graph).items() if k not in _TEMPLATE_ONLY}
    labels |= {words.GRAPH_LABEL: objects.name(graph), words.KIND_LABEL: "InferenceGraph"}
    annotations = objects.annotations_of(graph)
    for name in words.NOT_PROPAGATED:
        annotations.pop(name, None)
    component.set_scaling(annotations, spec)
    pod_spec = {key: spec[key] for key in _POD_FIELDS if spec.get(key)}
    pod_spec["automountServiceAccountToken"] = False
    pod_spec["containers"] = [_container(spec, router)]
    if router.get("imagePullSecrets"):
        pod_spec["imagePullSecrets"] = [{"name": name} for name in router["imagePullSecrets"]]
    if spec.get("timeout") is not None:
        pod_spec["timeoutSeconds"] = spec["timeout"]
    return {
        "apiVersion": revision.API_VERSION,
        "kind": "Service",
        "metadata": {
            "name": objects.name(graph),
            "namespace": objects.namespace(graph),
            "labels": labels,
            "annotations": {},
            "ownerReferences": [objects.owner(graph)],
        },
        "spec": {
            "template": {
                "metadata": {
                    "labels": {k: v for k, v in labels.items() if k != route.VISIBILITY_LABEL},
                    "annotations": annotations,
                },
                "spec": pod_spec,
            },
            "traffic": [{"latestRevision": True, "percent": 100}],
        },
    }


def _refuse_unbuilt(graph: Object, world: World) -> None:
    name = objects.name(graph)
    mode = configuration.deployment_mode(graph, world.settings)
    if mode != "Knative":
        raise errors.ReconcileFailed(
            f"InferenceGraph {name}: the deployment mode {mode} does not run on the one-machine "
            f"cluster; use Knative (remove the annotation {words.DEPLOYMENT_MODE})."
        )
    if world.service is not None:
        return
    for isvc in world.isvcs.values():
        hosts = {objects.name(isvc), *(words.service_name(isvc, each) for each in words.COMPONENTS)}
        if name in hosts:
            raise errors.ReconcileFailed(
                f"InferenceGraph {name}: the InferenceService {objects.name(isvc)} has the host "
                f"{name}.{objects.namespace(graph)} already; give the graph another name."
            )


def _resolved(graph: Object, world: World) -> Object:
    """The graph's spec with the URL of every service that a step names."""
    routed = _routed(world.service)
    nodes = {}
    for name, node in graph["spec"]["nodes"].items():
        steps = [{**step, **_target(step, world, routed)} for step in node.get("steps") or []]
        nodes[name] = {**node, "steps": steps}
    return {**graph["spec"], "nodes": nodes}


def _routed(service: Mapping[str, Any] | None) -> set[str]:
    """The URLs that the router of a Knative Service has."""
    if service is None:
        return set()
    (container,) = service["spec"]["template"]["spec"]["containers"]
    nodes = json.loads(container["args"][1])["nodes"].values()
    return {step.get("serviceUrl", "") for node in nodes for step in node["steps"]}


def _target(step: Mapping[str, Any], world: World, routed: set[str]) -> Object:
    """The URL of a step that names a service.

    KServe is content with an address, which a service has as soon as its transformer is ready. Here
    it has to be Ready as well, or the graph would be Ready before it; but one that the router leads
    to already may lose its readiness, as it does while a bad canary fails beside what serves.
    """
    service = step.get("serviceName")
    if not service or step.get("serviceUrl"):
        return {}
    isvc = world.isvcs.get(service)
    if isvc is None:
        raise errors.ServiceUnavailable(
            f"Failed to find graph service {service}: inferenceservices.serving.kserve.io "
            f'"{service}" not found'
        )
    try:
        url = endpoint.url(isvc, world.runtimes)
    except errors.ReconcileFailed as failure:
        raise errors.ReconcileFailed(f"service {service} is not ready: {failure}") from failure
    ready = conditions.is_true(objects.dig(isvc, "status", "conditions", default=[]))
    if not ready and url not in routed:
        raise errors.ServiceUnavailable(f"service {service} is not ready")
    return {"serviceUrl": url}


def _container(spec: Mapping[str, Any], router: Mapping[str, Any]) -> Object:
    container: Object = {
        "name": "user-container",
        "image": router.get("image") or IMAGE,
        "args": ["--graph-json", json.dumps(spec, separators=(",", ":"))],
        "resources": spec.get("resources") or _resources(router),
        "securityContext": _SECURITY,
        "readinessProbe": _PROBE,
    }
    if router.get("imagePullPolicy"):
        container["imagePullPolicy"] = router["imagePullPolicy"]
    patterns = objects.dig(router, "headers", "propagate")
    if patterns is not None:
        container["env"] = [{"name": PATTERNS, "value": ",".join(patterns)}]
    return container


def _resources(router: Mapping[str, Any]) -> Object:
    found: Object = {}
    for part in ("limit", "request"):
        amounts = {name: router.get(f"{name}{part.capitalize()}") for name in ("cpu", "memory")}
        given = {name: amount for name, amount in amounts.items() if amount}
        if given:
            found[f"{part}s"] = given
    return found


def _events(
    name: str, before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]
) -> list[controller.Event]:
    """The events that KServe records when readiness is won or lost, and one for each failure."""
    found = []
    was, now = conditions.is_true(before), conditions.is_true(after)
    if now and not was:
        text = f"InferenceGraph [{name}] is Ready"
        found.append(controller.Event("Normal", "InferenceGraphReady", text))
    if was and not now:
        text = f"InferenceGraph [{name}] is no longer Ready"
        found.append(controller.Event("Warning", "InferenceGraphNotReady", text))
    ready = conditions.find(after, conditions.READY) or {}
    told = conditions.find(before, conditions.READY) or {}
    if ready.get("reason") == "ReconcileFailed" and ready.get("message") != told.get("message"):
        found.append(controller.Event("Warning", "InternalError", ready["message"]))
    return found

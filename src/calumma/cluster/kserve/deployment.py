"""A component's Deployment and Service in Standard mode.

Source: kserve ``reconcilers/deployment/deployment_reconciler.go`` and
``reconcilers/service/service_reconciler.go``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from calumma.cluster import objects
from calumma.cluster.apps import deployment as deployments
from calumma.cluster.apps import replicaset, strategy
from calumma.cluster.kserve import component, configuration, injection, predictor, vocabulary
from calumma.cluster.objects import Object
from calumma.cluster.programs import container

_HTTP_PORT = 80
_CONTAINER_PORT = 8080
_H2C = "kubernetes.io/h2c"
_PROBED = (vocabulary.MAIN_CONTAINER, vocabulary.TRANSFORMER_CONTAINER)
_POD_DEFAULTS: Object = {
    "dnsPolicy": "ClusterFirst",
    "restartPolicy": "Always",
    "schedulerName": "default-scheduler",
    "securityContext": {},
    "terminationGracePeriodSeconds": 30,
}
_CONTAINER_DEFAULTS: Object = {
    "imagePullPolicy": "IfNotPresent",
    "terminationMessagePath": "/dev/termination-log",
    "terminationMessagePolicy": "File",
}


def deployment(
    isvc: Object,
    kind: vocabulary.Component,
    built: predictor.Template,
    replicas: int,
    settings: configuration.Configuration,
) -> Object:
    """The Deployment of one component with this many pods."""
    name = vocabulary.service_name(isvc, kind)
    app = {"app": f"isvc.{name}"}
    labels = {**component.own_labels(isvc, kind, built), **app}
    annotations = component.own_annotations(isvc, kind, built)
    return {
        "apiVersion": replicaset.API_VERSION,
        "kind": "Deployment",
        "metadata": _metadata(isvc, name, labels, annotations),
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": app},
            "template": {
                "metadata": {"labels": labels, "annotations": annotations},
                "spec": _pod_spec(built.pod_spec),
            },
            "strategy": _strategy(isvc["spec"][kind], settings),
            "revisionHistoryLimit": deployments.HISTORY,
            "progressDeadlineSeconds": deployments.DEADLINE,
        },
    }


def service(isvc: Object, kind: vocabulary.Component, built: predictor.Template) -> Object:
    """The Service of one component: port 80 for its first container port, others under their own
    number.

    It has no address of its own here; the gateway answers to its name.
    """
    name = vocabulary.service_name(isvc, kind)
    app = {"app": f"isvc.{name}"}
    labels = {**component.own_labels(isvc, kind, built), **app}
    ports = _ports(name, built.pod_spec["containers"])
    if injection.as_annotations(isvc["spec"][kind]):
        ports[0]["targetPort"] = injection.AGENT_PORT
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(isvc, name, labels, component.own_annotations(isvc, kind, built)),
        "spec": {
            "type": "ClusterIP",
            "clusterIP": "None",
            "selector": app,
            "ports": ports,
        },
    }


def _metadata(
    isvc: Object, name: str, labels: dict[str, str], annotations: dict[str, str]
) -> Object:
    return {
        "name": name,
        "namespace": objects.namespace(isvc),
        "labels": labels,
        "annotations": annotations,
        "ownerReferences": [objects.owner(isvc)],
    }


def _pod_spec(built: Mapping[str, Any]) -> Object:
    """The pod spec with the defaults that KServe writes out, so that an update compares equal."""
    containers = [_container(each) for each in built["containers"]]
    return {**_POD_DEFAULTS, **built, "containers": containers}


def _container(given: Mapping[str, Any]) -> Object:
    probe: Object = {}
    if given.get("name") in _PROBED and given.get("readinessProbe") is None:
        ports = given.get("ports") or [{"containerPort": _CONTAINER_PORT}]
        probe = {
            "readinessProbe": {
                "tcpSocket": {"port": ports[0]["containerPort"]},
                "timeoutSeconds": 1,
                "periodSeconds": 10,
                "successThreshold": 1,
                "failureThreshold": 3,
            }
        }
    return {**_CONTAINER_DEFAULTS, **probe, **given}


def _strategy(spec: Mapping[str, Any], settings: configuration.Configuration) -> Object:
    """How pods are replaced: as the component says, else as KServe's settings do, else Kubernetes'
    default."""
    asked = objects.dig(spec, "deploymentStrategy", default={})
    if asked.get("type") == "Recreate":
        return {"type": "Recreate"}
    rolling = asked.get("rollingUpdate") or {}
    if not asked and configuration.default_mode(settings) == "Standard":
        path = ("deploy", "deploymentRolloutStrategy", "defaultRollout")
        configured = objects.dig(settings, *path, default={})
        rolling = {
            key: configured[key] for key in ("maxSurge", "maxUnavailable") if configured.get(key)
        }
    bounds = {"maxSurge": strategy.QUARTER, "maxUnavailable": strategy.QUARTER, **rolling}
    return {"type": "RollingUpdate", "rollingUpdate": bounds}


def _ports(name: str, containers: Sequence[Mapping[str, Any]]) -> list[Object]:
    """The Service's ports, from a collocated transformer's container or else the first one."""
    collocated = (c for c in containers if c.get("name") == vocabulary.TRANSFORMER_CONTAINER)
    given = next(collocated, containers[0]).get("ports") or []
    if not given:
        plain = {"port": _HTTP_PORT, "targetPort": _CONTAINER_PORT, "protocol": "TCP"}
        return [{"name": name, **plain}]
    found = []
    for index, port in enumerate(given):
        number = port["containerPort"]
        shown: Object = {
            "port": _HTTP_PORT if index == 0 else number,
            "targetPort": number,
            "protocol": port.get("protocol") or "TCP",
        }
        if port.get("name"):
            shown["name"] = port["name"]
            if container.is_grpc(port):
                shown["appProtocol"] = _H2C
        found.append(shown)
    return found

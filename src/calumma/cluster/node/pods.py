"""Pods: how many a revision has, what runs in each, and what they report.

A pod's name follows from its revision and its number, its programs' names from the pod's, so the
same plan made twice names the same things. Pure: folders, ports and what was observed come in.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from calumma import errors
from calumma.cluster import layout, objects
from calumma.cluster.apps import replicaset
from calumma.cluster.knative import autoscaling
from calumma.cluster.knative import revision as knative
from calumma.cluster.kserve import configuration, injection, vocabulary
from calumma.cluster.node import owners
from calumma.cluster.node import settings as settings_room
from calumma.cluster.node.record import Observed, Wanted
from calumma.cluster.objects import Object
from calumma.cluster.programs import agent, container, images

NODE = "calumma"
ADDRESS = "127.0.0.1"
TRITON_GRACE = 30.0
MOST = 100
"""Pods of one revision; one machine runs no more processes than that."""


@dataclass(frozen=True)
class Machine:
    """What a pod's programs need to know of this machine."""

    home: layout.Home
    settings: settings_room.Settings
    address_of: Callable[[str], str | None]
    storage_environment: Mapping[str, str]


@dataclass(frozen=True)
class Pod:
    """One pod of a revision or a ReplicaSet, as it is planned with KServe's settings."""

    revision: Object
    name: str
    settings: configuration.Configuration = field(default_factory=dict)

    @property
    def namespace(self) -> str:
        """The revision's namespace."""
        return objects.namespace(self.revision)

    @property
    def backend(self) -> str:
        """What the gateway knows it by: its revision, or the Deployment of its ReplicaSet."""
        if self.revision["kind"] == knative.KIND:
            return objects.name(self.revision)
        return str(self.revision["metadata"]["ownerReferences"][0]["name"])

    @property
    def containers(self) -> Sequence[Object]:
        """The containers of its template, and KServe's agent where it has one."""
        return injection.with_agent(self.name, self.revision, self.settings)

    @property
    def entrance(self) -> str:
        """The name of the container that takes requests: the agent where there is one."""
        return str((self.agent or self.component)["name"])

    @property
    def agent(self) -> Object | None:
        """KServe's agent in front of the component, where there is one."""
        last = self.containers[-1]
        return last if last["name"] == injection.AGENT else None

    @property
    def component(self) -> Object:
        """The container that answers requests; behind a Service, a collocated transformer."""
        if self.revision["kind"] != knative.KIND:
            for each in self.containers:
                if each["name"] == vocabulary.TRANSFORMER_CONTAINER:
                    return each
        return injection.component_of(self.containers)

    @property
    def http2(self) -> bool:
        """Whether that container speaks h2c, as the name of its first port says."""
        ports = self.component.get("ports") or []
        return bool(ports) and container.is_grpc(ports[0])

    @property
    def grpc_too(self) -> bool:
        """Whether that container takes requests at a gRPC port beside its first one."""
        ports = self.component.get("ports") or []
        return self.agent is None and not self.http2 and any(map(container.is_grpc, ports))

    @property
    def storage_uri(self) -> str | None:
        """What its storage initializer fetches, if anything."""
        return objects.annotations_of(self.revision).get(vocabulary.STORAGE_URI)

    def program_name(self, container_name: str) -> str:
        """The supervisor's name for one of its containers."""
        return f"pods/{self.namespace}/{self.name}/{container_name}"


def of(revision: Object, replicas: int, settings: configuration.Configuration) -> list[Pod]:
    """The pods of a revision that should have this many, with KServe's settings.

    One that asks for too many has one pod, which fails.
    """
    count = min(replicas, MOST) if _asked(revision) <= MOST else 1
    return numbered(revision, range(count), settings)


def _asked(revision: Mapping[str, Any]) -> int:
    """How many pods a revision asks for, whatever its load."""
    return max(initially(revision), autoscaling.least(revision))


def numbered(
    revision: Object, numbers: Iterable[int], settings: configuration.Configuration
) -> list[Pod]:
    """The pods of a revision with these numbers, with KServe's settings."""
    return [Pod(revision, name(revision, number), settings) for number in numbers]


def name(revision: Mapping[str, Any], index: int) -> str:
    """A pod's name, its last part from the revision's identity.

    ``<replica set>-<pod>`` or, for Knative, ``<revision>-deployment-<template>-<pod>``.
    """
    if revision["kind"] != knative.KIND:
        identity = f"{objects.dig(revision, 'metadata', 'uid', default='')}/{index}"
        return f"{objects.name(revision)}-{replicaset.digest(identity, 5)}"
    identity = f"{objects.dig(revision, 'metadata', 'uid', default='')}/{index}"
    digest = hashlib.sha256(identity.encode()).digest()
    letters = base64.b32encode(digest).decode().lower()
    parent = objects.child_name(objects.name(revision), "-deployment")
    return f"{parent}-{letters[:10]}-{letters[10:15]}"


def replicas(revision: Mapping[str, Any], decided: int | None) -> int:
    """How many pods an active revision has: what the autoscaler ``decided`` last, else the start.

    A decision that an earlier agent wrote into the status counts until there is a new one.
    """
    if decided is None and knative.is_ready(revision):
        decided = objects.dig(revision, "status", "desiredReplicas")
    return initially(revision) if decided is None else max(decided, autoscaling.least(revision))


def initially(revision: Mapping[str, Any]) -> int:
    """How many pods a revision begins with, all of which it needs to become ready."""
    return autoscaling.initial(revision)


def programs(
    pod: Pod,
    machine: Machine,
    observed: Mapping[str, Observed],
    free_port: Callable[[], int],
) -> list[Wanted]:
    """The programs that should run for a pod now: first its initializer, then its containers.

    A program that is there already is asked for as it is, so that its ports stay. Raises
    ConfigurationError (the message for the person) when a container cannot run here.
    """
    if (count := _asked(pod.revision)) > MOST:
        raise errors.ConfigurationError(
            f"The revision asks for {count} pods; one machine runs at most {MOST} of a revision. "
            "Lower minReplicas."
        )
    missing = {
        each["name"]: _match(each, machine.settings.images)
        for each in pod.containers
        if pod.program_name(each["name"]) not in observed
    }
    wanted = []
    if pod.storage_uri is not None:
        initializer = pod.program_name(vocabulary.STORAGE_INITIALIZER)
        present = observed.get(initializer)
        wanted.append(present.wanted if present else _initializer(pod, machine))
        if present is None or present.state != "completed":
            return wanted
    for each in pod.containers:
        present = observed.get(pod.program_name(each["name"]))
        if present is not None:
            wanted.append(present.wanted)
        else:
            ports = container.Ports(free_port(), free_port(), free_port())
            match = missing[each["name"]]
            wanted.append(_container(pod, each, match, machine, ports, wanted))
    return wanted


def manifest(pod: Pod) -> Object:
    """The Pod object, without its status."""
    labels = objects.labels_of(pod.revision)
    if pod.revision["kind"] == knative.KIND:
        revision = objects.name(pod.revision)
        labels |= {knative.REVISION_LABEL: revision, "app": revision}
    spec: Object = {
        "nodeName": NODE,
        "restartPolicy": "Always",
        "containers": list(pod.containers),
    }
    if pod.storage_uri is not None:
        spec["initContainers"] = [
            {
                "name": vocabulary.STORAGE_INITIALIZER,
                "image": "kserve/storage-initializer:latest",
                "args": [pod.storage_uri, vocabulary.MODEL_MOUNT],
            }
        ]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": pod.name,
            "namespace": pod.namespace,
            "labels": labels,
            "annotations": objects.annotations_of(pod.revision),
            "ownerReferences": [objects.owner(pod.revision)],
        },
        "spec": spec,
    }


def machine_wide_name(home: layout.Home, namespace: str, pod: str) -> str:
    """A pod's name that no pod of another home of this machine has."""
    return f"{home.tag}/{namespace}/{pod}"


def _match(each: Mapping[str, Any], rows: Sequence[images.Row]) -> images.Match:
    image = each.get("image", "")
    try:
        return images.find(image, rows)
    except errors.ConfigurationError as error:
        problem = knative.image_missing(image, str(error))
        raise errors.ConfigurationError(problem.message) from error


def _initializer(pod: Pod, machine: Machine) -> Wanted:
    home = machine.home
    claims = [f"{claim}={folder}" for claim, folder in machine.settings.claims.items()]
    argv = [
        sys.executable,
        "-m",
        "calumma.cluster.storage",
        str(pod.storage_uri),
        str(_models(pod, home)),
        "--claims",
        str(home.claims),
        *(word for claim in claims for word in ("--claim", claim)),
    ]
    name = vocabulary.STORAGE_INITIALIZER
    return Wanted(
        name=pod.program_name(name),
        argv=tuple(argv),
        environment={**container.inherited(), **machine.storage_environment},
        directory=str(home.path),
        log=str(home.pod_log(pod.namespace, pod.name, name)),
        task=True,
        runs=True,
        notes=_notes(pod, name),
    )


def _container(
    pod: Pod,
    each: Mapping[str, Any],
    match: images.Match,
    machine: Machine,
    own: container.Ports,
    others: Sequence[Wanted],
) -> Wanted:
    """The program of one container; ``others`` are those of the containers before it."""
    service = objects.labels_of(pod.revision).get(knative.SERVICE_LABEL, "")
    place = container.Place(
        pod=machine_wide_name(machine.home, pod.namespace, pod.name),
        namespace=pod.namespace,
        gateway=machine.settings.gateway,
        models=_models(pod, machine.home),
        backends=machine.home.backends,
        ports=own,
        address_of=machine.address_of,
    )
    cluster = {}
    if pod.revision["kind"] == knative.KIND:
        cluster = {
            "K_SERVICE": service,
            "K_CONFIGURATION": service,
            "K_REVISION": objects.name(pod.revision),
        }
    if match.kind == "agent":
        component = _ports_of(pod, pod.component["name"], others)
        gateway = machine.settings.gateway
        program = agent.program(each, match, own, component, gateway, grpc=pod.http2)
    else:
        program = container.program(each, match, place, cluster)
    triton = match.kind == "triton"
    endpoint = _endpoint(pod, each, match, own)
    return Wanted(
        name=pod.program_name(each["name"]),
        argv=program.argv,
        environment=dict(program.environment),
        directory=str(program.directory),
        log=str(machine.home.pod_log(pod.namespace, pod.name, each["name"])),
        runs=True,
        grace=TRITON_GRACE if triton else 10.0,
        notes={
            **_notes(pod, each["name"]),
            "kind": match.kind,
            "ports": vars(own),
            "endpoint": endpoint,
            "http2": pod.http2,
            "grpc": _second(pod, each, match, own),
            "probe": _probe(each, match, own, endpoint),
            "metrics": _metrics_port(match, own),
        },
    )


def _ports_of(pod: Pod, container_name: str, programs: Sequence[Wanted]) -> container.Ports:
    for wanted in programs:
        if wanted.name == pod.program_name(container_name):
            found = container.Ports(**wanted.notes["ports"])
            plain = wanted.notes["kind"] == "plain"
            return dataclasses.replace(found, grpc=found.http) if plain else found
    raise errors.ConfigurationError(
        f"pod {pod.name}: KServe's agent has no container before it that it could stand in front "
        "of; KServe adds it where a component has a logger or a batcher"
    )


def _notes(pod: Pod, container_name: str) -> dict[str, Any]:
    """By which a program is found again: whose it is."""
    return {
        **owners.notes(pod.revision),
        "revision": pod.backend,
        "pod": pod.name,
        "container": container_name,
    }


def _probe(
    each: Mapping[str, Any], match: images.Match, own: container.Ports, endpoint: int | None
) -> dict[str, Any]:
    """How readiness is found out: the container's own HTTP probe, Triton's, or a connection.

    A connection is to the port that takes requests, where there is one, as Knative's probe is.
    """
    declared = objects.dig(each, "readinessProbe", "httpGet", default={})
    if declared.get("path"):
        headers = {h["name"]: h["value"] for h in declared.get("httpHeaders") or []}
        return {"port": own.http, "path": declared["path"], "headers": headers}
    if match.kind == "triton":
        controlled = any("--model-control-mode" in word for word in each.get("args") or [])
        return {"port": own.http, "path": "/v2/health/ready", "crew": not controlled}
    return {"port": endpoint or own.http, "path": None}


def _endpoint(
    pod: Pod, each: Mapping[str, Any], match: images.Match, own: container.Ports
) -> int | None:
    """The port that takes requests, when this is the container that does.

    A plain program has one port, whatever it speaks there; the others have one for gRPC.
    """
    if each["name"] != pod.entrance:
        return None
    return own.grpc if pod.http2 and match.kind != "plain" else own.http


def _second(
    pod: Pod, each: Mapping[str, Any], match: images.Match, own: container.Ports
) -> int | None:
    """The gRPC port beside the one that takes requests, where there are both."""
    taken = pod.grpc_too and each["name"] == pod.entrance and match.kind != "plain"
    return own.grpc if taken else None


def _metrics_port(match: images.Match, own: container.Ports) -> int | None:
    """Where Prometheus finds metrics: Triton has a port for them, KServe's servers their own."""
    return {"triton": own.metrics, "kserve": own.http}.get(match.kind)


def _models(pod: Pod, home: layout.Home) -> Path:
    return home.models / pod.namespace / pod.name

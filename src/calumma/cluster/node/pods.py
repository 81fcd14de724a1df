"""Pods: how many a revision has, which they are, and what their objects say.

A pod's name follows from its revision and its number, its programs' names from the pod's, so the
same plan made twice names the same things. Pure. What runs in a pod is
:mod:`~calumma.cluster.node.containers`, what it reports :mod:`~calumma.cluster.node.pod_status`.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from calumma.cluster import objects
from calumma.cluster.apps import replicaset
from calumma.cluster.knative import autoscaling
from calumma.cluster.knative import revision as knative
from calumma.cluster.kserve import configuration, injection, vocabulary
from calumma.cluster.objects import Object
from calumma.cluster.programs import container

NODE = "calumma"
ADDRESS = "127.0.0.1"
MOST = 100
"""Pods of one revision; one machine runs no more processes than that."""


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
    count = min(replicas, MOST) if asked(revision) <= MOST else 1
    return numbered(revision, range(count), settings)


def asked(revision: Mapping[str, Any]) -> int:
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

"""ReplicaSets: one template with a number of pods, named after the template.

The name ends in a hash of the template, so the same template is the same ReplicaSet: an update that
is taken back finds its pods again, and so does a canary that is promoted.
Source: Kubernetes' ``pkg/controller/deployment/sync.go`` and ``pkg/controller/replicaset``.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from calumma.cluster import objects
from calumma.cluster.objects import Object

API_VERSION = "apps/v1"
HASH_LABEL = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
"""The annotation that counts a Deployment's updates, on itself and on its ReplicaSets."""

LETTERS = "bcdfghjklmnpqrstvwxz2456789"
"""The letters of generated names: Kubernetes leaves out what could spell a word."""


def make(deployment: Mapping[str, Any], replicas: int, number: int) -> Object:
    """The ReplicaSet of a Deployment's present template, its update ``number``."""
    template = copy.deepcopy(deployment["spec"]["template"])
    tag = digest(json.dumps(template, sort_keys=True), 10)
    labels = {**objects.labels_of(template), HASH_LABEL: tag}
    template["metadata"] = {**template["metadata"], "labels": labels}
    selector = objects.dig(deployment, "spec", "selector", "matchLabels", default={})
    return {
        "apiVersion": API_VERSION,
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"{objects.name(deployment)}-{tag}",
            "namespace": objects.namespace(deployment),
            "labels": labels,
            "annotations": {REVISION: str(number)},
            "ownerReferences": [objects.owner(deployment)],
        },
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {**selector, HASH_LABEL: tag}},
            "template": template,
        },
    }


def has_template(replica_set: Mapping[str, Any], template: Mapping[str, Any]) -> bool:
    """Whether the ReplicaSet was made from exactly this template of a Deployment."""
    made = replica_set["spec"]["template"]
    labels = {k: v for k, v in objects.labels_of(made).items() if k != HASH_LABEL}
    plain = {**made, "metadata": {**made["metadata"], "labels": labels}}
    return bool(plain == template)


def number(replica_set: Mapping[str, Any]) -> int:
    """Which update of its Deployment the ReplicaSet is."""
    return int(objects.annotations_of(replica_set).get(REVISION, "0"))


def wanted(replica_set: Mapping[str, Any]) -> int:
    """How many pods it should have."""
    return int(objects.dig(replica_set, "spec", "replicas", default=0))


def revision(source: Mapping[str, Any]) -> Object:
    """A ReplicaSet or Deployment as what pods are made from: its template under its identity."""
    template = source["spec"]["template"]
    own = ("name", "namespace", "uid", "ownerReferences")
    return {
        "apiVersion": API_VERSION,
        "kind": source["kind"],
        "metadata": {
            **{key: source["metadata"][key] for key in own if key in source["metadata"]},
            "labels": objects.labels_of(template),
            "annotations": objects.annotations_of(template),
        },
        "spec": template["spec"],
    }


def members(count: int, present: Mapping[int, bool]) -> list[int]:
    """The numbers of the pods that should be, given those that are and whether each is ready.

    Ready pods stay before others and low numbers before high ones; new pods get the lowest numbers
    that are free.
    """
    kept = sorted(present, key=lambda each: (not present[each], each))[:count]
    free = (each for each in range(count + len(present)) if each not in present)
    return sorted([*kept, *(next(free) for _ in range(count - len(kept)))])


def status(replica_set: Mapping[str, Any], present: int, ready: int) -> Object:
    """The ReplicaSet's new status; pods that are ending are not ``present``."""
    counts = {
        "replicas": present,
        "fullyLabeledReplicas": present,
        "readyReplicas": ready,
        "availableReplicas": ready,
    }
    shown = {key: count for key, count in counts.items() if count or key == "replicas"}
    generation = objects.dig(replica_set, "metadata", "generation", default=1)
    return {**shown, "observedGeneration": generation}


def digest(text: str, length: int) -> str:
    """A text as some letters that are safe in a name."""
    value = int.from_bytes(hashlib.sha256(text.encode()).digest())
    letters = []
    for _ in range(length):
        value, rest = divmod(value, len(LETTERS))
        letters.append(LETTERS[rest])
    return "".join(letters)

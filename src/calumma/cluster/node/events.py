"""Recording events about objects, as ``kubectl describe`` and ``kubectl events`` show them.

The same event again raises its count instead of adding another, as Kubernetes' recorder does. One
that belongs to a generation of its object is counted once for that generation.
"""

from __future__ import annotations

import hashlib

from calumma import errors
from calumma.cluster import objects
from calumma.cluster.kserve import controller
from calumma.cluster.node import client
from calumma.cluster.objects import Object

COMPONENTS = {
    "InferenceGraph": "InferenceGraphController",
    "InferenceService": "v1beta1Controllers",
}
"""KServe's names for the recorders of its controllers, by the kind that they work on."""

GENERATION = "calumma/generation"
"""The annotation of an event with the last generation of its object that it was told for."""


async def record(api: client.Client, about: Object, event: controller.Event, now: str) -> None:
    """Store an event about an object; ``now`` is an RFC 3339 time."""
    new = _event(about, event, now)
    try:
        await api.create(client.EVENT, new)
    except errors.ApiError as error:
        if error.reason != "AlreadyExists":
            raise
        namespace, name = objects.namespace(new), objects.name(new)
        present = await api.get(client.EVENT, namespace, name)
        annotations = objects.annotations_of(new)
        if annotations and objects.annotations_of(present) == annotations:
            return
        count = int(present.get("count", 1)) + 1
        again = {"metadata": {"annotations": annotations}, "count": count, "lastTimestamp": now}
        await api.patch(client.EVENT, new, again)


def _event(about: Object, event: controller.Event, now: str) -> Object:
    words = (event.type, event.reason, event.message)
    identity = "/".join((objects.dig(about, "metadata", "uid", default=""), *words))
    digest = hashlib.sha256(identity.encode()).hexdigest()[:16]
    namespace = objects.namespace(about)
    metadata: Object = {"name": f"{objects.name(about)}.{digest}", "namespace": namespace}
    if event.generation is not None:
        metadata["annotations"] = {GENERATION: str(event.generation)}
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": metadata,
        "involvedObject": {
            "apiVersion": about["apiVersion"],
            "kind": about["kind"],
            "namespace": namespace,
            "name": objects.name(about),
            "uid": objects.dig(about, "metadata", "uid", default=""),
            "resourceVersion": objects.dig(about, "metadata", "resourceVersion", default=""),
        },
        "type": event.type,
        "reason": event.reason,
        "message": event.message,
        "count": 1,
        "firstTimestamp": now,
        "lastTimestamp": now,
        "source": {"component": COMPONENTS[about["kind"]]},
        "reportingComponent": COMPONENTS[about["kind"]],
        "reportingInstance": "",
    }

"""Recording events about objects, as ``kubectl describe`` and ``kubectl events`` show them.

The same event again raises its count instead of adding another, as Kubernetes' recorder does.
"""

from __future__ import annotations

import hashlib

from calumma import errors
from calumma.cluster import objects
from calumma.cluster.kserve import controller
from calumma.cluster.node import client
from calumma.cluster.objects import Object

COMPONENT = "v1beta1Controllers"


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
        count = int(present.get("count", 1)) + 1
        await api.patch(client.EVENT, new, {"count": count, "lastTimestamp": now})


def _event(about: Object, event: controller.Event, now: str) -> Object:
    identity = "/".join((objects.dig(about, "metadata", "uid", default=""), *event))
    digest = hashlib.sha256(identity.encode()).hexdigest()[:16]
    namespace = objects.namespace(about)
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{objects.name(about)}.{digest}", "namespace": namespace},
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
        "source": {"component": COMPONENT},
        "reportingComponent": COMPONENT,
        "reportingInstance": "",
    }

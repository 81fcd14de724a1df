"""Events about objects, as ``kubectl describe`` and ``kubectl events`` show them. Pure.

The same event again is the same object with a higher count, as Kubernetes' recorder does it: its
name is made of what it says.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from calumma.cluster import objects
from calumma.cluster.objects import Object


class Words(NamedTuple):
    """What an event says."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


def about(obj: Mapping[str, Any], words: Words, component: str, now: str) -> Object:
    """A first event that ``component`` records about an object; ``now`` is an RFC 3339 time."""
    uid = objects.dig(obj, "metadata", "uid", default="")
    digest = hashlib.sha256("/".join((uid, *words)).encode()).hexdigest()[:16]
    namespace = objects.namespace(obj)
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{objects.name(obj)}.{digest}", "namespace": namespace},
        "involvedObject": {
            "apiVersion": obj["apiVersion"],
            "kind": obj["kind"],
            "namespace": namespace,
            "name": objects.name(obj),
            "uid": uid,
            "resourceVersion": objects.dig(obj, "metadata", "resourceVersion", default=""),
        },
        "type": words.type,
        "reason": words.reason,
        "message": words.message,
        "count": 1,
        "firstTimestamp": now,
        "lastTimestamp": now,
        "source": {"component": component},
        "reportingComponent": component,
        "reportingInstance": "",
    }


def again(count: int | None, now: str) -> Object:
    """The merge patch of an event that was recorded ``count`` times."""
    return {"count": (count or 1) + 1, "lastTimestamp": now}

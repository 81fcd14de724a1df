"""Recording what controllers tell of an object.

An event that belongs to a generation of its object is counted once for that generation.
"""

from __future__ import annotations

from calumma import errors
from calumma.cluster import event as events
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
    words = events.Words(event.type, event.reason, event.message)
    new = events.about(about, words, COMPONENTS[about["kind"]], now)
    if event.generation is not None:
        new["metadata"]["annotations"] = {GENERATION: str(event.generation)}
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
        again = events.again(present.get("count"), now)
        await api.patch(client.EVENT, new, {**again, "metadata": {"annotations": annotations}})

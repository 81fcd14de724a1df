"""Who the node runs things for: the kinds that own Knative Services, revisions, pods and hosts.

An owner is named by its kind, namespace and name. Everything made for one is found again by a
label, and a program by its notes, so nothing about ownership is remembered. A new kind is a row of
:data:`KINDS` and a controller in :mod:`~calumma.cluster.node.controllers`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from calumma.cluster import objects
from calumma.cluster.kserve import vocabulary
from calumma.cluster.node import client
from calumma.cluster.node.record import Observed


@dataclass(frozen=True)
class Kind:
    """A kind of owner.

    ``label`` is the label by which its objects name their owner, ``finalizer`` what it carries
    while it has any (empty for none), ``component`` the component of all its Knative Services,
    or empty where each has a label for it.
    """

    resource: client.Resource
    label: str
    finalizer: str = ""
    component: str = ""

    @property
    def name(self) -> str:
        """The kind's name."""
        return self.resource.kind


INFERENCE_SERVICE = Kind(client.INFERENCE_SERVICE, vocabulary.SERVICE_LABEL, vocabulary.FINALIZER)
INFERENCE_GRAPH = Kind(client.INFERENCE_GRAPH, vocabulary.GRAPH_LABEL, component="router")
KINDS = {kind.name: kind for kind in (INFERENCE_SERVICE, INFERENCE_GRAPH)}


class Owner(NamedTuple):
    """An owner's identity."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return "/".join(self)


def named(obj: Mapping[str, Any]) -> Owner:
    """The owner that this object is."""
    return Owner(obj["kind"], objects.namespace(obj), objects.name(obj))


def owner_of(obj: Mapping[str, Any]) -> Owner | None:
    """The owner that an object belongs to by its label, or None."""
    labels = objects.labels_of(obj)
    for kind in KINDS.values():
        if name := labels.get(kind.label):
            return Owner(kind.name, objects.namespace(obj), name)
    return None


def component_of(obj: Mapping[str, Any]) -> str:
    """The component that a Knative Service, revision or pod belongs to, empty for none."""
    owner = owner_of(obj)
    fixed = KINDS[owner.kind].component if owner is not None else ""
    return fixed or objects.labels_of(obj).get(vocabulary.COMPONENT_LABEL, "")


def notes(obj: Mapping[str, Any]) -> dict[str, str]:
    """The part of a program's notes that says for whom it runs."""
    owner = owner_of(obj) or Owner("", objects.namespace(obj), "")
    return {
        "owner": owner.kind,
        "namespace": owner.namespace,
        "service": owner.name,
        "component": component_of(obj),
    }


def owner_of_program(observed: Observed) -> Owner:
    """The owner that a program runs for, from its notes."""
    found = observed.wanted.notes
    return Owner(found["owner"], found["namespace"], found["service"])

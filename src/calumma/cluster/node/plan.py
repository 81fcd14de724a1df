"""What is, and what should happen next: the data between gathering, planning and acting.

:mod:`~calumma.cluster.node.reconcile` gathers a :class:`World` for one owner and acts on the
:class:`Plan` that :mod:`~calumma.cluster.node.planning` makes of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from calumma.cluster import objects
from calumma.cluster.kserve import configuration, controller, runtimes
from calumma.cluster.node import client, containers, gates, owners, rollouts, routing
from calumma.cluster.node.record import Observed, Wanted
from calumma.cluster.objects import Object
from calumma.cluster.programs import prometheus

Verb = Literal["create", "update", "status", "delete", "finalizers"]


@dataclass(frozen=True)
class Write:
    """One request to the API."""

    verb: Verb
    resource: client.Resource
    object: Object


@dataclass(frozen=True)
class World:
    """All that belongs to one owner, as it is now.

    ``object`` is the owner as it is stored, None once it is gone. ``programs`` are the supervisor's
    rows by name, ``ready`` the names whose probe succeeds, ``words`` the last words of failed ones.
    ``programmed`` is the traffic that the gateway has confirmed, by Knative Service or, in Standard
    mode, by route; ``scales`` are the autoscaler's decisions by revision, ``gates`` the ports of
    the open gates by name, ``isvcs`` the InferenceServices of the owner's namespace. ``services``
    are Knative's, ``core_services`` Kubernetes', ``asked`` what a rollout asks of the gateway.
    """

    owner: owners.Owner
    object: Object | None
    services: Sequence[Object]
    revisions: Sequence[Object]
    deployments: Sequence[Object]
    replica_sets: Sequence[Object]
    core_services: Sequence[Object]
    stored_pods: Sequence[Object]
    programs: Mapping[str, Observed]
    ready: frozenset[str]
    words: Mapping[str, str]
    programmed: Mapping[str, Sequence[Mapping[str, Any]]]
    scales: Mapping[str, int]
    gates: Mapping[str, int]
    isvcs: Sequence[Object]
    runtimes: runtimes.Runtimes
    storage: Sequence[Object]
    settings: configuration.Configuration
    machine: containers.Machine
    free_port: Callable[[], int]
    now: str
    asked: rollouts.Asked


class Stop(NamedTuple):
    """A program to stop once nothing is under way at its backend, or at its pod's port."""

    program: str
    backend: str
    port: int


@dataclass
class Plan:
    """What to do; ``gates`` are all that the owner should have open.

    ``look_again`` are the seconds after which time alone changes the plan, None for never;
    ``complaint`` is what stays so until somebody changes an object, told when it changes.
    """

    writes: list[Write] = field(default_factory=list)
    start: list[Wanted] = field(default_factory=list)
    stop: list[Stop] = field(default_factory=list)
    gates: list[gates.Gate] = field(default_factory=list)
    events: list[controller.Event] = field(default_factory=list)
    part: routing.Part = field(default_factory=routing.Part)
    traffic: dict[str, list[Object]] = field(default_factory=dict)
    targets: list[prometheus.Target] = field(default_factory=list)
    look_again: float | None = None
    complaint: str = ""

    def bring(
        self,
        resource: client.Resource,
        wanted: Object,
        present: Object | None,
        annotations: Mapping[str, str],
    ) -> None:
        """Create an object or bring it up to date; ``annotations`` are those that the node adds."""
        complete = {**objects.annotations_of(wanted), **annotations}
        if present is None:
            metadata = {**wanted["metadata"], "annotations": complete}
            self.writes.append(Write("create", resource, {**wanted, "metadata": metadata}))
            return
        labels = objects.labels_of(wanted)
        same = (
            present["spec"] == wanted["spec"]
            and objects.labels_of(present) == labels
            and objects.annotations_of(present) == complete
        )
        if not same:
            kept = {**present["metadata"], "labels": labels, "annotations": complete}
            changed = {**present, "metadata": kept, "spec": wanted["spec"]}
            self.writes.append(Write("update", resource, changed))

"""What rollouts ask of the gateway: from their ConfigMaps to the splits of an InferenceService.

A ConfigMap that cannot be understood changes nothing: the gateway goes on with what the last good
one asked for, and an event says what is wrong. What the documents mean is in
:mod:`calumma.rollout.routing`, what Envoy makes of a split in
:mod:`~calumma.cluster.programs.splits`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from calumma import errors
from calumma.cluster import objects
from calumma.cluster.node import owners
from calumma.cluster.objects import Object
from calumma.cluster.programs import splits, upstreams
from calumma.rollout import names, routing

EVENT = "RoutingNotPossible"
"""The reason of the event about what a rollout asks for and cannot have."""

_LONGEST = 800
"""Letters of a mistake that an event repeats."""


@dataclass(frozen=True)
class Asked:
    """What a rollout asks for; ``complaint`` says what is wrong with its ConfigMap, if anything."""

    routing: routing.Routing = field(default_factory=routing.Routing)
    complaint: str = ""

    def missing(self, revisions: Iterable[str]) -> str:
        """The complaint, or what it asks for that is not among a service's revisions."""
        wanted = self.routing.mirror.revisions if self.routing.mirror else ()
        absent = sorted(set(wanted) - set(revisions))
        if self.complaint or not absent:
            return self.complaint
        return (
            f"{routing.KEY} asks for requests to be mirrored to {', '.join(absent)}, which the "
            "service does not have; nothing is mirrored there"
        )


class Rollouts:
    """The ConfigMaps of rollouts, as they were last understood."""

    def __init__(self) -> None:
        self._good: dict[owners.Owner, routing.Routing] = {}

    def read(self, owner: owners.Owner, config_map: Object | None) -> Asked:
        """What the owner's ConfigMap asks for; None where it has none."""
        text = objects.dig(config_map, "data", routing.KEY)
        if not text:
            self._good.pop(owner, None)
            return Asked()
        try:
            self._good[owner] = routing.read(text)
        except errors.DocumentInvalid as error:
            kept = self._good.get(owner, routing.Routing())
            name = objects.name(config_map or {})
            text = f"ConfigMap {name}: {str(error)[:_LONGEST]}; requests go where they went before"
            return Asked(kept, text)
        return Asked(self._good[owner])


def owner_of(config_map: Mapping[str, object]) -> owners.Owner | None:
    """The InferenceService whose rollout a ConfigMap is, by its name; None for all others."""
    name = objects.name(config_map)
    if not name.startswith(names.PREFIX):
        return None
    kind, namespace = owners.INFERENCE_SERVICE.name, objects.namespace(config_map)
    return owners.Owner(kind, namespace, name.removeprefix(names.PREFIX))


def mirrored(
    asked: routing.Routing,
    backends: Iterable[upstreams.Backend],
    divided: Iterable[splits.Split],
) -> dict[str, upstreams.Backend]:
    """The canary of each component that is mirrored to, by component.

    It is one that its component's split knows and gives nothing, because a request that it gets
    anyway would come twice, and that can be reached.
    """
    wanted = asked.mirror.revisions if asked.mirror else ()
    idle = {name for each in divided for name, weight in each.shares if weight == 0}
    return {
        each.component: each
        for each in backends
        if each.revision in wanted and each.name in idle and (each.endpoints or each.gate)
    }


def with_wishes(
    split: splits.Split, asked: routing.Routing, canaries: Mapping[str, upstreams.Backend]
) -> splits.Split:
    """A component's split as the rollout wants it; ``canaries`` are those that are mirrored to.

    Where the transformer's canary is mirrored to, the predictor's gets that one's calls and no
    copies of other requests: they would come twice.
    """
    assigned, mirror = None, None
    if asked.assignment is not None:
        own = asked.assignment
        assigned = splits.Users(own.header or "", own.cookie or "")
    canary = canaries.get(split.component)
    if canary is not None and asked.mirror is not None:
        behind = split.component == "predictor" and "transformer" in canaries
        mirror = splits.Mirror(canary.name, 0 if behind else asked.mirror.percent)
    return dataclasses.replace(split, mirror=mirror, users=assigned)


def marked(
    backends: Iterable[upstreams.Backend], canaries: Mapping[str, upstreams.Backend]
) -> Sequence[upstreams.Backend]:
    """All backends, of which those know it that are mirrored to, their gRPC ports included."""
    names = {each.name for each in canaries.values()}
    return [
        dataclasses.replace(each, mirrored=each.name.removesuffix(upstreams.GRPC) in names)
        for each in backends
    ]

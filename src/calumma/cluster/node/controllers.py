"""Each kind of owner's controller, asked in one way.

What a controller decides is in :mod:`calumma.cluster.kserve`; here it gets its part of the world.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from calumma.cluster import objects
from calumma.cluster.knative import revision as knative
from calumma.cluster.kserve import controller, graph, vocabulary
from calumma.cluster.node import owners
from calumma.cluster.node.plan import World
from calumma.cluster.objects import Object


@dataclass(frozen=True)
class Decision:
    """The Knative Services that an owner should have, its status, and the events of this pass.

    A pass that is not ``complete`` leaves the Services that it does not name as they are.
    """

    services: Sequence[Object]
    complete: bool
    status: Object
    events: Sequence[controller.Event] = field(default_factory=tuple)


def decide(world: World, owner: Object, services: Mapping[str, Object]) -> Decision:
    """One pass of the owner's controller; ``services`` are its Knative Services by name, with
    their present status."""
    return _CONTROLLERS[world.owner.kind](world, owner, services)


def _inference_service(world: World, isvc: Object, services: Mapping[str, Object]) -> Decision:
    by_component: dict[vocabulary.Component, Object] = {}
    for component in vocabulary.COMPONENTS:
        service = services.get(vocabulary.service_name(isvc, component))
        if service is not None:
            by_component[component] = service
    predictor = by_component.get("predictor")
    created = objects.dig(predictor, "status", "latestCreatedRevisionName", default="")
    own = [
        p for p in world.stored_pods if objects.labels_of(p).get(knative.REVISION_LABEL) == created
    ]
    kserve_world = controller.World(
        services=by_component,
        pods=sorted(own, key=objects.name),
        runtimes=world.runtimes,
        storage=world.storage,
        settings=world.settings,
    )
    made = controller.decide(isvc, kserve_world, world.now)
    return Decision(list(made.services.values()), made.complete, made.status, made.events)


def _inference_graph(world: World, owner: Object, services: Mapping[str, Object]) -> Decision:
    graph_world = graph.World(
        service=services.get(objects.name(owner)),
        isvcs={objects.name(isvc): isvc for isvc in world.isvcs},
        runtimes=world.runtimes,
        settings=world.settings,
    )
    made = graph.decide(owner, graph_world, world.now)
    return Decision(made.services, made.complete, made.status, made.events)


_CONTROLLERS = {
    owners.INFERENCE_SERVICE.name: _inference_service,
    owners.INFERENCE_GRAPH.name: _inference_graph,
}

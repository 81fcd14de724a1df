"""What should happen next for one owner: objects, programs and routes.

:func:`plan` is pure and idempotent: it looks at everything that belongs to one owner and says what
differs from what should be; once that is done, planning again gives nothing. The owner's controller
(:mod:`~calumma.cluster.node.controllers`) says which Knative Services there are, Knative's
(:mod:`calumma.cluster.knative.service`) which revisions those make, and
:mod:`~calumma.cluster.node.workload` turns revisions into pods. An InferenceService in Standard
mode has Deployments instead (:mod:`~calumma.cluster.node.standard`).
:mod:`~calumma.cluster.node.reconcile` gathers the world and acts on the plan.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from calumma.cluster import objects
from calumma.cluster.knative import service as knative_service
from calumma.cluster.kserve import vocabulary
from calumma.cluster.node import client, controllers, endpoints, owners, routing, standard, workload
from calumma.cluster.node.plan import Plan, World, Write
from calumma.cluster.objects import Object


def plan(world: World) -> Plan:
    """The next steps for one owner."""
    made = Plan()
    owner = world.object
    if owner is None:
        workload.wind_down(world, made, ())
        made.gates = endpoints.draining_gates(world.owner, (), world.programs, world.gates)
        backends = endpoints.backends((), world.programs, made.gates)
        made.part = routing.Part(backends=tuple(backends))
        return made
    if objects.dig(owner, "metadata", "deletionTimestamp"):
        _finalizers(world.owner, owner, made, add=False)
        return made
    _finalizers(world.owner, owner, made, add=True)
    made.complaint = world.asked.missing(_revisions(world))
    if standard.applies(world, owner):
        standard.plan(world, made, owner)
        return made
    actives = workload.actives(world)
    for active in actives:
        workload.plan_pods(world, made, active)
    revisions = workload.revision_statuses(world, made, actives)
    services = _plan_routes(world, made, revisions)
    _plan_services(world, made, owner, services)
    made.part = _part(world, made, actives)
    made.targets = endpoints.targets(world.programs)
    workload.wind_down(world, made, actives)
    return made


def _revisions(world: World) -> list[str]:
    """The names of all revisions, or of what takes their place in Standard mode."""
    return [objects.name(each) for each in (*world.revisions, *world.deployments)]


def _finalizers(identity: owners.Owner, owner: Object, made: Plan, *, add: bool) -> None:
    kind = owners.KINDS[identity.kind]
    present = objects.dig(owner, "metadata", "finalizers", default=[])
    if not kind.finalizer or (kind.finalizer in present) == add:
        return
    others = [each for each in present if each != kind.finalizer]
    wanted = [*others, kind.finalizer] if add else others
    changed = {**owner, "metadata": {**owner["metadata"], "finalizers": wanted}}
    made.writes.append(Write("finalizers", kind.resource, changed))


def _plan_routes(world: World, made: Plan, revisions: Mapping[str, Object]) -> dict[str, Object]:
    """Knative's controller for each Service; the Services by name with the status they should
    have."""
    services = {}
    for service in world.services:
        name = objects.name(service)
        own = workload.of_service(list(revisions.values()), service)
        domain = world.machine.settings.domain
        decided = knative_service.decide(
            service, own, world.programmed.get(name), domain, world.now
        )
        if decided.revision is not None:
            made.writes.append(Write("create", client.REVISION, decided.revision))
        if decided.traffic is not None:
            made.traffic[name] = decided.traffic
        services[name] = {**service, "status": decided.status}
        if decided.status != service.get("status"):
            made.writes.append(Write("status", client.SERVICE, services[name]))
    return services


def _plan_services(world: World, made: Plan, owner: Object, services: Mapping[str, Object]) -> None:
    """The owner's own controller: which Services should exist, and the owner's status."""
    decision = controllers.decide(world, owner, services)
    made.events += decision.events
    present = {objects.name(each): each for each in world.services}
    for wanted in decision.services:
        _plan_service(world, made, wanted, present.get(objects.name(wanted)))
    if decision.complete:
        kept = {objects.name(each) for each in decision.services}
        for name, service in present.items():
            if name not in kept:
                made.writes.append(Write("delete", client.SERVICE, service))
    if decision.status != owner.get("status"):
        resource = owners.KINDS[world.owner.kind].resource
        made.writes.append(Write("status", resource, {**owner, "status": decision.status}))


def _plan_service(world: World, made: Plan, wanted: Object, present: Object | None) -> None:
    """Bring a Knative Service up to date; a predictor's keeps the gateway port that it has."""
    entrance = {}
    if vocabulary.component_of(wanted) == "predictor":
        known = objects.annotations_of(present).get(routing.ENTRANCE) if present else None
        entrance = {routing.ENTRANCE: known or str(world.free_port())}
    made.bring(client.SERVICE, wanted, present, entrance)


def _part(world: World, made: Plan, actives: Sequence[workload.Active]) -> routing.Part:
    """The gateway's part: new traffic where it is decided, else what it does already."""
    routed = []
    for service in world.services:
        name = objects.name(service)
        stored = objects.dig(service, "status", "traffic", default=[])
        traffic = made.traffic.get(name) or world.programmed.get(name) or stored
        routed.append(routing.Routed(service, traffic))
    stopped = world.object is not None and vocabulary.is_stopped(world.object)
    reached = [workload.reached(world, made, active) for active in actives]
    names = [objects.name(active.revision) for active in actives]
    drained = endpoints.draining_gates(world.owner, names, world.programs, world.gates)
    made.gates += drained
    backends = endpoints.backends(reached, world.programs, drained)
    namespace, name = world.owner.namespace, world.owner.name
    asked = world.asked.routing
    return routing.part(name, namespace, [] if stopped else routed, backends, asked)

"""The plan for an InferenceService in Standard mode: Deployments, ReplicaSets, pods and routes.

The same shape as for Knative mode (:mod:`~calumma.cluster.node.planning`, which comes here for such
an owner): what is seen of the pods goes up to their ReplicaSets, their Deployments and the
InferenceService, what is decided comes down. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from calumma.cluster import objects
from calumma.cluster.apps import deployment as deployments
from calumma.cluster.apps import replicaset
from calumma.cluster.kserve import configuration, controller, standard, vocabulary
from calumma.cluster.node import (
    client,
    endpoints,
    owners,
    pod_status,
    pods,
    routing,
    standard_routes,
    workload,
)
from calumma.cluster.node.plan import Plan, World, Write
from calumma.cluster.objects import Object

_FURTHEST = 10_000
"""A number that no pod has: they are numbered from 0, and the lowest free one is taken."""


def applies(world: World, owner: Object) -> bool:
    """Whether an owner is an InferenceService in Standard mode."""
    if world.owner.kind != owners.INFERENCE_SERVICE.name:
        return False
    return configuration.deployment_mode(owner, world.settings) == standard.MODE


def plan(world: World, made: Plan, isvc: Object) -> None:
    """Add the next steps for an InferenceService in Standard mode."""
    present = {objects.name(each): each for each in world.deployments}
    sets = [each for each in world.replica_sets if _parent(each, present) is not None]
    actives = [] if vocabulary.is_stopped(isvc) else [_active(world, each) for each in sets]
    for active in actives:
        made.events += _failures(world, active)
        workload.plan_pods(world, made, active)
    current = _plan_sets(world, made, actives, sets)
    stated = _plan_deployments(world, made, present, current)
    decision = standard.decide(isvc, _kserve_world(world, stated, current), world.now)
    made.events += decision.events
    made.traffic.update(decision.traffic)
    _plan_objects(world, made, decision)
    if decision.status != isvc.get("status"):
        status = {**isvc, "status": decision.status}
        made.writes.append(Write("status", client.INFERENCE_SERVICE, status))
    made.part = _part(world, made, isvc, actives)
    made.targets = endpoints.targets(world.programs)
    workload.wind_down(world, made, actives)


def _parent(replica_set: Object, present: Mapping[str, Object]) -> Object | None:
    """The Deployment that a ReplicaSet belongs to, while it is there."""
    reference = replica_set["metadata"]["ownerReferences"][0]
    found = present.get(reference["name"])
    uid = objects.dig(found, "metadata", "uid", default="")
    return found if uid == reference["uid"] else None


def _pods_of(world: World, replica_set: Object) -> dict[str, Object]:
    """The stored pods of a ReplicaSet by name."""
    uid = objects.dig(replica_set, "metadata", "uid", default="")
    return {
        objects.name(each): each
        for each in world.stored_pods
        if any(owner["uid"] == uid for owner in each["metadata"].get("ownerReferences", ()))
    }


def _active(world: World, replica_set: Object) -> workload.Active:
    """A ReplicaSet with the pods that it should have."""
    revision = replicaset.revision(replica_set)
    stored = _numbers(revision, _pods_of(world, replica_set))
    settings = world.settings
    seen = pod_status.Seen(world.programs, world.ready, world.words)
    ready = {
        number: pod_status.is_ready(pods.Pod(revision, name, settings), seen)
        for number, name in stored.items()
    }
    chosen = replicaset.members(replicaset.wanted(replica_set), ready)
    return workload.active(world, revision, pods.numbered(revision, chosen, settings))


def _numbers(revision: Object, names: Collection[str]) -> dict[int, str]:
    """The pods of a revision that have these names, by their numbers."""
    found: dict[int, str] = {}
    for number in range(_FURTHEST):
        if len(found) == len(names):
            break
        if (made := pods.name(revision, number)) in names:
            found[number] = made
    return found


def _failures(world: World, active: workload.Active) -> list[controller.Event]:
    """An event for each container that failed since the pod's status was stored."""
    stored = {objects.name(each): each for each in world.stored_pods}
    found = []
    for pod, seen in zip(active.pods, active.seen, strict=True):
        before = objects.dig(stored.get(pod.name), "status", default={})
        known = pod_status.complaints(before)
        now = pod_status.complaints(pod_status.status(pod, seen, before, world.now))
        for container, message in now.items():
            if known.get(container) != message:
                text = f'Pod "{pod.name}": container {container} failed: {message}'
                found.append(controller.Event("Warning", "PodFailed", text))
    return found


def _plan_sets(
    world: World, made: Plan, actives: Sequence[workload.Active], sets: Sequence[Object]
) -> list[Object]:
    """The ReplicaSets with the status that they should have."""
    by_name = {objects.name(each.revision): each for each in actives}
    ready = _ready(actives)
    stored = {objects.name(each) for each in world.stored_pods}
    current = []
    for each in sets:
        active = by_name.get(objects.name(each))
        names = {pod.name for pod in active.pods} & stored if active is not None else set()
        status = replicaset.status(each, len(names), len(names & ready))
        changed = {**each, "status": status}
        if status != each.get("status"):
            made.writes.append(Write("status", client.REPLICA_SET, changed))
        current.append(changed)
    return current


def _plan_deployments(
    world: World, made: Plan, present: Mapping[str, Object], sets: Sequence[Object]
) -> dict[str, Object]:
    """Kubernetes' controller for each Deployment; they come back with the status and the number
    that they should have."""
    stated = {}
    for name, each in present.items():
        own = [
            deployments.Owned(rs, len(_pods_of(world, rs)))
            for rs in sets
            if _parent(rs, {name: each}) is not None
        ]
        decided = deployments.decide(each, own, world.now)
        made.writes += [Write("create", client.REPLICA_SET, rs) for rs in decided.create]
        made.writes += [Write("update", client.REPLICA_SET, rs) for rs in decided.update]
        made.writes += [Write("delete", client.REPLICA_SET, rs) for rs in decided.delete]
        changed = {**each, "status": decided.status}
        numbered = {**objects.annotations_of(each), replicaset.REVISION: str(decided.number)}
        if decided.status != each.get("status"):
            made.writes.append(Write("status", client.DEPLOYMENT, changed))
        elif numbered != objects.annotations_of(each):
            metadata = {**each["metadata"], "annotations": numbered}
            made.writes.append(Write("update", client.DEPLOYMENT, {**each, "metadata": metadata}))
        stated[name] = changed
    return stated


def _kserve_world(
    world: World, stated: Mapping[str, Object], sets: Sequence[Object]
) -> standard.World:
    newest_first = sorted(sets, key=replicaset.number, reverse=True)
    own: dict[str, list[Object]] = {name: [] for name in stated}
    for each in newest_first:
        parent = objects.name(_parent(each, stated) or each)
        found = _pods_of(world, each)
        own.get(parent, []).extend(found[name] for name in sorted(found))
    return standard.World(
        deployments=stated,
        pods=own,
        programmed=world.programmed,
        runtimes=world.runtimes,
        storage=world.storage,
        settings=world.settings,
        domain=world.machine.settings.domain,
    )


def _plan_objects(world: World, made: Plan, decision: standard.Decision) -> None:
    """Create and update what should exist, and delete what may go."""
    present = {objects.name(each): each for each in world.deployments}
    for wanted in decision.deployments:
        known = present.get(objects.name(wanted))
        number = objects.annotations_of(known).get(replicaset.REVISION) if known else None
        extra = {} if number is None else {replicaset.REVISION: number}
        made.bring(client.DEPLOYMENT, wanted, known, extra)
    services = {objects.name(each): each for each in world.core_services}
    for wanted in decision.services:
        known = services.get(objects.name(wanted))
        extra = {}
        if vocabulary.component_of(wanted) == "predictor":
            port = objects.annotations_of(known).get(routing.ENTRANCE) if known else None
            extra = {routing.ENTRANCE: port or str(world.free_port())}
        made.bring(client.CORE_SERVICE, wanted, known, extra)
    made.writes += _deletions(client.DEPLOYMENT, present, decision.going)
    made.writes += _deletions(client.CORE_SERVICE, services, decision.going)


def _deletions(
    resource: client.Resource, present: Mapping[str, Object], going: Iterable[str]
) -> list[Write]:
    names = sorted(set(going) & set(present))
    return [Write("delete", resource, present[name]) for name in names]


def _part(
    world: World, made: Plan, isvc: Object, actives: Sequence[workload.Active]
) -> routing.Part:
    """The gateway's part: new traffic where it is decided, else what it does already.

    A Deployment is reached at its ready pods, of whichever ReplicaSet. Nothing waits for a pod
    where there is none, as behind a Service.
    """
    planned = {pod.name for active in actives for pod in active.pods}
    ready = _ready(actives)
    wanted = [] if vocabulary.is_stopped(isvc) else world.deployments
    reached = [
        endpoints.Reached(replicaset.revision(each), planned, ready, None) for each in wanted
    ]
    backends = endpoints.backends(reached, world.programs)
    traffic = {**world.programmed, **made.traffic}
    asked = world.asked.routing
    return standard_routes.part(isvc, wanted, world.core_services, traffic, backends, asked)


def _ready(actives: Sequence[workload.Active]) -> set[str]:
    """The names of the pods whose containers are all ready."""
    return {
        pod.name
        for active in actives
        for pod, seen in zip(active.pods, active.seen, strict=True)
        if pod_status.is_ready(pod, seen)
    }

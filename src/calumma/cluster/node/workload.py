"""Revisions as pods: which revisions run, what their pods and conditions say, what may end. Pure.

The same for every kind of owner. A revision that any traffic target names is never stopped. One
that none names any more is *draining*: its programs keep running until the gateway has no request
on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from calumma import errors
from calumma.cluster import conditions, objects
from calumma.cluster.knative import revision as knative
from calumma.cluster.kserve import controller, vocabulary
from calumma.cluster.node import client, containers, endpoints, gates, pod_status, pods
from calumma.cluster.node.plan import Plan, Stop, World, Write
from calumma.cluster.node.record import Wanted
from calumma.cluster.objects import Object


@dataclass
class Active:
    """A revision with the pods it should have, and what was seen of them."""

    revision: Object
    pods: list[pods.Pod]
    seen: list[pod_status.Seen]
    wanted: list[Wanted]


def actives(world: World) -> list[Active]:
    """The revisions that must have pods, with their pods and programs."""
    found = []
    for revision in _needed(world):
        count = pods.replicas(revision, world.scales.get(objects.name(revision)))
        found.append(active(world, revision, pods.of(revision, count, world.settings)))
    return found


def active(world: World, revision: Object, planned: list[pods.Pod]) -> Active:
    """The pods of a revision, their programs, and why there are none if that is so."""
    seen, wanted = [], []
    for pod in planned:
        refusal = None
        try:
            wanted += containers.programs(pod, world.machine, world.programs, world.free_port)
        except errors.ConfigurationError as error:
            refusal = str(error)
        seen.append(pod_status.Seen(world.programs, world.ready, world.words, refusal))
    return Active(revision, planned, seen, wanted)


def of_service(revisions: Sequence[Object], service: Object) -> list[Object]:
    """The revisions of one Knative Service."""
    name = objects.name(service)
    return [r for r in revisions if objects.labels_of(r).get(knative.SERVICE_LABEL) == name]


def plan_pods(world: World, made: Plan, active: Active) -> None:
    """Start a revision's programs, and store its pods with what was seen of them."""
    made.start += active.wanted
    stored = {objects.name(each): each for each in world.stored_pods}
    for pod, seen in zip(active.pods, active.seen, strict=True):
        present = stored.get(pod.name)
        if present is None:
            made.writes.append(Write("create", client.POD, pods.manifest(pod)))
            continue
        status = pod_status.status(pod, seen, present.get("status") or {}, world.now)
        if status != present.get("status"):
            made.writes.append(Write("status", client.POD, {**present, "status": status}))


def revision_statuses(world: World, made: Plan, actives: Sequence[Active]) -> dict[str, Object]:
    """All revisions by name, with the status that they should have."""
    by_name = {objects.name(each.revision): each for each in actives}
    current = {}
    for revision in world.revisions:
        active = by_name.get(objects.name(revision))
        scale = knative.Scale(desired=0)
        if active is not None:
            pairs = list(zip(active.pods, active.seen, strict=True))
            scale = pod_status.scale(len(pairs), pairs, pods.initially(revision))
        status = knative.status(revision, scale, world.now)
        changed = {**revision, "status": status}
        if status != revision.get("status"):
            made.writes.append(Write("status", client.REVISION, changed))
            made.events += _failure_events(revision, changed)
        left = knative.time_left(changed, world.now) if active is not None else None
        if left is not None:
            made.look_again = left if made.look_again is None else min(made.look_again, left)
        current[objects.name(revision)] = changed
    return current


def reached(world: World, made: Plan, active: Active) -> endpoints.Reached:
    """How a revision is reached, with the gate where its requests wait when no pod is ready.

    Pods that fail again and again are not waited for: their requests fail at once.
    """
    pairs = list(zip(active.pods, active.seen, strict=True))
    ready = [pod.name for pod, seen in pairs if pod_status.is_ready(pod, seen)]
    gate = None
    if ready or not any(pod_status.is_hopeless(pod, seen) for pod, seen in pairs):
        name = endpoints.name_of(active.revision)
        gate = gates.Gate(
            str(world.owner),
            name,
            world.gates.get(name) or world.free_port(),
            endpoints.limit(active.revision),
            endpoints.ports(active.revision, world.programs, ready),
        )
        made.gates.append(gate)
    return endpoints.Reached(active.revision, [pod.name for pod in active.pods], ready, gate)


def wind_down(world: World, made: Plan, actives: Sequence[Active]) -> None:
    """Stop programs that no pod needs, and remove pods whose programs are gone."""
    needed = {wanted.name for active in actives for wanted in active.wanted}
    planned = {pod.name for active in actives for pod in active.pods}
    alive = set()
    for name, observed in sorted(world.programs.items()):
        notes = observed.wanted.notes
        if name in needed or notes["pod"] in planned:
            continue
        alive.add(notes["pod"])
        if observed.state != "stopping":
            port = endpoints.entrance(world.programs, notes["pod"])
            made.stop.append(Stop(name, endpoints.backend_name(observed), port))
    for pod in world.stored_pods:
        if objects.name(pod) not in planned and objects.name(pod) not in alive:
            made.writes.append(Write("delete", client.POD, pod))


def _needed(world: World) -> list[Object]:
    """The revisions that must have pods: those with traffic, and each Service's newest."""
    if world.object is not None and vocabulary.is_stopped(world.object):
        return []
    names = {
        entry["revisionName"]
        for service in world.services
        for entry in (
            *objects.dig(service, "status", "traffic", default=[]),
            *world.programmed.get(objects.name(service), ()),
        )
    }
    for service in world.services:
        newest = knative.newest(of_service(world.revisions, service))
        if newest is not None:
            names.add(objects.name(newest))
        names.add(objects.dig(service, "status", "latestReadyRevisionName", default=""))
    return [each for each in world.revisions if objects.name(each) in names]


def _failure_events(before: Object, after: Object) -> list[controller.Event]:
    """An event when a revision fails; Knative records it too, on its Configuration."""
    was = conditions.find(objects.dig(before, "status", "conditions", default=[]), "Ready") or {}
    now = conditions.find(after["status"]["conditions"], "Ready") or {}
    if now["status"] != "False" or was.get("message") == now.get("message"):
        return []
    text = f'Latest created revision "{objects.name(after)}" has failed: {now.get("message", "")}'
    return [controller.Event("Warning", "LatestCreatedFailed", text)]

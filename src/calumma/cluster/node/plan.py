"""What should happen next for one InferenceService: objects, programs and routes.

:func:`plan` is pure and idempotent: it looks at everything that belongs to one InferenceService
and says what differs from what should be; once that is done, planning again gives nothing. It
calls the two controllers (:mod:`calumma.cluster.kserve.controller`,
:mod:`calumma.cluster.knative.service`) and turns revisions into pods.
:mod:`~calumma.cluster.node.reconcile` gathers the world and acts on the plan.

A revision that any traffic target names is never stopped. One that none names any more is
*draining*: its programs keep running until the gateway has no request on it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from calumma import errors
from calumma.cluster import conditions, objects
from calumma.cluster.knative import revision as knative
from calumma.cluster.knative import service as knative_service
from calumma.cluster.kserve import configuration, controller, runtimes, vocabulary
from calumma.cluster.node import client, endpoints, pod_status, pods, routing
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
    """All that belongs to one InferenceService, as it is now.

    ``programs`` are the supervisor's rows by name, ``ready`` the names whose probe succeeds,
    ``words`` the last words of failed ones. ``programmed`` is the traffic that the gateway has
    confirmed, by Knative Service. ``isvc`` is None once it is gone.
    """

    namespace: str
    name: str
    isvc: Object | None
    services: Sequence[Object]
    revisions: Sequence[Object]
    stored_pods: Sequence[Object]
    programs: Mapping[str, Observed]
    ready: frozenset[str]
    words: Mapping[str, str]
    programmed: Mapping[str, Sequence[Mapping[str, Any]]]
    runtimes: runtimes.Runtimes
    storage: Sequence[Object]
    settings: configuration.Configuration
    machine: pods.Machine
    free_port: Callable[[], int]
    now: str


@dataclass
class Plan:
    """What to do. Programs to stop are given with the backend that has to be idle before."""

    writes: list[Write] = field(default_factory=list)
    start: list[Wanted] = field(default_factory=list)
    stop: list[tuple[str, str]] = field(default_factory=list)
    events: list[controller.Event] = field(default_factory=list)
    part: routing.Part = field(default_factory=routing.Part)
    traffic: dict[str, list[Object]] = field(default_factory=dict)
    targets: list[prometheus.Target] = field(default_factory=list)


@dataclass
class _Active:
    """A revision with the pods it should have, and what was seen of them."""

    revision: Object
    pods: list[pods.Pod]
    seen: list[pod_status.Seen]
    wanted: list[Wanted]


def plan(world: World) -> Plan:
    """The next steps for one InferenceService."""
    made = Plan()
    if world.isvc is None:
        _wind_down(world, made, ())
        made.part = routing.Part(backends=tuple(endpoints.backends((), world.programs, ())))
        return made
    if objects.dig(world.isvc, "metadata", "deletionTimestamp"):
        _finalizers(world.isvc, made, add=False)
        return made
    _finalizers(world.isvc, made, add=True)
    actives = [_active(world, revision) for revision in _needed(world)]
    for active in actives:
        made.start += active.wanted
        _plan_pods(world, made, active)
    statuses = _revision_statuses(world, made, actives)
    _plan_services(world, made, statuses)
    made.part = _part(world, made, actives)
    made.targets = endpoints.targets(world.programs)
    _wind_down(world, made, actives)
    return made


def _finalizers(isvc: Object, made: Plan, *, add: bool) -> None:
    present = objects.dig(isvc, "metadata", "finalizers", default=[])
    if (vocabulary.FINALIZER in present) == add:
        return
    others = [each for each in present if each != vocabulary.FINALIZER]
    wanted = [*others, vocabulary.FINALIZER] if add else others
    changed = {**isvc, "metadata": {**isvc["metadata"], "finalizers": wanted}}
    made.writes.append(Write("finalizers", client.INFERENCE_SERVICE, changed))


def _needed(world: World) -> list[Object]:
    """The revisions that must have pods: those with traffic, and each component's newest."""
    if world.isvc is not None and vocabulary.is_stopped(world.isvc):
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
        newest = knative.newest(_of_service(world.revisions, service))
        if newest is not None:
            names.add(objects.name(newest))
        names.add(objects.dig(service, "status", "latestReadyRevisionName", default=""))
    return [each for each in world.revisions if objects.name(each) in names]


def _of_service(revisions: Sequence[Object], service: Object) -> list[Object]:
    name = objects.name(service)
    return [r for r in revisions if objects.labels_of(r).get(knative.SERVICE_LABEL) == name]


def _active(world: World, revision: Object) -> _Active:
    """The pods of a revision, their programs, and why there are none if that is so."""
    planned = pods.of(revision, pods.replicas(revision))
    seen, wanted = [], []
    for pod in planned:
        refusal = None
        try:
            wanted += pods.programs(pod, world.machine, world.programs, world.free_port)
        except errors.ConfigurationError as error:
            refusal = str(error)
        seen.append(pod_status.Seen(world.programs, world.ready, world.words, refusal))
    return _Active(revision, planned, seen, wanted)


def _plan_pods(world: World, made: Plan, active: _Active) -> None:
    stored = {objects.name(each): each for each in world.stored_pods}
    for pod, seen in zip(active.pods, active.seen, strict=True):
        present = stored.get(pod.name)
        if present is None:
            made.writes.append(Write("create", client.POD, pods.manifest(pod)))
            continue
        status = pod_status.status(pod, seen, present.get("status") or {}, world.now)
        if status != present.get("status"):
            made.writes.append(Write("status", client.POD, {**present, "status": status}))


def _revision_statuses(world: World, made: Plan, actives: Sequence[_Active]) -> dict[str, Object]:
    """All revisions by name, with the status that they should have."""
    by_name = {objects.name(each.revision): each for each in actives}
    current = {}
    for revision in world.revisions:
        active = by_name.get(objects.name(revision))
        scale = knative.Scale(desired=0)
        if active is not None:
            pairs = list(zip(active.pods, active.seen, strict=True))
            scale = pod_status.scale(len(pairs), pairs)
        status = knative.status(revision, scale, world.now)
        changed = {**revision, "status": status}
        if status != revision.get("status"):
            made.writes.append(Write("status", client.REVISION, changed))
            made.events += _failure_events(revision, changed)
        current[objects.name(revision)] = changed
    return current


def _failure_events(before: Object, after: Object) -> list[controller.Event]:
    """An event when a revision fails; Knative records it too, on its Configuration."""
    was = conditions.find(objects.dig(before, "status", "conditions", default=[]), "Ready") or {}
    now = conditions.find(after["status"]["conditions"], "Ready") or {}
    if now["status"] != "False" or was.get("message") == now.get("message"):
        return []
    text = f'Latest created revision "{objects.name(after)}" has failed: {now.get("message", "")}'
    return [controller.Event("Warning", "LatestCreatedFailed", text)]


def _plan_services(world: World, made: Plan, revisions: Mapping[str, Object]) -> None:
    """Both controllers: KServe's for the InferenceService, Knative's for each of its Services."""
    isvc = world.isvc
    if isvc is None:
        return
    by_component = {
        component: each
        for each in world.services
        if (component := vocabulary.component_of(each)) is not None
    }
    services: dict[vocabulary.Component, Object] = {}
    for component, service in by_component.items():
        own = _of_service(list(revisions.values()), service)
        programmed = world.programmed.get(objects.name(service))
        domain = world.machine.settings.domain
        decided = knative_service.decide(service, own, programmed, domain, world.now)
        if decided.revision is not None:
            made.writes.append(Write("create", client.REVISION, decided.revision))
        if decided.traffic is not None:
            made.traffic[objects.name(service)] = decided.traffic
        services[component] = {**service, "status": decided.status}
        if decided.status != service.get("status"):
            made.writes.append(Write("status", client.SERVICE, services[component]))
    decision = controller.decide(isvc, _kserve_world(world, services), world.now)
    made.events += decision.events
    for component, wanted in decision.services.items():
        _plan_service(world, made, wanted, by_component.get(component))
    if decision.complete:
        for component, service in by_component.items():
            if component not in decision.services:
                made.writes.append(Write("delete", client.SERVICE, service))
    if decision.status != isvc.get("status"):
        status = {**isvc, "status": decision.status}
        made.writes.append(Write("status", client.INFERENCE_SERVICE, status))


def _kserve_world(
    world: World, services: Mapping[vocabulary.Component, Object]
) -> controller.World:
    predictor = services.get("predictor")
    created = objects.dig(predictor, "status", "latestCreatedRevisionName", default="")
    own = [
        p for p in world.stored_pods if objects.labels_of(p).get(knative.REVISION_LABEL) == created
    ]
    return controller.World(
        services=services,
        pods=sorted(own, key=objects.name),
        runtimes=world.runtimes,
        storage=world.storage,
        settings=world.settings,
    )


def _plan_service(world: World, made: Plan, wanted: Object, present: Object | None) -> None:
    """Create a Knative Service or bring it up to date; its gateway port is ours and stays."""
    annotations = objects.annotations_of(wanted)
    if vocabulary.component_of(wanted) == "predictor":
        known = objects.annotations_of(present).get(routing.ENTRANCE) if present else None
        annotations[routing.ENTRANCE] = known or str(world.free_port())
    metadata = {**wanted["metadata"], "annotations": annotations}
    if present is None:
        made.writes.append(Write("create", client.SERVICE, {**wanted, "metadata": metadata}))
        return
    same = (
        present["spec"] == wanted["spec"]
        and objects.labels_of(present) == objects.labels_of(wanted)
        and objects.annotations_of(present) == annotations
    )
    if not same:
        kept = {**present["metadata"], "labels": metadata["labels"], "annotations": annotations}
        changed = {**present, "metadata": kept, "spec": wanted["spec"]}
        made.writes.append(Write("update", client.SERVICE, changed))


def _part(world: World, made: Plan, actives: Sequence[_Active]) -> routing.Part:
    """The gateway's part: new traffic where it is decided, else what it does already."""
    routed = []
    for service in world.services:
        name = objects.name(service)
        stored = objects.dig(service, "status", "traffic", default=[])
        traffic = made.traffic.get(name) or world.programmed.get(name) or stored
        routed.append(routing.Routed(service, traffic))
    stopped = world.isvc is not None and vocabulary.is_stopped(world.isvc)
    ready = {
        pod.name
        for active in actives
        for pod, seen in zip(active.pods, active.seen, strict=True)
        if pod_status.is_ready(pod, seen)
    }
    wanted = [active.revision for active in actives]
    backends = endpoints.backends(wanted, world.programs, ready)
    return routing.part(world.name, world.namespace, [] if stopped else routed, backends)


def _wind_down(world: World, made: Plan, actives: Sequence[_Active]) -> None:
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
            made.stop.append((name, endpoints.backend_name(observed)))
    for pod in world.stored_pods:
        if objects.name(pod) not in planned and objects.name(pod) not in alive:
            made.writes.append(Write("delete", client.POD, pod))

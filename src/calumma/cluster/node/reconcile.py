"""Acting on plans: gather one owner's world, plan, do it, and look again.

Level-triggered: nothing is remembered of why we look. A step that fails is tried again later, and
a write that meets a newer object is dropped, because the newer object brings us back here.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx

from calumma import errors
from calumma.cluster import layout, objects
from calumma.cluster.apps import replicaset
from calumma.cluster.kserve import configuration, controller, runtimes, vocabulary
from calumma.cluster.node import (
    activation,
    client,
    containers,
    credentials,
    events,
    folders,
    observation,
    owners,
    plan,
    planning,
    pod_status,
    ports,
    rollouts,
    routing,
    scaling,
    supervision,
    traffic,
)
from calumma.cluster.node import settings as settings_room
from calumma.cluster.node.cache import Cache
from calumma.cluster.objects import Object
from calumma.rollout import names

log = logging.getLogger(__name__)

_PASSES = 12
_SOON = 0.25
_LATER = 2.0
_NEEDS_CREDENTIALS = ("s3", "hf", "https")


@dataclass(frozen=True)
class Caches:
    """What the agent follows of the API."""

    isvcs: Cache
    graphs: Cache
    services: Cache
    revisions: Cache
    deployments: Cache
    replica_sets: Cache
    core_services: Cache
    pods: Cache
    runtimes: Cache
    cluster_runtimes: Cache
    storage: Cache
    config_maps: Cache

    def all(self) -> Iterable[Cache]:
        """Every cache."""
        return vars(self).values()

    def of(self, resource: client.Resource) -> Cache | None:
        """The cache of a kind, or None when it is not followed."""
        return next((cache for cache in self.all() if cache.resource == resource), None)

    def owning(self) -> list[Cache]:
        """The caches of the kinds that own programs."""
        caches = (self.of(kind.resource) for kind in owners.KINDS.values())
        return [cache for cache in caches if cache is not None]

    def owner(self, owner: owners.Owner) -> Object | None:
        """The owner as it is stored, None once it is gone."""
        cache = self.of(owners.KINDS[owner.kind].resource)
        return None if cache is None else cache.get(owner.namespace, owner.name)


@dataclass
class Reconciler:
    """Everything that acting needs. ``wake`` asks for another look after some seconds."""

    home: layout.Home
    settings: settings_room.Settings
    api: client.Client
    caches: Caches
    programs: observation.Programs
    supervisor: supervision.Client
    traffic: traffic.Traffic
    activator: activation.Client
    scaling: scaling.Scaling
    wake: Callable[[owners.Owner, float], None]
    ports: ports.Ports = field(init=False)
    rollouts: rollouts.Rollouts = field(default_factory=rollouts.Rollouts)
    told: dict[owners.Owner, str] = field(default_factory=dict)
    """The complaint that each owner's last event was about."""

    def __post_init__(self) -> None:
        self.ports = ports.Ports(self._taken_ports, int(self.home.tag, 16))

    async def reconcile(self, owner: owners.Owner) -> None:
        """Bring one owner to what it should be, as far as that is possible now."""
        for _ in range(_PASSES):
            made = planning.plan(await self.world(owner))
            if not await self._act(owner, made):
                return
        self.wake(owner, _LATER)

    async def world(self, owner: owners.Owner) -> plan.World:
        """All that belongs to one owner, as it is now."""
        caches = self.caches
        stored = caches.owner(owner)
        rows = self.programs.of(owner)

        def own(cache: Cache) -> list[Object]:
            return [each for each in cache if owners.owner_of(each) == owner]

        services, revisions, sets = map(
            own, (caches.services, caches.revisions, caches.replica_sets)
        )
        settings = caches.config_maps.get(configuration.NAMESPACE, configuration.NAME)
        return plan.World(
            owner=owner,
            object=stored,
            services=services,
            revisions=revisions,
            deployments=own(caches.deployments),
            replica_sets=sets,
            core_services=own(caches.core_services),
            stored_pods=own(caches.pods),
            programs=rows,
            ready=self.programs.prober.ready,
            words=self.programs.last_words(rows),
            programmed=self.traffic.programmed(owner, services),
            scales=self.scaling.decisions(revisions),
            gates=self.activator.ports,
            isvcs=[i for i in caches.isvcs if objects.namespace(i) == owner.namespace],
            runtimes=runtimes.Runtimes(
                [r for r in caches.runtimes if objects.namespace(r) == owner.namespace],
                list(caches.cluster_runtimes),
            ),
            storage=list(caches.storage),
            settings=configuration.parse(settings),
            machine=containers.Machine(
                self.home,
                self.settings,
                _addresses([*caches.services, *caches.core_services]),
                await self._storage_environment(
                    owner, stored, [*revisions, *map(replicaset.revision, sets)]
                ),
            ),
            free_port=self.ports.free,
            now=pod_status.time(time.time()),
            asked=self.rollouts.read(owner, self._rollout(owner)),
        )

    def _rollout(self, owner: owners.Owner) -> Object | None:
        """The ConfigMap of an InferenceService's rollout."""
        if owner.kind != owners.INFERENCE_SERVICE.name:
            return None
        return self.caches.config_maps.get(owner.namespace, names.config_map(owner.name))

    async def _act(self, owner: owners.Owner, made: plan.Plan) -> bool:
        """Do what a plan says; whether to plan again at once."""
        again = False
        for write in made.writes:
            again |= await self._write(owner, write)
        for wanted in made.start:
            row = self.programs.of(owner).get(wanted.name)
            if row is None:
                folders.prepare(wanted)
                self.programs.take(wanted.name, await self.supervisor.put(wanted))
                again = True
        again |= await self._yield_ports(made)
        try:
            await self.activator.put(str(owner), made.gates, closing=False)
            again |= await self.traffic.apply(owner, made.part, made.traffic)
            await self.activator.put(str(owner), made.gates, closing=True)
        except errors.GatewayNotReady as error:
            log.warning("%s", error)
            self.wake(owner, _LATER)
        else:
            await self._stop(owner, made)
        self.traffic.set_targets(owner, made.targets)
        for event in made.events:
            await self.tell(owner, event)
        known = self.told.pop(owner, "")
        if made.complaint:
            self.told[owner] = made.complaint
            if made.complaint != known:
                await self.tell(owner, controller.Event("Warning", rollouts.EVENT, made.complaint))
        if made.look_again is not None:
            self.wake(owner, made.look_again)
        return again

    async def _write(self, owner: owners.Owner, write: plan.Write) -> bool:
        """Send one write; False when it met a newer object or was refused."""
        cache = self.caches.of(write.resource)
        try:
            stored = await self._send(write)
        except errors.ApiError as error:
            if error.code not in (404, 409):
                log.error(
                    "%s %s %s: %s",
                    write.verb,
                    write.resource.kind,
                    objects.name(write.object),
                    error,
                )
            elif write.verb == "create":
                await self._tell_if_taken(owner, write)
            return False
        if cache is not None and stored is not None:
            cache.put(stored)
        return True

    async def _tell_if_taken(self, owner: owners.Owner, write: plan.Write) -> None:
        """Record why an object cannot be created when another owner has one of that name."""
        name = objects.name(write.object)
        cache = self.caches.of(write.resource)
        present = cache.get(owner.namespace, name) if cache is not None else None
        other = None if present is None else owners.owner_of(present)
        if other is not None and other != owner:
            text = (
                f'the {write.resource.kind} "{name}" belongs to the {other.kind} "{other.name}"; '
                "it is made once that one is gone, or under another name"
            )
            await self.tell(owner, controller.Event("Warning", "NameTaken", text))

    async def _send(self, write: plan.Write) -> Object | None:
        match write.verb:
            case "create":
                return await self.api.create(write.resource, write.object)
            case "update":
                return await self.api.update(write.resource, write.object)
            case "status":
                return await self.api.update_status(write.resource, write.object)
            case "finalizers":
                finalizers = write.object["metadata"]["finalizers"]
                patch = {"metadata": {"finalizers": finalizers}}
                return await self.api.patch(write.resource, write.object, patch)
            case "delete":
                await self.api.delete(write.resource, write.object)
                return None

    async def _yield_ports(self, made: plan.Plan) -> bool:
        """Forget programs that fail because a stranger has their port; others follow elsewhere."""
        yielded = False
        for wanted in made.start:
            row = self.programs.get(wanted.name)
            if row is None or row.backoff == 0:
                continue
            lost = [p for p in wanted.notes.get("ports", {}).values() if not ports.is_free(p)]
            if lost:
                log.warning("%s cannot have port %s and gets others", wanted.name, lost)
                await self.supervisor.stop(wanted.name)
                yielded = True
        return yielded

    async def _stop(self, owner: owners.Owner, made: plan.Plan) -> None:
        """Stop programs that have no request any more; look again for the others."""
        for each in made.stop:
            at_gate = await self.activator.active(each.port) if each.port else 0
            if at_gate == 0 and await self.traffic.is_idle(each.backend, each.port):
                await self.supervisor.stop(each.program)
            else:
                self.wake(owner, _SOON)

    async def tell(self, owner: owners.Owner, event: controller.Event) -> None:
        """Record an event about an owner, if it is still there and the API answers."""
        stored = self.caches.owner(owner)
        if stored is None:
            return
        now = pod_status.time(time.time())
        try:
            await events.record(self.api, stored, event, now)
        except (errors.ApiError, httpx.HTTPError) as error:
            log.warning("event %s about %s: %s", event.reason, owner.name, error)

    async def _storage_environment(
        self, owner: owners.Owner, stored: Object | None, revisions: Iterable[Object]
    ) -> dict[str, str]:
        """Credentials for downloads, read only when a revision needs any."""
        uris = [objects.annotations_of(each).get(vocabulary.STORAGE_URI, "") for each in revisions]
        if stored is None or not any(urlsplit(uri).scheme in _NEEDS_CREDENTIALS for uri in uris):
            return {}
        account = objects.dig(stored, "spec", "predictor", "serviceAccountName", default="default")
        return await credentials.environment(self.api, owner.namespace, account)

    def _taken_ports(self) -> Iterable[int]:
        for observed in self.programs:
            yield from (observed.wanted.notes.get("ports") or {}).values()
        yield from self.activator.ports.values()
        for service in (*self.caches.services, *self.caches.core_services):
            entrance = objects.annotations_of(service).get(routing.ENTRANCE)
            if entrance is not None:
                yield int(entrance)


def _addresses(services: Iterable[Object]) -> Callable[[str], str | None]:
    """Who answers to a host of the cluster: the loopback entrance of a predictor's Service."""
    known = {}
    for service in services:
        entrance = objects.annotations_of(service).get(routing.ENTRANCE)
        if entrance is not None:
            host = f"{objects.name(service)}.{objects.namespace(service)}"
            known.update(dict.fromkeys(routing.names(host), f"127.0.0.1:{entrance}"))
    return lambda host: known.get(host.removesuffix(":80"))

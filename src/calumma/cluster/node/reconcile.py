"""Acting on plans: gather one InferenceService's world, plan, do it, and look again.

Level-triggered: nothing is remembered of why we look. A step that fails is tried again later, and
a write that meets a newer object is dropped, because the newer object brings us back here.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx

from calumma import errors
from calumma.cluster import layout, objects
from calumma.cluster.kserve import configuration, controller, runtimes, vocabulary
from calumma.cluster.node import (
    client,
    credentials,
    events,
    folders,
    observation,
    plan,
    pod_status,
    pods,
    ports,
    routing,
    supervision,
    traffic,
)
from calumma.cluster.node import settings as settings_room
from calumma.cluster.node.cache import Cache, Key
from calumma.cluster.objects import Object

log = logging.getLogger(__name__)

_PASSES = 12
_SOON = 0.25
_LATER = 2.0
_NEEDS_CREDENTIALS = ("s3", "hf", "https")


@dataclass(frozen=True)
class Caches:
    """What the agent follows of the API."""

    isvcs: Cache
    services: Cache
    revisions: Cache
    pods: Cache
    runtimes: Cache
    cluster_runtimes: Cache
    storage: Cache
    config_maps: Cache

    def all(self) -> Iterable[Cache]:
        """Every cache."""
        return vars(self).values()


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
    wake: Callable[[Key, float], None]
    ports: ports.Ports = field(init=False)

    def __post_init__(self) -> None:
        self.ports = ports.Ports(self._taken_ports)

    async def reconcile(self, key: Key) -> None:
        """Bring one InferenceService to what it should be, as far as that is possible now."""
        for _ in range(_PASSES):
            made = plan.plan(await self.world(key))
            if not await self._act(key, made):
                return
        self.wake(key, _LATER)

    async def world(self, key: Key) -> plan.World:
        """All that belongs to one InferenceService, as it is now."""
        caches = self.caches
        isvc = caches.isvcs.get(*key)
        rows = self.programs.of(key)
        services = [each for each in caches.services if _belongs(each, key)]
        revisions = [each for each in caches.revisions if _belongs(each, key)]
        settings = caches.config_maps.get(configuration.NAMESPACE, configuration.NAME)
        return plan.World(
            namespace=key.namespace,
            name=key.name,
            isvc=isvc,
            services=services,
            revisions=revisions,
            stored_pods=[each for each in caches.pods if _belongs(each, key)],
            programs=rows,
            ready=self.programs.prober.ready,
            words=self.programs.last_words(rows),
            programmed=self.traffic.programmed(services),
            runtimes=runtimes.Runtimes(
                [r for r in caches.runtimes if objects.namespace(r) == key.namespace],
                list(caches.cluster_runtimes),
            ),
            storage=list(caches.storage),
            settings=configuration.parse(settings),
            machine=pods.Machine(
                self.home,
                self.settings,
                _addresses(caches.services),
                await self._storage_environment(key, isvc, revisions),
            ),
            free_port=self.ports.free,
            now=pod_status.time(time.time()),
        )

    async def _act(self, key: Key, made: plan.Plan) -> bool:
        """Do what a plan says; whether to plan again at once."""
        again = False
        for write in made.writes:
            again |= await self._write(write)
        for wanted in made.start:
            row = self.programs.of(key).get(wanted.name)
            if row is None:
                folders.prepare(wanted)
                self.programs.take(wanted.name, await self.supervisor.put(wanted))
                again = True
        try:
            again |= await self.traffic.apply(key, made.part, made.traffic)
        except errors.GatewayNotReady as error:
            log.warning("%s", error)
            self.wake(key, _LATER)
        await self._stop(key, made)
        self.traffic.set_targets(key, made.targets)
        for event in made.events:
            await self.tell(key, event)
        return again

    async def _write(self, write: plan.Write) -> bool:
        """Send one write; False when it met a newer object or was refused."""
        cache = next((c for c in self.caches.all() if c.resource == write.resource), None)
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
            return False
        if cache is not None and stored is not None:
            cache.put(stored)
        return True

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

    async def _stop(self, key: Key, made: plan.Plan) -> None:
        """Stop programs whose backend has no request any more; look again for the others."""
        for name, backend in made.stop:
            if await self.traffic.is_idle(backend):
                await self.supervisor.stop(name)
            else:
                self.wake(key, _SOON)

    async def tell(self, key: Key, event: controller.Event) -> None:
        """Record an event about an InferenceService, if it is still there and the API answers."""
        isvc = self.caches.isvcs.get(*key)
        if isvc is None:
            return
        now = pod_status.time(time.time())
        try:
            await events.record(self.api, isvc, event, now)
        except (errors.ApiError, httpx.HTTPError) as error:
            log.warning("event %s about %s: %s", event.reason, objects.name(isvc), error)

    async def _storage_environment(
        self, key: Key, isvc: Object | None, revisions: Iterable[Object]
    ) -> dict[str, str]:
        """Credentials for downloads, read only when a revision needs any."""
        uris = [objects.annotations_of(each).get(vocabulary.STORAGE_URI, "") for each in revisions]
        if isvc is None or not any(urlsplit(uri).scheme in _NEEDS_CREDENTIALS for uri in uris):
            return {}
        account = objects.dig(isvc, "spec", "predictor", "serviceAccountName", default="default")
        return await credentials.environment(self.api, key.namespace, account)

    def _taken_ports(self) -> Iterable[int]:
        for observed in self.programs:
            yield from (observed.wanted.notes.get("ports") or {}).values()
        for service in self.caches.services:
            entrance = objects.annotations_of(service).get(routing.ENTRANCE)
            if entrance is not None:
                yield int(entrance)


def _belongs(obj: Mapping[str, Any], key: Key) -> bool:
    label = objects.labels_of(obj).get(vocabulary.SERVICE_LABEL)
    return objects.namespace(obj) == key.namespace and label == key.name


def _addresses(services: Iterable[Object]) -> Callable[[str], str | None]:
    """Who answers to a host of the cluster: the loopback entrance of a Knative Service."""
    known = {}
    for service in services:
        entrance = objects.annotations_of(service).get(routing.ENTRANCE)
        if entrance is not None:
            host = f"{objects.name(service)}.{objects.namespace(service)}"
            known.update(dict.fromkeys(routing.names(host), f"127.0.0.1:{entrance}"))
    return lambda host: known.get(host.removesuffix(":80"))

"""The agent: follows the API and the supervisor, and reconciles what changed.

One loop works through a queue of owners. Everything that happens (an object changes, a program
ends, a container becomes ready) only puts an owner into that queue, so nothing is lost when many
things happen at once, and a slow one delays the others by one pass at most.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import httpx

from calumma import errors
from calumma.cluster import layout, objects
from calumma.cluster.knative import autoscaling
from calumma.cluster.kserve import configuration, controller
from calumma.cluster.node import (
    activation,
    client,
    driving,
    folders,
    gateway,
    metrics,
    observation,
    owners,
    planning,
    reconcile,
    rollouts,
    scaling,
    supervision,
    traffic,
)
from calumma.cluster.node import settings as settings_room
from calumma.cluster.node.cache import Cache
from calumma.cluster.objects import Object
from calumma.cluster.programs import prometheus

log = logging.getLogger(__name__)

DIRECTORY = "calumma"
"""The ConfigMap in KServe's namespace that tells clients where the gateway and Prometheus are."""

_RESYNC = 60.0
_RETRY = 1.0


class Agent:
    """The running agent of one home."""

    def __init__(self, home: layout.Home, api: client.Client, supervisor: supervision.Client):
        self._home = home
        self._settings = settings_room.read(home.settings)
        self._api = api
        self._queue: asyncio.Queue[owners.Owner] = asyncio.Queue()
        self._queued: set[owners.Owner] = set()
        self._supervisor = supervisor
        self._restarts: set[asyncio.Task[None]] = set()
        self._programs = observation.Programs(self.look_at, self._restart, self._clear)
        self._gateway = gateway.Gateway(home.envoy, home.envoy_admin)
        self._traffic = traffic.Traffic(
            self._settings, self._gateway, home.prometheus / prometheus.TARGETS
        )
        self._complete = False
        self._driving = driving.Driving(home, self._settings.project, supervisor)
        self._caches = self._follow()
        self._scaling = scaling.Scaling(
            self._gateway,
            lambda: self._caches.revisions,
            lambda: self._caches.config_maps.get(autoscaling.NAMESPACE, autoscaling.NAME),
            self._look_at_owner,
            len(os.sched_getaffinity(0)),
        )
        self._activator = activation.Client(home.activator_socket, self._scaling.demand)
        self._reconciler = reconcile.Reconciler(
            home,
            self._settings,
            api,
            self._caches,
            self._programs,
            supervisor,
            self._traffic,
            self._activator,
            self._scaling,
            self._look_later,
        )

    async def run(self) -> None:
        """Work until cancelled or until the supervisor ends."""
        metrics.serve(self._settings.node_port, self._home.metrics)
        known = asyncio.Event()
        jobs: list[Coroutine[Any, Any, None]] = [
            self._programs.run(self._home.supervisor_socket, known.set),
            self._activator.run(),
            *(cache.run(self._api) for cache in self._caches.all()),
        ]
        tasks = [asyncio.create_task(job) for job in jobs]
        try:
            await known.wait()
            await self._activator.known.wait()
            await asyncio.gather(*(cache.synced.wait() for cache in self._caches.all()))
            await self._programs.prober.settle()
            await self._adopt()
            jobs = [self._work(), self._resync(), self._scaling.run()]
            tasks += [asyncio.create_task(job) for job in jobs]
            await self._publish()
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await self._programs.prober.close()
            await self._gateway.close()

    def look_at(self, owner: owners.Owner) -> None:
        """Reconcile an owner soon."""
        if owner not in self._queued:
            self._queued.add(owner)
            self._queue.put_nowait(owner)

    def _restart(self, program: str) -> None:
        """Have the supervisor end a program that lost a part of itself, and start it again."""
        log.warning("%s has lost one of its processes and is restarted", program)
        task = asyncio.create_task(self._supervisor.restart(program))
        self._restarts.add(task)
        task.add_done_callback(self._restarts.discard)

    def _clear(self, namespace: str, pod: str) -> None:
        """Remove what a pod without programs leaves behind."""
        folders.clear(self._home, namespace, pod)
        self._forget_logs()

    def _forget_logs(self) -> None:
        """Remove the logs of pods that have neither an object nor programs, once all are known."""
        if not self._complete:
            return
        objects_of = {(objects.namespace(p), objects.name(p)) for p in self._caches.pods}
        folders.forget(self._home, objects_of | self._programs.pods())

    def _look_later(self, owner: owners.Owner, seconds: float) -> None:
        asyncio.get_running_loop().call_later(seconds, self.look_at, owner)

    def _follow(self) -> reconcile.Caches:
        def named(obj: Object) -> None:
            self.look_at(owners.named(obj))

        def pod(obj: Object) -> None:
            self._look_at_owner(obj)
            if self._caches.pods.get(objects.namespace(obj), objects.name(obj)) is None:
                self._forget_logs()

        def serving(obj: Object) -> None:
            self._look_for_rollouts()
            self.look_at(owners.named(obj))
            for graph in self._caches.graphs:  # it may name this service in a step
                if objects.namespace(graph) == objects.namespace(obj):
                    self.look_at(owners.named(graph))

        def everything(_: Object) -> None:
            self._look_at_all()

        def settings(obj: Object) -> None:
            self._look_for_rollouts()
            if objects.name(obj) == configuration.NAME:
                self._look_at_all()
            owner = rollouts.owner_of(obj)
            if owner is not None:
                self.look_at(owner)

        return reconcile.Caches(
            isvcs=Cache(client.INFERENCE_SERVICE, serving),
            graphs=Cache(client.INFERENCE_GRAPH, named),
            services=Cache(client.SERVICE, self._look_at_owner),
            revisions=Cache(client.REVISION, self._look_at_owner),
            deployments=Cache(client.DEPLOYMENT, self._look_at_owner),
            replica_sets=Cache(client.REPLICA_SET, self._look_at_owner),
            core_services=Cache(client.CORE_SERVICE, self._look_at_owner),
            pods=Cache(client.POD, pod),
            runtimes=Cache(client.SERVING_RUNTIME, everything),
            cluster_runtimes=Cache(client.CLUSTER_SERVING_RUNTIME, everything),
            storage=Cache(client.CLUSTER_STORAGE_CONTAINER, everything),
            config_maps=Cache(client.CONFIG_MAP, settings),
        )

    def _look_for_rollouts(self) -> None:
        if self._complete:
            self._driving.look(self._caches.isvcs, self._caches.config_maps)

    def _look_at_owner(self, obj: Object) -> None:
        owner = owners.owner_of(obj)
        if owner is not None:
            self.look_at(owner)

    def _look_at_all(self) -> None:
        for owner in self._owners():
            self.look_at(owner)

    def _owners(self) -> set[owners.Owner]:
        """Every owner that the API has."""
        return {owners.named(each) for cache in self._caches.owning() for each in cache}

    async def _adopt(self) -> None:
        """Know every part of the gateway before the first change, so that none is dropped."""
        self._complete = True
        self._look_for_rollouts()
        self._forget_logs()
        running = {owners.owner_of_program(each) for each in self._programs}
        for owner in self._owners() | running:
            async with self._contained(owner):
                made = planning.plan(await self._reconciler.world(owner))
                self._traffic.adopt(owner, made.part)
                self.look_at(owner)

    async def _work(self) -> None:
        while True:
            owner = await self._queue.get()
            self._queued.discard(owner)
            async with self._contained(owner):
                await self._reconciler.reconcile(owner)

    @contextlib.asynccontextmanager
    async def _contained(self, owner: owners.Owner) -> AsyncIterator[None]:
        """Keep what goes wrong with one owner from the others, and look at it again later."""
        try:
            yield
        except (errors.CalummaError, httpx.HTTPError) as error:
            log.warning("%s %s/%s: %s", *owner, error or type(error).__name__)
            self._look_later(owner, _RETRY)
        except Exception as error:
            log.exception("%s %s/%s cannot be reconciled", *owner)
            text = (
                f"the node failed with {type(error).__name__}: {error}; `calumma logs agent` says "
                "where. What serves goes on; this is a defect of Calumma."
            )
            await self._reconciler.tell(owner, controller.Event("Warning", "InternalError", text))
            self._look_later(owner, _RESYNC)

    async def _resync(self) -> None:
        while True:
            await asyncio.sleep(_RESYNC)
            self._look_for_rollouts()
            self._look_at_all()

    async def _publish(self) -> None:
        """Write the ConfigMap by which clients find the gateway and Prometheus."""
        data = {
            "gateway": f"http://{self._settings.gateway}",
            "started": self._settings.started,
        }
        if self._settings.prometheus_port is not None:
            data["prometheus"] = f"http://127.0.0.1:{self._settings.prometheus_port}"
        metadata = {"name": DIRECTORY, "namespace": configuration.NAMESPACE}
        wanted = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
        try:
            await self._api.create(client.CONFIG_MAP, wanted)
        except errors.ApiError as error:
            if error.reason != "AlreadyExists":
                raise
            absent = {"prometheus": None}
            await self._api.patch(client.CONFIG_MAP, wanted, {"data": {**absent, **data}})


async def run(home: layout.Home) -> None:
    """Be the agent of a home, once its API server answers."""
    async with (
        client.Client(home.node_kubeconfig) as api,
        supervision.Client(home.supervisor_socket) as supervisor,
    ):
        while not await api.ready():  # noqa: ASYNC110  it is another process
            await asyncio.sleep(0.05)
        with contextlib.suppress(asyncio.CancelledError):
            await Agent(home, api, supervisor).run()

"""The autoscaler's eyes and hands: each revision's load, and another number of pods for it.

Loads are Envoy's own counts: requests at work, which include those that wait at a gate, and all
requests so far. :mod:`calumma.cluster.knative.autoscaling` decides every other second, as in
Knative. A request that meets a revision without pods is told by the activator and acted on at once.
Decisions live in the revision's ``status.desiredReplicas``, from where a new agent goes on.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

import httpx

from calumma import errors
from calumma.cluster import conditions, objects
from calumma.cluster.knative import autoscaling
from calumma.cluster.knative import revision as knative
from calumma.cluster.node import endpoints, gateway
from calumma.cluster.objects import Object

log = logging.getLogger(__name__)

_SAMPLE = 1.0
_SAMPLES_PER_DECISION = 2


class Scaling:
    """Decisions for all revisions that are ready.

    ``revisions`` gives their objects as they are now, ``settings`` Knative's ConfigMap for the
    autoscaler, ``changed`` is called with a revision whose number of pods should be another one,
    ``room`` is how many pods one without ``maxReplicas`` may have.
    """

    def __init__(
        self,
        control: gateway.Gateway,
        revisions: Callable[[], Iterable[Object]],
        settings: Callable[[], Mapping[str, Any] | None],
        changed: Callable[[Object], None],
        room: int,
    ) -> None:
        self._room = room
        self._gateway = control
        self._revisions = revisions
        self._settings = settings
        self._changed = changed
        self._autoscalers: dict[str, autoscaling.Autoscaler] = {}
        self._decided: dict[str, int] = {}
        self._complaints: dict[str, str] = {}
        self._totals: dict[str, int] = {}

    def decisions(self, revisions: Iterable[Object]) -> dict[str, int]:
        """What was decided for these revisions, by name; those that nothing is known of lack."""
        named = {objects.name(each): endpoints.name_of(each) for each in revisions}
        return {
            revision: self._decided[name]
            for revision, name in named.items()
            if name in self._decided
        }

    async def run(self) -> None:
        """Sample and decide until cancelled."""
        count = 0
        while True:
            await asyncio.sleep(_SAMPLE)
            try:
                await self._sample()
            except (httpx.HTTPError, ValueError) as error:
                log.debug("no loads: %s", error)
                self._totals.clear()
                continue
            count += 1
            if count % _SAMPLES_PER_DECISION == 0:
                self._decide_all()

    def demand(self, name: str, waiting: int) -> None:
        """Requests wait at a gate: a revision without pods is given some at once."""
        if not waiting:
            return
        for revision in self._revisions():
            if endpoints.name_of(revision) != name:
                continue
            desired = objects.dig(revision, "status", "desiredReplicas")
            if self._decided.get(name, desired) == 0:
                spec = self._spec(revision)
                wanted = 1 if spec is None else spec.bounded(max(1, spec.activation))
                log.info("%s is asked for: %d pods", name, wanted)
                self._autoscalers.pop(name, None)
                self._decided[name] = wanted
                self._changed(revision)
            return

    async def _sample(self) -> None:
        loads = await self._gateway.loads()
        now = time.time()
        for name, autoscaler in self._autoscalers.items():
            load = loads.get(name)
            if load is not None:
                before = self._totals.get(name, load.total)
                rate = max(0, load.total - before) / _SAMPLE
                autoscaler.record(autoscaling.Load(now, load.active, rate))
        self._totals = {name: load.total for name, load in loads.items()}

    def _decide_all(self) -> None:
        now = time.time()
        present = set()
        for revision in self._revisions():
            name = endpoints.name_of(revision)
            stored = objects.dig(revision, "status", "desiredReplicas", default=0)
            desired = self._decided.get(name, stored)
            if not desired or not knative.is_ready(revision):
                continue
            present.add(name)
            ready = objects.dig(revision, "status", "actualReplicas", default=0)
            if name not in self._autoscalers:
                self._autoscalers[name] = autoscaling.Autoscaler(ready, now)
            spec = self._spec(revision)
            if spec is None or not ready:
                continue
            wanted = self._autoscalers[name].decide(spec, ready, _active_since(revision), now)
            if wanted is not None and wanted != desired:
                log.info("%s: %d pods instead of %d", name, wanted, desired)
                self._decided[name] = wanted
                self._changed(revision)
        for name in set(self._autoscalers) - present:
            del self._autoscalers[name]
        known = {endpoints.name_of(revision) for revision in self._revisions()}
        for name in set(self._decided) - known:
            del self._decided[name]

    def _spec(self, revision: Object) -> autoscaling.Spec | None:
        name = endpoints.name_of(revision)
        try:
            spec = autoscaling.spec(revision, self._settings(), self._room)
        except errors.ConfigurationError as error:
            if self._complaints.get(name) != str(error):
                log.warning("%s is not scaled: %s", name, error)
            self._complaints[name] = str(error)
            return None
        self._complaints.pop(name, None)
        return spec


def _active_since(revision: Object) -> float:
    """When a revision had its first ready pod, in seconds since the epoch."""
    stored = objects.dig(revision, "status", "conditions", default=[])
    active = conditions.find(stored, knative.ACTIVE) or {}
    since = active.get("lastTransitionTime")
    return datetime.fromisoformat(since).timestamp() if since else time.time()

"""The process that carries rollouts out runs while there is something to carry out.

That is an InferenceService that names a policy, or a ConfigMap in which a rollout lies that has not
ended. Both may come by kubectl alone, so the node looks for them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from pathlib import Path

from calumma import errors
from calumma.cluster import layout, objects
from calumma.cluster.node import own, supervision
from calumma.cluster.objects import Object
from calumma.cluster.programs import program as programs

log = logging.getLogger(__name__)

PROGRAM = "rollouts"
ANNOTATION = "rollout.calumma.dev/policy"
"""On an InferenceService: the name of the ConfigMap with its policy."""
ACTIVE = "rollout.calumma.dev/active"
"""A label of the ConfigMap of a rollout, ``true`` until it has ended."""

_GRACE = 40.0


class Driving:
    """Has the supervisor start the process, and end it when nothing is left to do."""

    def __init__(self, home: layout.Home, project: str, supervisor: supervision.Client) -> None:
        self._wanted = own.wanted(home, PROGRAM, _program(home, project), grace=_GRACE)
        self._supervisor = supervisor
        self._running: bool | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def look(self, services: Iterable[Object], config_maps: Iterable[Object]) -> None:
        """Start or end it, by what there is."""
        needed = any(ANNOTATION in objects.annotations_of(each) for each in services) or any(
            _is_open(each) for each in config_maps
        )
        if needed == self._running:
            return
        self._running = needed
        task = asyncio.create_task(self._ask(needed))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _ask(self, needed: bool) -> None:
        try:
            if needed:
                await self._supervisor.put(self._wanted)
            else:
                await self._supervisor.stop(PROGRAM)
        except errors.CalummaError as error:
            log.warning("%s: %s", PROGRAM, error)
            self._running = None


def _program(home: layout.Home, project: str) -> programs.Program:
    found = own.module(home, "rollout")
    environment = {"CALUMMA_HOME": str(home.path), "KUBECONFIG": str(home.kubeconfig)}
    return programs.Program(found.argv, environment, Path(project or home.path))


def _is_open(config_map: Object) -> bool:
    """Whether a ConfigMap holds a rollout that has not ended, or a wish for one that has."""
    active = objects.labels_of(config_map).get(ACTIVE)
    return active == "true" or (active is not None and "request" in (config_map.get("data") or {}))

"""The process that carries rollouts out runs while there is something to carry out.

That is an InferenceService that names a policy, or a ConfigMap in which a rollout lies that has not
ended. Both may come by kubectl alone, so the node looks for them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterable
from pathlib import Path

from calumma import errors
from calumma.cluster import layout, objects
from calumma.cluster.node import own, supervision
from calumma.cluster.objects import Object
from calumma.cluster.programs import program as programs
from calumma.rollout import names

log = logging.getLogger(__name__)

PROGRAM = "rollouts"

_GRACE = 40.0
_LINGER = 60.0
_PAUSE = 0.5


class Driving:
    """Has the supervisor start the process, and end it once nothing is left to do for long."""

    def __init__(self, home: layout.Home, project: str, supervisor: supervision.Client) -> None:
        self._wanted = own.wanted(home, PROGRAM, _program(home, project), grace=_GRACE)
        self._supervisor = supervisor
        self._needed = False
        self._running: bool | None = None
        self._looked = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def look(self, services: Iterable[Object], config_maps: Iterable[Object]) -> None:
        """Start or end it, by what there is."""
        self._needed = any(
            names.POLICY in objects.annotations_of(each) for each in services
        ) or any(_is_open(each) for each in config_maps)
        self._looked.set()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._settle())

    async def _settle(self) -> None:
        """Ask until what runs is what is needed."""
        while self._needed != self._running:
            try:
                if self._needed:
                    row = await self._supervisor.put(self._wanted)
                    # One that is still ending stays as it is, and another one is put in its place.
                    self._running = row is not None and row.state != "stopping"
                else:
                    await self._end()
            except errors.CalummaError as error:
                log.warning("%s: %s", PROGRAM, error)
            if self._needed != self._running:
                await asyncio.sleep(_PAUSE)

    async def _end(self) -> None:
        """End it after a while: it may have evidence to keep, and another rollout may begin."""
        deadline = asyncio.get_running_loop().time() + _LINGER
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(deadline):
                while not self._needed:
                    self._looked.clear()
                    await self._looked.wait()
        if not self._needed:
            await self._supervisor.stop(PROGRAM)
            self._running = False


def _program(home: layout.Home, project: str) -> programs.Program:
    found = own.module(home, "rollout")
    environment = {"CALUMMA_HOME": str(home.path), "KUBECONFIG": str(home.kubeconfig)}
    return programs.Program(found.argv, environment, Path(project or home.path))


def _is_open(config_map: Object) -> bool:
    """Whether a ConfigMap holds a rollout that has not ended, or a wish for one that has."""
    active = objects.labels_of(config_map).get(names.ACTIVE)
    return active == "true" or (active is not None and "request" in (config_map.get("data") or {}))

"""Waiting until a cluster that was started answers, with the reason when it does not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from calumma import errors
from calumma.cluster import conditions, layout, objects, preparation
from calumma.cluster.kserve import configuration
from calumma.cluster.node import agent, client, owners, supervision
from calumma.cluster.node import settings as settings_room

TIMEOUT = 60.0
_RESTARTS = 3
"""After so many a program that we wait for is given up."""

_PAUSE = 0.05
_TAIL = 20


async def wait(home: layout.Home, settings: settings_room.Settings, tell: preparation.Tell) -> None:
    """Return when the API, the gateway and the agent answer and earlier services are back.

    Raises StartFailed, with the end of the log, when one of them does not in time.
    """
    deadline = time.monotonic() + TIMEOUT

    async def until(what: str, program: str, ready: Callable[[], Awaitable[bool]]) -> None:
        tell(what)
        while not await ready():  # other processes: nothing here could be awaited
            late = time.monotonic() > deadline
            if late or await _restarts(home, program) >= _RESTARTS:
                why = f"within {TIMEOUT:g} s" if late else f"after {_RESTARTS} more attempts"
                log = home.log(program)
                raise errors.StartFailed(
                    f"{what[0].upper()}{what[1:]} did not succeed {why}. {log} ends with:\n"
                    f"{tail(log)}"
                )
            await asyncio.sleep(_PAUSE)

    await until("starting the supervisor", "supervisor", lambda: _supervised(home))
    async with client.Client(home.node_kubeconfig) as api:
        await until("starting the Kubernetes API", preparation.API, api.ready)
        gateway, prometheus = settings.gateway_port, settings.prometheus_port
        await until("starting the gateway", preparation.ENVOY, lambda: _listens(gateway))
        if prometheus is not None:
            what = "starting Prometheus"
            await until(what, preparation.PROMETHEUS, lambda: _listens(prometheus))
        await until("starting the node", preparation.AGENT, lambda: _published(api, settings))
        if not await _restored(api):
            await until("restoring services", preparation.AGENT, lambda: _restored(api))


def tail(log: Path) -> str:
    """The last lines of a log."""
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-_TAIL:])
    except OSError as error:
        return f"({error.strerror})"


async def _supervised(home: layout.Home) -> bool:
    return home.supervisor_socket.exists()


async def _restarts(home: layout.Home, program: str) -> int:
    """How often a program had to be started again."""
    if not await _supervised(home):
        return 0
    async with supervision.Client(home.supervisor_socket) as supervisor:
        rows = {row.wanted.name: row for row in await supervisor.list()}
    return rows[program].restarts if program in rows else 0


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def _published(api: client.Client, settings: settings_room.Settings) -> bool:
    """Whether this agent has written where the gateway is, the last step of its start."""
    try:
        found = await api.get(client.CONFIG_MAP, configuration.NAMESPACE, agent.DIRECTORY)
    except errors.ApiError:
        return False
    return bool(found["data"].get("started") == settings.started)


async def _restored(api: client.Client) -> bool:
    """Whether every pod of an owner that was ready before is ready again."""
    was_ready = {
        owners.Owner(kind.name, objects.namespace(each), objects.name(each))
        for kind in owners.KINDS.values()
        for each in (await api.list(kind.resource)).items
        if conditions.is_true(objects.dig(each, "status", "conditions", default=[]))
    }
    return all(
        conditions.is_true(objects.dig(pod, "status", "conditions", default=[]))
        for pod in (await api.list(client.POD)).items
        if owners.owner_of(pod) in was_ready
    )

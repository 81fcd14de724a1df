"""Envoy's control plane: writes its files in the order that loses no request, and waits for it.

A route must never name a cluster that Envoy does not have. So a change goes in three steps, each
confirmed by Envoy before the next: clusters that come or change, then routes and listeners, then
clusters that go. Confirmation is Envoy's own report of the versions it serves, read from its
admin socket; nothing is assumed.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from calumma import errors
from calumma.cluster.programs import envoy, upstreams

_PATIENCE = 5.0
_PAUSE = 0.004
_SOCKETS = Path("/proc/self/net/tcp")
_ESTABLISHED = "01"
_LOAD = r"^cluster\..*\.upstream_rq_(active|total)$"


class Load(NamedTuple):
    """A backend's requests at work now, and all that it ever had."""

    active: int
    total: int


class Gateway:
    """Brings Envoy to a description of the gateway, and reads what it is doing."""

    def __init__(self, directory: Path, admin_socket: Path) -> None:
        self._directory = directory
        self._http = httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(uds=str(admin_socket)),
            base_url="http://envoy",
            timeout=2.0,
        )
        self._present: envoy.Gateway | None = None
        self._lock = asyncio.Lock()

    async def apply(self, wanted: envoy.Gateway) -> None:
        """Return when Envoy serves ``wanted``; raises GatewayNotReady when it does not in time."""
        async with self._lock:
            if wanted == self._present:
                return
            self._present = None
            files = envoy.files(wanted, self._directory)
            staying = {cluster["name"] for cluster in files.clusters.content["resources"]}
            before = self._read(files.clusters.name).get("resources", [])
            going = [cluster for cluster in before if cluster["name"] not in staying]
            both = envoy.cluster_file([*files.clusters.content["resources"], *going])
            await self._write([both])
            await self._write([*files.routes, files.listeners])
            await self._write([files.clusters])
            self._present = wanted

    async def loads(self) -> dict[str, Load]:
        """The load of every backend by its name."""
        answer = await self._http.get("/stats", params={"filter": _LOAD, "format": "json"})
        found: dict[str, dict[str, int]] = {}
        for each in answer.json()["stats"]:
            backend, _, figure = each.get("name", "").rpartition(".")
            found.setdefault(backend.removeprefix("cluster."), {})[figure] = int(each["value"])
        return {
            backend: Load(figures["upstream_rq_active"], figures["upstream_rq_total"])
            for backend, figures in found.items()
            if len(figures) == 2
        }

    async def active_requests(self, backend: str) -> int:
        """Requests that a backend is working on now; 0 when Envoy does not know it."""
        load = (await self.loads()).get(backend)
        return 0 if load is None else load.active

    async def close(self) -> None:
        """Close the connection to the admin socket."""
        await self._http.aclose()

    async def _write(self, files: Sequence[envoy.File]) -> None:
        """Write the files that differ and return when Envoy serves all of them."""
        for file in files:
            if self._read(file.name) != file.content:
                write(self._directory / file.name, file.content)
        expected = {file.statistic: file.content["version_info"] for file in files}
        deadline = asyncio.get_running_loop().time() + _PATIENCE
        while missing := await self._missing(expected):
            if asyncio.get_running_loop().time() > deadline:
                raise errors.GatewayNotReady(
                    f"Envoy has not taken {', '.join(sorted(missing))} over within "
                    f"{_PATIENCE:g} s; `calumma logs envoy` says why."
                )
            await asyncio.sleep(_PAUSE)

    def _read(self, name: str) -> upstreams.Resource:
        try:
            content: upstreams.Resource = json.loads((self._directory / name).read_text())
        except (FileNotFoundError, ValueError):
            return {}
        return content

    async def _missing(self, expected: Mapping[str, str]) -> set[str]:
        """The statistics that do not show the version we expect yet."""
        try:
            answer = await self._http.get(
                "/stats", params={"type": "TextReadouts", "filter": "version_text$"}
            )
        except httpx.HTTPError:
            return set(expected)
        found = {}
        for line in answer.text.splitlines():
            name, _, value = line.partition(": ")
            found[name] = value.strip('"')
        return {name for name, version in expected.items() if found.get(name) != version}


def connections(port: int) -> int:
    """Connections from the gateway, its gates included, to a pod's port on this machine.

    Source: the kernel's table of TCP sockets, ``proc_net_tcp``.
    """
    ends = (f"{_hexadecimal(upstreams.SOURCE)}:", f"{_hexadecimal('127.0.0.1')}:{port:04X}")
    rows = map(str.split, _SOCKETS.read_text().splitlines())
    return sum(
        local.startswith(ends[0]) and remote == ends[1] and state == _ESTABLISHED
        for _, local, remote, state, *_ in rows
    )


def _hexadecimal(address: str) -> str:
    """An IPv4 address as the kernel's tables show it: one number in the machine's byte order."""
    return f"{int.from_bytes(socket.inet_aton(address), sys.byteorder):08X}"


def write(path: Path, content: Any) -> None:
    """Replace a JSON file as a whole: who follows it reads the old or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps(content))
    draft.replace(path)

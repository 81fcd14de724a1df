"""The gateway of the whole node, put together from every owner's part.

Remembers what Envoy has confirmed, so that the controllers report weights that are in effect, and
writes Prometheus' targets, which follow the same programs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from calumma.cluster import objects
from calumma.cluster.node import gateway, metrics, owners, routing
from calumma.cluster.node import settings as settings_room
from calumma.cluster.objects import Object
from calumma.cluster.programs import envoy, prometheus, upstreams


class Traffic:
    """All parts, and the traffic of each Knative Service that Envoy has confirmed."""

    def __init__(
        self, settings: settings_room.Settings, control: gateway.Gateway, targets_file: Path
    ) -> None:
        self._settings = settings
        self._gateway = control
        self._targets_file = targets_file
        self._parts: dict[owners.Owner, routing.Part] = {}
        self._targets: dict[owners.Owner, list[prometheus.Target]] = {}
        self._programmed: dict[owners.Owner, dict[str, Sequence[Mapping[str, Any]]]] = {}

    def programmed(
        self, owner: owners.Owner, services: Sequence[Object]
    ) -> dict[str, Sequence[Mapping[str, Any]]]:
        """The confirmed traffic of an owner, by its Knative Services or its routes.

        What an earlier agent had confirmed is in the status of these Knative Services.
        """
        stored = {
            objects.name(each): objects.dig(each, "status", "traffic", default=[])
            for each in services
        }
        known = {**stored, **self._programmed.get(owner, {})}
        return {name: traffic for name, traffic in known.items() if traffic}

    def adopt(self, owner: owners.Owner, part: routing.Part) -> None:
        """Count a part as present without telling Envoy, for an agent that starts."""
        self._parts[owner] = part

    async def apply(
        self,
        owner: owners.Owner,
        part: routing.Part,
        traffic: Mapping[str, Sequence[Mapping[str, Any]]],
    ) -> bool:
        """Bring Envoy to a changed part; whether anything was confirmed that was not before.

        Raises GatewayNotReady when Envoy does not take it over.
        """
        if part == routing.Part():
            self._parts.pop(owner, None)
        else:
            self._parts[owner] = part
        await self._gateway.apply(self._whole())
        metrics.set_traffic(weight for part in self._parts.values() for weight in part.weights)
        if not part.hosts and not traffic:
            self._programmed.pop(owner, None)
        changed = False
        for name, confirmed in traffic.items():
            known = self._programmed.setdefault(owner, {})
            if known.get(name) != confirmed:
                known[name] = list(confirmed)
                changed = True
        return changed

    async def is_idle(self, backend: str, port: int) -> bool:
        """Whether a pod of a backend gets no new request and works on none.

        It gets none when no route leads to the backend, or when the pod drains.
        """
        parts = self._parts.values()
        if any(_takes(part, backend, port) for part in parts):
            return False
        grpc = backend + upstreams.GRPC
        if any(_leads_to(part, backend) for part in parts):
            beside = {
                each
                for part in parts
                for found in part.backends
                if found.name == grpc
                for each in found.draining
            }
            return not any(map(gateway.connections, (port, *beside)))
        try:
            return not any([await self._gateway.active_requests(n) for n in (backend, grpc)])
        except httpx.HTTPError:
            return True

    def set_targets(self, owner: owners.Owner, targets: list[prometheus.Target]) -> None:
        """Tell Prometheus where one owner's metrics are."""
        if targets == self._targets.get(owner, []):
            return
        self._targets[owner] = targets
        everything = [target for each in self._targets.values() for target in each]
        gateway.write(self._targets_file, prometheus.targets(everything))

    def _whole(self) -> envoy.Gateway:
        parts = [self._parts[owner] for owner in sorted(self._parts)]
        return envoy.Gateway(
            self._settings.gateway_port,
            self._settings.address,
            self._settings.statistics_port,
            routing.distinct(host for part in parts for host in part.hosts),
            tuple(entrance for part in parts for entrance in part.entrances),
            tuple(backend for part in parts for backend in part.backends),
        )


def _leads_to(part: routing.Part, backend: str) -> bool:
    splits = [host.split for host in part.hosts] + [each.split for each in part.entrances]
    return any(backend in split.backends for split in splits)


def _takes(part: routing.Part, backend: str, port: int) -> bool:
    """Whether a pod gets requests of a backend that a route leads to."""
    ports = {port for each in part.backends if each.name == backend for port in each.endpoints}
    return port in ports and _leads_to(part, backend)

"""One owner's part of the gateway: its host names, its splits, its pods' ports.

Source of the names: KServe's VirtualService and Knative's Route. Pure.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from calumma.cluster import objects
from calumma.cluster.knative import route
from calumma.cluster.node import owners, rollouts
from calumma.cluster.objects import Object
from calumma.cluster.programs import envoy, splits, upstreams
from calumma.rollout.routing import Routing

PUBLIC_DOMAINS = ("localhost", "example.com")
"""Our own and KServe's default."""

DOMAINS = (*PUBLIC_DOMAINS, route.CLUSTER_DOMAIN, "svc", "")
"""The public ones and the forms of a name inside a cluster."""

DEFAULT_TIMEOUT = 300.0
"""Seconds, Knative's ``timeoutSeconds`` for revisions that set none."""

ENTRANCE = "calumma/entrance"
"""The annotation of a predictor's Knative Service with the loopback port for its transformer."""


@dataclass(frozen=True)
class Part:
    """What one owner adds to the gateway.

    ``weights`` are the percentages of all its components by backend name.
    """

    hosts: tuple[envoy.Host, ...] = ()
    entrances: tuple[envoy.Entrance, ...] = ()
    backends: tuple[upstreams.Backend, ...] = ()
    weights: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class Routed:
    """A component's Knative Service with the traffic that it should have."""

    service: Object
    traffic: Sequence[Mapping[str, Any]]

    @property
    def component(self) -> str:
        """Its component's name."""
        return owners.component_of(self.service)

    @property
    def timeout(self) -> float:
        """Seconds that a request may take."""
        spec = objects.dig(self.service, "spec", "template", "spec", default={})
        return float(spec.get("timeoutSeconds", DEFAULT_TIMEOUT))


def part(
    service_name: str,
    namespace: str,
    routed: Sequence[Routed],
    backends: Iterable[upstreams.Backend],
    asked: Routing,
) -> Part:
    """The part of the owner ``service_name``; services without traffic have no host.

    Tagged hosts lead to one revision whatever a rollout has ``asked`` for.
    """
    known = {backend.revision: backend for backend in backends}
    found = [_split(each, known, each.traffic) for each in routed]
    whole = [split for split in found if split is not None]
    canaries = rollouts.mirrored(asked, known.values(), whole)
    divided = {each.component: rollouts.with_wishes(each, asked, canaries) for each in whole}
    hosts: list[envoy.Host] = []
    entrances: list[envoy.Entrance] = []
    weights: list[tuple[str, int]] = []
    for each in routed:
        name = objects.name(each.service)
        split = divided.get(each.component)
        if split is None:
            continue
        weights += split.shares
        local = route.is_local(each.service)
        hosts.append(_host(name, namespace, split, local=local))
        for entry in each.traffic:
            alone = _split(each, known, [{**entry, "percent": 100}])
            if entry.get("tag") and alone is not None:
                hosts.append(_host(f"{entry['tag']}-{name}", namespace, alone, local=local))
        port = objects.annotations_of(each.service).get(ENTRANCE)
        if port is not None:
            entrances.append(envoy.Entrance(f"{namespace}/{name}", int(port), split))
    front = _front(service_name, namespace, routed, divided)
    if front is not None:
        hosts.append(front)
    present = rollouts.marked(known.values(), canaries)
    return Part(tuple(hosts), tuple(entrances), tuple(present), tuple(weights))


def names(host: str, *, local: bool = False) -> tuple[str, ...]:
    """All names by which ``<service>.<namespace>`` can be asked for; none public if ``local``."""
    domains = [domain for domain in DOMAINS if not (local and domain in PUBLIC_DOMAINS)]
    return tuple(f"{host}.{domain}" if domain else host for domain in domains)


def distinct(hosts: Iterable[envoy.Host]) -> tuple[envoy.Host, ...]:
    """The hosts with each name once: who comes first has it.

    Two owners can mean one name (``a-b`` in ``c`` and ``a`` in ``b-c`` are both ``a-b-c``), and
    Envoy would take no route at all from a file that says it twice.
    """
    taken: set[str] = set()
    found = []
    for host in hosts:
        free = tuple(name for name in host.domains if name not in taken)
        taken.update(free)
        if free:
            found.append(dataclasses.replace(host, domains=free))
    return tuple(found)


def _front(
    service_name: str,
    namespace: str,
    routed: Sequence[Routed],
    divided: Mapping[str, splits.Split],
) -> envoy.Host | None:
    """The InferenceService's own host: it leads to the transformer, else to the predictor."""
    by_component = {each.component: each for each in routed}
    entrance = by_component.get("transformer") or by_component.get("predictor")
    if entrance is None or not all(each.traffic for each in routed):
        return None
    split = divided.get(entrance.component)
    if split is None:
        return None
    authority = f"{objects.name(entrance.service)}.{namespace}.svc.cluster.local"
    headers = {"KServe-Isvc-Name": service_name, "KServe-Isvc-Namespace": namespace}
    local = route.is_local(entrance.service)
    return _host(service_name, namespace, split, authority, headers, local=local)


def _host(
    name: str,
    namespace: str,
    split: splits.Split,
    authority: str = "",
    headers: Mapping[str, str] | None = None,
    *,
    local: bool,
) -> envoy.Host:
    host = f"{name}.{namespace}"
    return envoy.Host(host, names(host, local=local), split, authority, headers or {})


def _split(
    each: Routed, known: Mapping[str, upstreams.Backend], traffic: Iterable[Mapping[str, Any]]
) -> splits.Split | None:
    """The weights by backend; targets on the same revision are added up."""
    shares: dict[str, int] = {}
    for entry in traffic:
        backend = known.get(entry["revisionName"])
        if backend is None:
            return None
        shares[backend.name] = shares.get(backend.name, 0) + entry["percent"]
    if not any(shares.values()):
        return None
    return splits.Split(each.component, tuple(shares.items()), each.timeout)

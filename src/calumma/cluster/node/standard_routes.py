"""An InferenceService's part of the gateway in Standard mode.

Public hosts are ``<name>-<namespace>.<domain>`` and lead where KServe's HTTPRoutes do: that of the
predictor is divided among its variants. A Service's name leads to its own Deployment alone, as it
does inside a cluster, and so does the loopback entrance that stands for it.
Source: kserve ``reconcilers/ingress/httproute_reconciler.go``. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from calumma.cluster import objects
from calumma.cluster.knative import route
from calumma.cluster.kserve import controller, standard
from calumma.cluster.node import owners, routing
from calumma.cluster.objects import Object
from calumma.cluster.programs import envoy, upstreams

PUBLIC = ("localhost", "example.com")
"""The domains of public hosts: our own, and KServe's default."""

TIMEOUT = 60.0
"""Seconds, KServe's for a route whose component sets none."""

_UNLIMITED = 0.0
"""A Service's name is no route of KServe's and sets no limit."""


def part(
    isvc: Object,
    deployments: Sequence[Object],
    services: Sequence[Object],
    traffic: Mapping[str, Sequence[Mapping[str, Any]]],
    backends: Iterable[upstreams.Backend],
) -> routing.Part:
    """The part of an InferenceService; ``traffic`` is by route, and what has none has no host.

    One that its label makes cluster-local has no public hosts.
    """
    known = {backend.revision: backend for backend in backends}
    namespace = objects.namespace(isvc)
    headers = {"KServe-Isvc-Name": objects.name(isvc), "KServe-Isvc-Namespace": namespace}
    hosts: list[envoy.Host] = []
    weights: list[tuple[str, int]] = []
    splits: dict[str, envoy.Split] = {}
    local = route.is_local(isvc)
    asked = controller.components(isvc) if deployments and not local else []
    for component in asked:
        name = standard.route(isvc, component)
        limit = float(objects.dig(isvc, "spec", component, "timeout", default=TIMEOUT))
        split = _split(component, known, traffic.get(name, ()), limit)
        if split is not None:
            splits[component] = split
            weights += split.shares
            hosts.append(_public(f"{name}-{namespace}", split, headers))
    if asked and len(splits) == len(asked):
        own = f"{objects.name(isvc)}-{namespace}"
        hosts.append(_public(own, splits[asked[-1]], headers))
    entrances = []
    ports = {objects.name(each): _entrance(each) for each in services}
    for each in deployments:
        name = objects.name(each)
        alone = [{"revisionName": name, "percent": 100}]
        split = _split(owners.component_of(each), known, alone, _UNLIMITED)
        if split is None:
            continue
        host = f"{name}.{namespace}"
        hosts.append(envoy.Host(host, routing.names(host), split))
        port = ports.get(name)
        if port is not None:
            entrances.append(envoy.Entrance(f"{namespace}/{name}", port, split))
    return routing.Part(tuple(hosts), tuple(entrances), tuple(known.values()), tuple(weights))


def _public(host: str, split: envoy.Split, headers: Mapping[str, str]) -> envoy.Host:
    return envoy.Host(host, tuple(f"{host}.{domain}" for domain in PUBLIC), split, "", headers)


def _entrance(service: Object) -> int | None:
    port = objects.annotations_of(service).get(routing.ENTRANCE)
    return None if port is None else int(port)


def _split(
    component: str,
    known: Mapping[str, upstreams.Backend],
    traffic: Iterable[Mapping[str, Any]],
    timeout: float,
) -> envoy.Split | None:
    """The weights by backend; None where one of them is not there, or where there are none."""
    shares, grpc = [], True
    for entry in traffic:
        backend = known.get(entry["revisionName"])
        if backend is None:
            return None
        grpc = grpc and backend.revision + upstreams.GRPC in known
        shares.append((backend.name, int(entry["percent"])))
    return envoy.Split(component, tuple(shares), timeout, grpc) if shares else None

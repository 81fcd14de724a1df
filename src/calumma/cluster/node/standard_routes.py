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
from calumma.cluster.kserve import controller, standard, vocabulary
from calumma.cluster.node import owners, rollouts, routing
from calumma.cluster.objects import Object
from calumma.cluster.programs import envoy, upstreams
from calumma.cluster.programs.splits import Split
from calumma.rollout.routing import Routing

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
    asked: Routing,
) -> routing.Part:
    """The part of an InferenceService; ``traffic`` is by route, and what has none has no host.

    One that its label makes cluster-local has no public hosts. What a rollout has ``asked`` for
    holds for public hosts, and mirrored requests for the stable predictor's own name as well:
    transformers call that.
    """
    known = {backend.revision: backend for backend in backends}
    namespace = objects.namespace(isvc)
    headers = {"KServe-Isvc-Name": objects.name(isvc), "KServe-Isvc-Namespace": namespace}
    hosts: list[envoy.Host] = []
    components = controller.components(isvc) if deployments else []
    divided = _divided(isvc, components, traffic, known)
    canaries = rollouts.mirrored(asked, known.values(), divided.values())
    if not route.is_local(isvc):
        for component, split in divided.items():
            name = f"{standard.route(isvc, component)}-{namespace}"
            hosts.append(_public(name, rollouts.with_wishes(split, asked, canaries), headers))
        if divided and len(divided) == len(components):
            own = f"{objects.name(isvc)}-{namespace}"
            split = rollouts.with_wishes(divided[components[-1]], asked, canaries)
            hosts.append(_public(own, split, headers))
    weights = [share for split in divided.values() for share in split.shares] if hosts else []
    stable = {split.shares[0][0] for split in divided.values()}
    entrances = []
    ports = {objects.name(each): _entrance(each) for each in services}
    for each in deployments:
        name = objects.name(each)
        alone = [{"revisionName": name, "percent": 100}]
        own_split = _split(owners.component_of(each), known, alone, _UNLIMITED)
        if own_split is None:
            continue
        if own_split.backends <= stable:
            own_split = rollouts.with_wishes(own_split, asked, canaries)
        host = f"{name}.{namespace}"
        hosts.append(envoy.Host(host, routing.names(host), own_split))
        port = ports.get(name)
        if port is not None:
            entrances.append(envoy.Entrance(f"{namespace}/{name}", port, own_split))
    present = rollouts.marked(known.values(), canaries)
    return routing.Part(tuple(hosts), tuple(entrances), tuple(present), tuple(weights))


def _divided(
    isvc: Object,
    components: Sequence[vocabulary.Component],
    traffic: Mapping[str, Sequence[Mapping[str, Any]]],
    known: Mapping[str, upstreams.Backend],
) -> dict[vocabulary.Component, Split]:
    """The split of each component's route that has one; the stable variant comes first."""
    found = {}
    for component in components:
        limit = float(objects.dig(isvc, "spec", component, "timeout", default=TIMEOUT))
        entries = traffic.get(standard.route(isvc, component), ())
        split = _split(component, known, entries, limit)
        if split is not None:
            found[component] = split
    return found


def _public(host: str, split: Split, headers: Mapping[str, str]) -> envoy.Host:
    return envoy.Host(host, tuple(f"{host}.{domain}" for domain in PUBLIC), split, "", headers)


def _entrance(service: Object) -> int | None:
    port = objects.annotations_of(service).get(routing.ENTRANCE)
    return None if port is None else int(port)


def _split(
    component: str,
    known: Mapping[str, upstreams.Backend],
    traffic: Iterable[Mapping[str, Any]],
    timeout: float,
) -> Split | None:
    """The weights by backend; None where one of them is not there, or where there are none."""
    shares, grpc = [], True
    for entry in traffic:
        backend = known.get(entry["revisionName"])
        if backend is None:
            return None
        grpc = grpc and backend.revision + upstreams.GRPC in known
        shares.append((backend.name, int(entry["percent"])))
    return Split(component, tuple(shares), timeout, grpc) if shares else None

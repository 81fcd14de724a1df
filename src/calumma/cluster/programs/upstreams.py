"""Envoy's side of the pods: a cluster for each revision, with the endpoints at which it is reached.

The part of Envoy's configuration below the routes; :mod:`~calumma.cluster.programs.envoy` puts it
into files. A ready pod is preferred to the gate where requests wait, which has a lower priority.

A cluster whose endpoints change is replaced: requests under way end on its old connections, which
close after them. So no connection to a pod that drains means no request, in
:func:`~calumma.cluster.node.gateway.connections`.

Source: Envoy's v3 API reference (Cluster, ClusterLoadAssignment, HttpProtocolOptions).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Resource = dict[str, Any]

API = "type.googleapis.com/envoy"

GRPC = "+grpc"
"""What a backend's name ends in that is the gRPC port beside another backend's HTTP port."""

SOURCE = "127.0.0.2"
"""Where the gateway's connections to pods come from, by which they are told from all others."""

_ANY_POD_WILL_DO = 100_000
"""In percent: one ready pod of many takes everything before the gate takes a part of it."""

_MOST_MIRRORED = 256
"""Requests that a canary may have at a time while it is mirrored to, and as many that wait; those
beyond fail at once, for nobody, so that a canary that hangs does not fill the gateway's memory."""

_LARGEST_MIRRORED = 64 << 20
"""Bytes that wait for a mirrored canary to read them; a user's request waits for what is beyond."""

_IDLE = "30s"
"""Shorter than any server's own keep-alive here, so that no request meets a closing connection."""


@dataclass(frozen=True)
class Backend:
    """The pods of one revision. ``endpoints`` are loopback ports; ``http2`` speaks h2c to them.

    ``draining`` ones finish what they have and get nothing new. ``gate`` is the port where requests
    wait for a pod, 0 for none: it is the last resort or, where the revision is ``limited`` in its
    requests at a time, the only way. ``mirrored`` says that it gets copies of users' requests.
    """

    namespace: str
    service: str
    component: str
    revision: str
    endpoints: tuple[int, ...]
    http2: bool = False
    draining: tuple[int, ...] = ()
    gate: int = 0
    limited: bool = False
    mirrored: bool = False

    @property
    def name(self) -> str:
        """Envoy's name for it, from which Prometheus takes the four labels."""
        return "/".join((self.namespace, self.service, self.component, self.revision))


def cluster(backend: Backend) -> Resource:
    """A backend's cluster."""
    protocol: Resource = {"http_protocol_options": {}}
    if backend.http2:
        protocol = {"http2_protocol_options": {}}
    common: Resource = {"idle_timeout": _IDLE}
    if backend.limited:
        common["max_requests_per_connection"] = 1
    most = (4096, 16384, 16384)
    if backend.mirrored:
        most = (_MOST_MIRRORED,) * 3
    names = ("max_connections", "max_pending_requests", "max_requests")
    options = f"{API}.extensions.upstreams.http.v3.HttpProtocolOptions"
    return {
        "name": backend.name,
        "type": "STATIC",
        "connect_timeout": "2s",
        "lb_policy": "LEAST_REQUEST",
        "load_assignment": _assignment(backend),
        "upstream_bind_config": {"source_address": {"address": SOURCE, "port_value": 0}},
        "circuit_breakers": {"thresholds": [dict(zip(names, most, strict=True))]},
        **({"per_connection_buffer_limit_bytes": _LARGEST_MIRRORED} if backend.mirrored else {}),
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": options,
                "explicit_http_config": protocol,
                "common_http_protocol_options": common,
            }
        },
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
    }


def _assignment(backend: Backend) -> Resource:
    """Where a backend's requests go: its ready pods, and behind them its gate."""
    first = [_endpoint(port) for port in backend.endpoints if not backend.limited]
    first += [{**_endpoint(port), "health_status": "DRAINING"} for port in backend.draining]
    priorities: list[Resource] = [{"lb_endpoints": first}]
    if backend.gate:
        priorities.append({"lb_endpoints": [_endpoint(backend.gate)], "priority": 1})
    return {
        "cluster_name": backend.name,
        "endpoints": priorities,
        "policy": {"overprovisioning_factor": _ANY_POD_WILL_DO},
    }


def _endpoint(port: int) -> Resource:
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    return {"endpoint": {"address": address}}

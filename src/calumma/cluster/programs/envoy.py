"""Envoy's configuration: listeners, routes, clusters and endpoints from a gateway's description.

One plaintext port takes HTTP/1.1 and h2c and routes by Host; each predictor behind a transformer
has a loopback listener of its own, because KServe's client cannot set the Host. Both lead to the
same weighted split, so a transformer's calls are divided as the outside's are. The resources are
four files that Envoy watches, however many services there are, because each file takes one of the
few inotify instances that a kernel grants a user. A file is replaced as a whole, so a request sees
the old weights or the new ones and never none. :mod:`calumma.cluster.node.gateway` writes them in
the right order.

Source: Envoy's v3 API reference (xDS by file, weighted clusters, HTTP connection manager).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from calumma.cluster.programs import program as programs
from calumma.cluster.programs import splits, upstreams
from calumma.cluster.programs.upstreams import Resource

GATEWAY = "gateway"
ENTRANCES = "entrances"
ADMIN = "admin"
LISTENERS = "lds.json"
CLUSTERS = "cds.json"

_BUCKETS = (1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 75, 100, 150, 200, 300, 500, 1000, 2000, 5000, 15000)
_KEPT_STATISTICS = (
    r"cluster\..+\.(upstream_rq.*|upstream_cx_active|upstream_cx_connect_fail)",
    r"http\..+\.downstream_(rq|cx).*",
    r"server\.(live|state|uptime|memory_allocated)",
    r".*\.(version_text|update_rejected)",
)


@dataclass(frozen=True)
class Host:
    """A virtual host: the names it answers to and where it leads.

    ``authority`` and ``headers`` are what the backend sees: its own internal name, and KServe's
    two headers.
    """

    name: str
    domains: tuple[str, ...]
    split: splits.Split
    authority: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Entrance:
    """A predictor's own loopback port, for its transformer."""

    name: str
    port: int
    split: splits.Split


@dataclass(frozen=True)
class Gateway:
    """All that Envoy should know."""

    port: int
    address: str
    statistics_port: int
    hosts: tuple[Host, ...] = ()
    entrances: tuple[Entrance, ...] = ()
    backends: tuple[upstreams.Backend, ...] = ()


UNKNOWN_HOST = "x-calumma-unknown-host"
"""The response header by which the gateway says that no service has this host name."""


def program(binary: Path, bootstrap_file: Path, directory: Path, workers: int) -> programs.Program:
    """The Envoy process."""
    argv = (
        str(binary),
        "--config-path",
        str(bootstrap_file),
        "--concurrency",
        str(workers),
        "--disable-hot-restart",
        "--log-level",
        "warning",
    )
    return programs.Program(argv, {}, directory)


def bootstrap(directory: Path, admin_socket: Path) -> Resource:
    """The static configuration: where the files are, and an admin socket of the file system."""
    pipe = {"path": str(admin_socket)}
    admin = {"endpoint": {"address": {"pipe": pipe}}}
    return {
        "node": {"id": "calumma", "cluster": "calumma"},
        "admin": {"address": {"pipe": {**pipe, "mode": 0o600}}},
        "dynamic_resources": {
            "lds_config": _watched(directory / LISTENERS),
            "cds_config": _watched(directory / CLUSTERS),
        },
        "static_resources": {
            "clusters": [
                {
                    "name": ADMIN,
                    "type": "STATIC",
                    "load_assignment": {
                        "cluster_name": ADMIN,
                        "endpoints": [{"lb_endpoints": [admin]}],
                    },
                }
            ]
        },
        # Histograms are told as of the last flush, counters as of now.
        "stats_flush_interval": "0.5s",
        "stats_config": {
            "histogram_bucket_settings": [
                {"match": {"suffix": "upstream_rq_time"}, "buckets": list(_BUCKETS)}
            ],
            "stats_matcher": {
                "inclusion_list": {
                    "patterns": [{"safe_regex": {"regex": each}} for each in _KEPT_STATISTICS]
                }
            },
        },
    }


class File(NamedTuple):
    """One watched file: its name in Envoy's directory, its content, and where Envoy tells about it.

    Once Envoy serves the content, its statistic ``statistic`` shows the content's version.
    """

    name: str
    content: Resource
    statistic: str


class Files(NamedTuple):
    """All watched files; the entrances share their routes, which are there if any entrance is."""

    listeners: File
    routes: list[File]
    clusters: File


def files(gateway: Gateway, directory: Path) -> Files:
    """The files that describe a gateway."""

    def manager(routes: str) -> Resource:
        source = _watched(directory / _routes_file(routes))
        return _manager(routes, {"rds": {"route_config_name": routes, "config_source": source}})

    listeners = [
        _listener(GATEWAY, gateway.address, gateway.port, manager(GATEWAY)),
        _listener("statistics", "127.0.0.1", gateway.statistics_port, _statistics()),
        *(_listener(e.name, "127.0.0.1", e.port, manager(ENTRANCES)) for e in gateway.entrances),
    ]
    routes = [_gateway_routes(gateway.hosts)]
    if gateway.entrances:
        routes.append(_entrance_routes(gateway.entrances))
    clusters = list(map(upstreams.cluster, gateway.backends))
    return Files(
        File(
            LISTENERS,
            _versioned(listeners, "config.listener.v3.Listener"),
            "listener_manager.lds.version_text",
        ),
        list(map(_routes, routes)),
        cluster_file(_versioned(clusters, "config.cluster.v3.Cluster")["resources"]),
    )


def cluster_file(clusters: Sequence[Resource]) -> File:
    """The file of all clusters, from resources of this file or of an earlier one."""
    content = {"version_info": _version(clusters), "resources": list(clusters)}
    return File(CLUSTERS, content, "cluster_manager.cds.version_text")


def _routes(routes: Resource) -> File:
    name = routes["name"]
    content = _versioned([routes], "config.route.v3.RouteConfiguration")
    return File(_routes_file(name), content, f"http.{name}.rds.{name}.version_text")


def _routes_file(routes: str) -> str:
    return f"{routes}.json"


def _watched(path: Path) -> Resource:
    return {"resource_api_version": "V3", "path_config_source": {"path": str(path)}}


def _versioned(items: Sequence[Resource], kind: str) -> Resource:
    typed = [{"@type": f"{upstreams.API}.{kind}", **item} for item in items]
    return {"version_info": _version(typed), "resources": typed}


def _version(typed: Sequence[Resource]) -> str:
    return hashlib.sha256(json.dumps(typed, sort_keys=True).encode()).hexdigest()[:16]


def _listener(name: str, address: str, port: int, manager: Resource) -> Resource:
    return {
        "name": name,
        "address": {"socket_address": {"address": address, "port_value": port}},
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", **manager}]}
        ],
    }


def _manager(name: str, routes: Resource) -> Resource:
    router = f"{upstreams.API}.extensions.filters.http.router.v3.Router"
    manager = "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
    return {
        "typed_config": {
            "@type": f"{upstreams.API}.{manager}",
            "stat_prefix": name,
            "codec_type": "AUTO",
            "strip_any_host_port": name == GATEWAY,
            "common_http_protocol_options": {"idle_timeout": "3600s"},
            "http_filters": [
                *([splits.reader()] if name == GATEWAY else []),
                {
                    "name": "envoy.filters.http.router",
                    "typed_config": {"@type": router, "suppress_envoy_headers": True},
                },
            ],
            **routes,
        }
    }


def _statistics() -> Resource:
    """Only Envoy's metrics; nothing else of its admin interface has a port."""
    host = {
        "name": "statistics",
        "domains": ["*"],
        "routes": [{"match": {"path": "/stats/prometheus"}, "route": {"cluster": ADMIN}}],
    }
    routes = {"name": "statistics", "virtual_hosts": [host]}
    return _manager("statistics", {"route_config": routes})


def _gateway_routes(hosts: Iterable[Host]) -> Resource:
    text = "no InferenceService or InferenceGraph answers to this host name\n"
    unknown = {
        "name": "unknown",
        "domains": ["*"],
        "response_headers_to_add": [splits.assigned(UNKNOWN_HOST, "true")],
        "routes": [
            {
                "match": {"prefix": "/"},
                "direct_response": {"status": 404, "body": {"inline_string": text}},
            }
        ],
    }
    return {"name": GATEWAY, "virtual_hosts": [*map(_virtual_host, hosts), unknown]}


def _virtual_host(host: Host) -> Resource:
    routes = splits.routes(host.split)
    for route in routes:
        if host.authority:
            route["route"]["host_rewrite_literal"] = host.authority
        if host.headers:
            added = [splits.assigned(*header) for header in host.headers.items()]
            route["request_headers_to_add"] = added
    return {
        "name": host.name,
        "domains": list(host.domains),
        "routes": routes,
        **splits.from_outside(host.split),
    }


def _entrance_routes(entrances: Iterable[Entrance]) -> Resource:
    """One virtual host for each entrance, told apart by the port in what a client asks for."""
    hosts = [
        {
            "name": each.name,
            "domains": [f"*:{each.port}"],
            "routes": splits.routes(each.split, inside=True),
        }
        for each in entrances
    ]
    return {"name": ENTRANCES, "virtual_hosts": hosts}

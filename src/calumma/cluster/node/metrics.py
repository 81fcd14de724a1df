"""What the node itself tells Prometheus: the traffic it has asked the gateway for.

Beside Envoy's counts of requests this shows whether the observed split is the declared one. With it
goes what other programs have left to be told: :mod:`calumma.cluster.node.textfiles`.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import prometheus_client

from calumma.cluster.node import textfiles

LABELS = ("namespace", "service", "component", "revision")

_registry = prometheus_client.CollectorRegistry()
_percent = prometheus_client.Gauge(
    "calumma_traffic_percent",
    "The percentage of its component's requests that a revision should get.",
    LABELS,
    registry=_registry,
)


def serve(port: int, folder: Path) -> None:
    """Answer on ``/metrics`` of a loopback port, from a thread of its own.

    ``folder`` is where other programs leave their metrics.
    """
    _registry.register(textfiles.Collector(folder, {"calumma_traffic_percent"}))
    prometheus_client.start_http_server(port, "127.0.0.1", _registry)


def set_traffic(weights: Iterable[tuple[str, int]]) -> None:
    """Replace all percentages; backend names are ``namespace/service/component/revision``."""
    _percent.clear()
    for name, percent in weights:
        _percent.labels(*name.split("/")).set(percent)

"""What ``calumma up`` was asked for, as the node and the other commands read it again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from calumma import errors
from calumma.cluster.programs import images


@dataclass(frozen=True)
class Settings:
    """Ports, folders and images of one cluster.

    ``statistics_port`` and ``node_port`` are where Prometheus reads Envoy's and the node's metrics.
    ``address`` is where the gateway listens, ``claims`` maps claim names to folders, ``images``
    is the whole table, the person's rows first. ``prometheus_port`` is None without Prometheus;
    ``started`` tells this start of the cluster from others; ``rules`` is the pattern of the files
    with Prometheus' alert rules; ``project`` is the folder from which it was started.
    """

    api_port: int
    gateway_port: int
    statistics_port: int
    node_port: int
    prometheus_port: int | None
    started: str
    address: str = "127.0.0.1"
    claims: Mapping[str, str] = field(default_factory=dict)
    images: tuple[images.Row, ...] = ()
    rules: str = ""
    project: str = ""

    @property
    def domain(self) -> str:
        """The public domain with its port, unless that is HTTP's own."""
        return "localhost" if self.gateway_port == 80 else f"localhost:{self.gateway_port}"

    @property
    def gateway(self) -> str:
        """Where this machine reaches the gateway, as ``host:port``."""
        address = "127.0.0.1" if self.address in ("0.0.0.0", "::") else self.address
        return f"{address}:{self.gateway_port}"

    def to_json(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Settings:
        """From the JSON of :meth:`to_json`."""
        rows = tuple(images.Row(**{**r, "command": tuple(r["command"])}) for r in data["images"])
        return cls(**{**data, "images": rows})


def read(path: Path) -> Settings:
    """The settings in a file; raises ConfigurationError when it cannot be read."""
    try:
        return Settings.from_json(json.loads(path.read_text()))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise errors.ConfigurationError(
            f"The cluster's settings {path} cannot be read ({error}); `calumma up` writes them."
        ) from error

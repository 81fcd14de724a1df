"""Where everything of a one-machine cluster lies on disk.

A cluster is one folder, its *home* (``$CALUMMA_HOME``, else ``~/.calumma``). Every other room asks
this one for paths, so that the API server finds the logs that the node wrote, and a person finds
everything in one place. Paths only: nothing here creates, reads or deletes a file.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Home:
    """The folder of one cluster, and the names inside it."""

    path: Path

    @classmethod
    def default(cls, environment: Mapping[str, str] = os.environ) -> Home:
        """The home that ``CALUMMA_HOME`` names, else ``~/.calumma``."""
        return cls(Path(environment.get("CALUMMA_HOME") or Path.home() / ".calumma").absolute())

    @property
    def tag(self) -> str:
        """A short name of this home, for what several homes of one machine share."""
        return hashlib.sha256(str(self.path).encode()).hexdigest()[:8]

    @property
    def kubeconfig(self) -> Path:
        """The person's way in: server, certificate authority and token. Mode 0600."""
        return self.path / "kubeconfig"

    @property
    def node_kubeconfig(self) -> Path:
        """The node's own way in, with the rights of ``system:node``. Mode 0600."""
        return self.path / "credentials" / "node.kubeconfig"

    @property
    def credentials(self) -> Path:
        """Certificates, keys and tokens. Mode 0700."""
        return self.path / "credentials"

    @property
    def database(self) -> Path:
        """The API server's SQLite file."""
        return self.path / "state" / "objects.db"

    @property
    def settings(self) -> Path:
        """What ``calumma up`` was asked for: ports, claims, images (JSON)."""
        return self.path / "state" / "settings.json"

    @property
    def run(self) -> Path:
        """Sockets and process ids; empty when the cluster is down."""
        return self.path / "run"

    @property
    def supervisor_socket(self) -> Path:
        """Where the supervisor listens. Mode 0600."""
        return self.run / "supervisor.sock"

    @property
    def supervisor_lock(self) -> Path:
        """The file that the running supervisor keeps locked, with its process id."""
        return self.run / "supervisor.pid"

    @property
    def programs(self) -> Path:
        """The cluster's own programs for the supervisor, as ``calumma up`` planned them (JSON)."""
        return self.run / "programs.json"

    @property
    def envoy_admin(self) -> Path:
        """Envoy's admin socket. Mode 0600."""
        return self.run / "envoy.sock"

    @property
    def activator_socket(self) -> Path:
        """Where the activator listens. Mode 0600."""
        return self.run / "activator.sock"

    @property
    def gates(self) -> Path:
        """The activator's open gates, for the process that follows it (JSON)."""
        return self.run / "gates.json"

    @property
    def logs(self) -> Path:
        """Logs of the cluster's own programs, and below ``pods`` those of its pods."""
        return self.path / "logs"

    @property
    def claims(self) -> Path:
        """One folder for each PersistentVolumeClaim that was not mapped elsewhere."""
        return self.path / "claims"

    @property
    def models(self) -> Path:
        """What the storage initializers fetched, one folder for each pod."""
        return self.path / "models"

    @property
    def envoy(self) -> Path:
        """Envoy's configuration files."""
        return self.path / "envoy"

    @property
    def prometheus(self) -> Path:
        """Prometheus' configuration, targets and time series."""
        return self.path / "prometheus"

    @property
    def schedules(self) -> Path:
        """One folder for each schedule: the document, what has happened, and the runs' output."""
        return self.path / "schedules"

    @property
    def metrics(self) -> Path:
        """Metrics of programs that are not always there, as ``*.prom`` files for the node."""
        return self.path / "metrics"

    @property
    def backends(self) -> Path:
        """Triton's backend directory."""
        return self.path / "backends"

    def log(self, program: str) -> Path:
        """The log of one of the cluster's own programs, such as ``envoy``."""
        return self.logs / f"{program}.log"

    def pod_log(self, namespace: str, pod: str, container: str) -> Path:
        """The folder with the logs of one container's runs."""
        return self.pod_logs(namespace, pod) / container

    def pod_logs(self, namespace: str, pod: str) -> Path:
        """The folder with the logs of one pod's containers."""
        return self.logs / "pods" / namespace / pod

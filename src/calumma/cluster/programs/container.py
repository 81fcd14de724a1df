"""A container of a pod as a local process: its image's program, its arguments, its environment.

What the manifest says stays in the objects as KServe writes it; here, at the last moment, the
container's view is translated to this machine's: ``/mnt/models`` is a folder, port 8080 is a port
of its own, and a Kubernetes host name is the gateway's address for it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from calumma import errors
from calumma.cluster.programs import images, triton
from calumma.cluster.programs import program as programs

MOUNT = "/mnt/models"
LOOPBACK = "CALUMMA_HTTP_HOST"
"""The variable by which our transformers listen on one address; kserve has no setting for it."""

INHERITED = ("HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "USER", "SSL_CERT_FILE", "SSL_CERT_DIR")


@dataclass(frozen=True)
class Ports:
    """The loopback ports of one container."""

    http: int
    grpc: int
    metrics: int


@dataclass(frozen=True)
class Place:
    """Where a container runs: its pod, its folders, its ports, and who answers to which host.

    ``address_of`` gives the loopback address that leads to a host of the cluster, such as
    ``digits-predictor.default``, or None for a host that is not of the cluster; ``gateway`` is the
    address that answers to all of them by Host.
    """

    pod: str
    namespace: str
    gateway: str
    models: Path
    backends: Path
    ports: Ports
    address_of: Callable[[str], str | None]


def program(
    container: Mapping[str, Any], match: images.Match, place: Place, environment: Mapping[str, str]
) -> programs.Program:
    """The process for a container.

    ``environment`` is what the cluster sets (``K_REVISION`` and the like); the container's own
    variables win. Raises ConfigurationError for what cannot be run here.
    """
    arguments = [*(container.get("command") or []), *(container.get("args") or [])]
    own = {**inherited(), **environment, **_variables(container, place)}
    if match.kind == "triton":
        started = triton.program(
            arguments,
            model_repository=place.models,
            backends=place.backends,
            http_port=place.ports.http,
            grpc_port=place.ports.grpc,
            metrics_port=place.ports.metrics,
            pod=place.pod,
        )
        own.update(started.environment)
        return programs.Program(started.argv, own, started.directory)
    command = [_translated(word, place) for word in container.get("command") or match.command]
    given = [_translated(word, place) for word in container.get("args") or []]
    if match.kind == "kserve":
        given = _kserve_arguments(given, place, grpc=_has_grpc_port(container))
        own = {**programs.MALLOC, LOOPBACK: "127.0.0.1", **own}
    if match.kind == "router":
        given += ["--port", str(place.ports.http), "--gateway", place.gateway]
        given += ["--namespace", place.namespace]
    own["PORT"] = str(place.ports.http)
    return programs.Program((*command, *given), own, match.directory)


def is_grpc(port: Mapping[str, Any]) -> bool:
    """Whether a port speaks h2c, by its name as KServe reads it."""
    return any(word in (port.get("name") or "") for word in ("grpc", "h2c"))


def inherited() -> dict[str, str]:
    """The part of our own environment that programs get, with this Python first on the path."""
    kept = {name: os.environ[name] for name in INHERITED if name in os.environ}
    path = os.pathsep.join((str(Path(sys.prefix) / "bin"), os.environ.get("PATH", os.defpath)))
    return {**kept, "PATH": path, "PYTHONUNBUFFERED": "1"}


def _variables(container: Mapping[str, Any], place: Place) -> dict[str, str]:
    variables = {}
    for variable in container.get("env") or []:
        if "valueFrom" in variable:
            raise errors.ConfigurationError(
                f"container {container.get('name')}: env {variable['name']} has valueFrom, which "
                "the one-machine cluster does not read yet; give it a value"
            )
        variables[variable["name"]] = _translated(variable.get("value", ""), place)
    return variables


def _translated(word: str, place: Place) -> str:
    if word == MOUNT or word.startswith(f"{MOUNT}/"):
        return str(place.models) + word.removeprefix(MOUNT)
    flag, equals, value = word.partition("=")
    if equals and (value == MOUNT or value.startswith(f"{MOUNT}/")):
        return f"{flag}={place.models}{value.removeprefix(MOUNT)}"
    return word


def _has_grpc_port(container: Mapping[str, Any]) -> bool:
    """Whether a container declares gRPC as the gateway's way to it, by the name of a port."""
    return any(map(is_grpc, container.get("ports") or []))


def _kserve_arguments(given: list[str], place: Place, *, grpc: bool) -> list[str]:
    """KServe's arguments with the container's ports and host names made this machine's.

    Without a declared gRPC port there is none: kserve would open it on every interface.
    """
    flags = _pairs(given)
    translated: list[str] = []
    for flag, value in flags:
        if flag in ("--http_port", "--grpc_port"):
            continue
        if flag == "--predictor_host" and value is not None:
            value = place.address_of(value) or value
        translated += [flag] if value is None else [flag, value]
    enabled = [] if grpc or "--enable_grpc" in translated else ["--enable_grpc", "false"]
    ports = ["--http_port", str(place.ports.http), "--grpc_port", str(place.ports.grpc)]
    return translated + ports + enabled


def _pairs(arguments: list[str]) -> list[tuple[str, str | None]]:
    """Arguments as flags with their value, for both spellings; other words have no value."""
    pairs: list[tuple[str, str | None]] = []
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        flag, equals, value = word.partition("=")
        if not word.startswith("--"):
            pairs.append((word, None))
        elif equals:
            pairs.append((flag, value))
        elif rest and not rest[0].startswith("--"):
            pairs.append((flag, rest.pop(0)))
        else:
            pairs.append((flag, None))
    return pairs

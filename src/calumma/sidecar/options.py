"""The agent's command line, flag by flag as KServe's webhook writes it, and two of ours.

``--gateway`` is where the cluster's own hosts answer, ``--grpc-ports OWN:COMPONENT`` where gRPC is
served and passed on when the component speaks it; a pod of a real cluster needs neither, because it
has a DNS, and one port for both. The blob storage's flags are not there: the controller refuses
what asks for them.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

Mode = Literal["all", "request", "response"]

READINESS: Final = "SERVING_READINESS_PROBE"
"""The variable with the component's readiness probe, as JSON."""


@dataclass(frozen=True)
class Logger:
    """What is logged, to where, and who the events say they are from."""

    url: str
    mode: Mode
    source: str
    service: str = ""
    namespace: str = ""
    endpoint: str = ""
    component: str = ""
    headers: tuple[str, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Batcher:
    """When a batch is asked: ``size`` instances are there, or ``latency`` seconds are over."""

    size: int
    latency: float


@dataclass(frozen=True)
class Options:
    """Everything that the program is asked for; ``probe`` is a path, None for a connection."""

    port: int
    component_port: int
    grpc_ports: tuple[int, int] | None
    gateway: str | None
    workers: int
    logger: Logger | None
    batcher: Batcher | None
    probe: str | None


def parse(arguments: Sequence[str], environment: Mapping[str, str]) -> Options:
    """The options; exits with a sentence where they cannot work, as every command line does."""
    parser = _parser()
    given = parser.parse_args(arguments)
    for flag, value in (("size", given.max_batchsize), ("latency", given.max_latency)):
        if value <= 0:
            parser.error(f"the batcher's largest {flag} is {value}; it is at least 1")
    logger = batcher = None
    if given.log_url:
        logger = Logger(
            url=given.log_url,
            mode=given.log_mode,
            source=given.source_uri or f"http://localhost:{given.port}/",
            service=given.inference_service,
            namespace=given.namespace,
            endpoint=given.endpoint,
            component=given.component,
            headers=tuple(words(given.metadata_headers)),
            annotations=_pairs(given.metadata_annotations, parser),
        )
    if given.enable_batcher:
        batcher = Batcher(given.max_batchsize, given.max_latency / 1000)
    return Options(
        given.port,
        given.component_port,
        given.grpc_ports,
        given.gateway,
        given.workers,
        logger,
        batcher,
        _probe(environment.get(READINESS, ""), parser),
    )


def words(text: str) -> list[str]:
    """The words of a list flag: one line of comma separated values."""
    return next(csv.reader([text]), [])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="agent", description="KServe's logger and batcher.")
    parser.add_argument("--port", type=int, default=9081)
    parser.add_argument("--component-port", type=int, default=8080)
    parser.add_argument("--grpc-ports", type=_two_ports, metavar="OWN:COMPONENT")
    parser.add_argument("--gateway", metavar="HOST:PORT")
    parser.add_argument("--workers", type=int, default=5)
    parser.add_argument("--log-url", default="")
    parser.add_argument("--log-mode", default="all", choices=get_args(Mode))
    for flag in ("source-uri", "inference-service", "namespace", "endpoint", "component"):
        parser.add_argument(f"--{flag}", default="")
    for flag in ("metadata-headers", "metadata-annotations"):
        parser.add_argument(f"--{flag}", default="")
    # KServe trusts the system's authorities where no bundle is mounted; here none ever is.
    parser.add_argument("--logger-ca-cert-file", help=argparse.SUPPRESS)
    parser.add_argument("--logger-tls-skip-verify", help=argparse.SUPPRESS)
    parser.add_argument("--enable-batcher", action="store_true")
    parser.add_argument("--max-batchsize", type=int, default=32)
    parser.add_argument("--max-latency", type=int, default=5000, help="in milliseconds")
    return parser


def _two_ports(text: str) -> tuple[int, int]:
    own, _, component = text.partition(":")
    return int(own), int(component)


def _pairs(text: str, parser: argparse.ArgumentParser) -> dict[str, str]:
    pairs = {}
    for word in words(text):
        key, equals, value = word.partition("=")
        if not equals:
            parser.error(f"--metadata-annotations has {word!r}; each is KEY=VALUE")
        pairs[key] = value
    return pairs


def _probe(text: str, parser: argparse.ArgumentParser) -> str | None:
    """The path that the component's readiness is asked at; None for a connection."""
    if not text:
        return None
    try:
        path = json.loads(text).get("httpGet", {}).get("path")
    except (ValueError, AttributeError):
        parser.error(f"{READINESS} is {text!r}; it is a probe as JSON")
    return None if path is None else str(path)

"""What runs in a pod: its storage initializer, then its containers, as programs for the supervisor.

A program carries notes by which it is found again: for whom it runs, its ports, which of them takes
requests, how its readiness is asked. Pure: folders, ports and what was observed come in.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from calumma import errors
from calumma.cluster import layout, objects
from calumma.cluster.knative import revision as knative
from calumma.cluster.kserve import vocabulary
from calumma.cluster.node import owners, pods
from calumma.cluster.node import settings as settings_room
from calumma.cluster.node.record import Observed, Wanted
from calumma.cluster.programs import agent, container, images

_TRITON_GRACE = 30.0


@dataclass(frozen=True)
class Machine:
    """What a pod's programs need to know of this machine."""

    home: layout.Home
    settings: settings_room.Settings
    address_of: Callable[[str], str | None]
    storage_environment: Mapping[str, str]


def programs(
    pod: pods.Pod,
    machine: Machine,
    observed: Mapping[str, Observed],
    free_port: Callable[[], int],
) -> list[Wanted]:
    """The programs that should run for a pod now: first its initializer, then its containers.

    A program that is there already is asked for as it is, so that its ports stay. Raises
    ConfigurationError (the message for the person) when a container cannot run here.
    """
    if (count := pods.asked(pod.revision)) > pods.MOST:
        raise errors.ConfigurationError(
            f"The revision asks for {count} pods; one machine runs at most {pods.MOST} of one. "
            "Lower minReplicas."
        )
    missing = {
        each["name"]: _match(each, machine.settings.images)
        for each in pod.containers
        if pod.program_name(each["name"]) not in observed
    }
    wanted = []
    if pod.storage_uri is not None:
        initializer = pod.program_name(vocabulary.STORAGE_INITIALIZER)
        present = observed.get(initializer)
        wanted.append(present.wanted if present else _initializer(pod, machine))
        if present is None or present.state != "completed":
            return wanted
    for each in pod.containers:
        present = observed.get(pod.program_name(each["name"]))
        if present is not None:
            wanted.append(present.wanted)
        else:
            ports = container.Ports(free_port(), free_port(), free_port())
            match = missing[each["name"]]
            wanted.append(_container(pod, each, match, machine, ports, wanted))
    return wanted


def machine_wide_name(home: layout.Home, namespace: str, pod: str) -> str:
    """A pod's name that no pod of another home of this machine has."""
    return f"{home.tag}/{namespace}/{pod}"


def _match(each: Mapping[str, Any], rows: Sequence[images.Row]) -> images.Match:
    image = each.get("image", "")
    try:
        return images.find(image, rows)
    except errors.ConfigurationError as error:
        problem = knative.image_missing(image, str(error))
        raise errors.ConfigurationError(problem.message) from error


def _initializer(pod: pods.Pod, machine: Machine) -> Wanted:
    home = machine.home
    claims = [f"{claim}={folder}" for claim, folder in machine.settings.claims.items()]
    argv = [
        sys.executable,
        "-m",
        "calumma.cluster.storage",
        str(pod.storage_uri),
        str(_models(pod, home)),
        "--claims",
        str(home.claims),
        *(word for claim in claims for word in ("--claim", claim)),
    ]
    name = vocabulary.STORAGE_INITIALIZER
    return Wanted(
        name=pod.program_name(name),
        argv=tuple(argv),
        environment={**container.inherited(), **machine.storage_environment},
        directory=str(home.path),
        log=str(home.pod_log(pod.namespace, pod.name, name)),
        task=True,
        runs=True,
        notes=_notes(pod, name),
    )


def _container(
    pod: pods.Pod,
    each: Mapping[str, Any],
    match: images.Match,
    machine: Machine,
    own: container.Ports,
    others: Sequence[Wanted],
) -> Wanted:
    """The program of one container; ``others`` are those of the containers before it."""
    service = objects.labels_of(pod.revision).get(knative.SERVICE_LABEL, "")
    place = container.Place(
        pod=machine_wide_name(machine.home, pod.namespace, pod.name),
        namespace=pod.namespace,
        gateway=machine.settings.gateway,
        models=_models(pod, machine.home),
        backends=machine.home.backends,
        ports=own,
        address_of=machine.address_of,
    )
    cluster = {}
    if pod.revision["kind"] == knative.KIND:
        cluster = {
            "K_SERVICE": service,
            "K_CONFIGURATION": service,
            "K_REVISION": objects.name(pod.revision),
        }
    if match.kind == "agent":
        component = _ports_of(pod, pod.component["name"], others)
        gateway = machine.settings.gateway
        program = agent.program(each, match, own, component, gateway, grpc=pod.http2)
    else:
        program = container.program(each, match, place, cluster)
    triton = match.kind == "triton"
    endpoint = _endpoint(pod, each, match, own)
    return Wanted(
        name=pod.program_name(each["name"]),
        argv=program.argv,
        environment=dict(program.environment),
        directory=str(program.directory),
        log=str(machine.home.pod_log(pod.namespace, pod.name, each["name"])),
        runs=True,
        grace=_TRITON_GRACE if triton else 10.0,
        notes={
            **_notes(pod, each["name"]),
            "kind": match.kind,
            "ports": vars(own),
            "endpoint": endpoint,
            "http2": pod.http2,
            "grpc": _second(pod, each, match, own),
            "probe": _probe(each, match, own, endpoint),
            "metrics": _metrics_port(match, own),
        },
    )


def _ports_of(pod: pods.Pod, container_name: str, programs: Sequence[Wanted]) -> container.Ports:
    for wanted in programs:
        if wanted.name == pod.program_name(container_name):
            found = container.Ports(**wanted.notes["ports"])
            plain = wanted.notes["kind"] == "plain"
            return dataclasses.replace(found, grpc=found.http) if plain else found
    raise errors.ConfigurationError(
        f"pod {pod.name}: KServe's agent has no container before it that it could stand in front "
        "of; KServe adds it where a component has a logger or a batcher"
    )


def _notes(pod: pods.Pod, container_name: str) -> dict[str, Any]:
    """By which a program is found again: whose it is."""
    return {
        **owners.notes(pod.revision),
        "revision": pod.backend,
        "pod": pod.name,
        "container": container_name,
    }


def _probe(
    each: Mapping[str, Any], match: images.Match, own: container.Ports, endpoint: int | None
) -> dict[str, Any]:
    """How readiness is found out: the container's own HTTP probe, Triton's, or a connection.

    A connection is to the port that takes requests, where there is one, as Knative's probe is.
    """
    declared = objects.dig(each, "readinessProbe", "httpGet", default={})
    if declared.get("path"):
        headers = {h["name"]: h["value"] for h in declared.get("httpHeaders") or []}
        return {"port": own.http, "path": declared["path"], "headers": headers}
    if match.kind == "triton":
        controlled = any("--model-control-mode" in word for word in each.get("args") or [])
        return {"port": own.http, "path": "/v2/health/ready", "crew": not controlled}
    return {"port": endpoint or own.http, "path": None}


def _endpoint(
    pod: pods.Pod, each: Mapping[str, Any], match: images.Match, own: container.Ports
) -> int | None:
    """The port that takes requests, when this is the container that does.

    A plain program has one port, whatever it speaks there; the others have one for gRPC.
    """
    if each["name"] != pod.entrance:
        return None
    return own.grpc if pod.http2 and match.kind != "plain" else own.http


def _second(
    pod: pods.Pod, each: Mapping[str, Any], match: images.Match, own: container.Ports
) -> int | None:
    """The gRPC port beside the one that takes requests, where there are both."""
    taken = pod.grpc_too and each["name"] == pod.entrance and match.kind != "plain"
    return own.grpc if taken else None


def _metrics_port(match: images.Match, own: container.Ports) -> int | None:
    """Where Prometheus finds metrics: Triton has a port for them, KServe's servers their own."""
    return {"triton": own.metrics, "kserve": own.http}.get(match.kind)


def _models(pod: pods.Pod, home: layout.Home) -> Path:
    return home.models / pod.namespace / pod.name

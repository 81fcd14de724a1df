"""The traps of a manifest: what is accepted, and then does not do what it says.

Told when a template changes, from the InferenceService and the Knative Services made of it.
Sources: kserve/kserve issues 2428 and 3176, KServe's transformer arguments and URL rules.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from calumma import errors
from calumma.cluster import objects
from calumma.cluster.kserve import runtimes, storage_paths, trap

_PREVIOUS = "prev-"


def found(changes: Sequence[trap.Change]) -> Iterator[trap.Trap]:
    """What the new templates of one pass lead into."""
    for change in changes:
        if change.present is None:
            yield from _long_name(change)
        if change.has_new_template:
            yield from _storage(change)
            yield from _ignored_argument(change)
    if any(change.has_new_template for change in changes):
        yield from _protocols({change.component: change for change in changes})


def no_runtime(isvc: Mapping[str, Any], seen: runtimes.Runtimes) -> Iterator[trap.Trap]:
    """Why no runtime takes a model: often only its ``protocolVersion`` is missing."""
    model = objects.dig(isvc, "spec", "predictor", "model", default={})
    if model.get("protocolVersion") is not None or model.get("runtime"):
        return
    for protocol in ("v2", "grpc-v2"):
        try:
            fitting = runtimes.select({**model, "protocolVersion": protocol}, seen)
        except errors.InvalidSpec:
            continue
        name = objects.name(fitting.runtime)
        command = trap.patch(isvc, "predictor", model={"protocolVersion": protocol})
        yield trap.Trap(
            "ProtocolVersionMissing",
            f"predictor: a model without protocolVersion means protocol v1, which no runtime for "
            f"{model['modelFormat']['name']!r} speaks here, so nothing is deployed; {name} would "
            f"take it with {protocol}: {command}",
        )
        return


def misnamed(isvc: Mapping[str, Any], url: str) -> Iterator[trap.Trap]:
    """A URL that KServe's replacement of names has made another one."""
    name, host = objects.name(isvc), urlsplit(url).netloc
    if host.startswith(f"{name}.{objects.namespace(isvc)}."):
        return
    yield trap.Trap(
        "UrlDiffersFromName",
        f"status.url is {url}, because KServe makes it by removing the first '-predictor' or "
        f"'-transformer' from the component's URL, and leaves it alone where it finds '-default'. "
        f"Ask http://{name}.{objects.namespace(isvc)} with the gateway's domain instead, or give "
        f"the InferenceService a name without these words.",
    )


def _long_name(change: trap.Change) -> Iterator[trap.Trap]:
    service = objects.name(change.wanted)
    length = len(_PREVIOUS) + len(service)
    if length <= objects.LONGEST_NAME:
        return
    spare = objects.LONGEST_NAME - (length - len(objects.name(change.isvc)))
    yield trap.Trap(
        "NameTooLongForCanary",
        f"{change.component}: a canary here would need the host {_PREVIOUS}{service} with {length} "
        f"characters, and DNS allows {objects.LONGEST_NAME}, so Knative would leave the traffic as "
        "it is (RoutesReady False, ErrorConfig; kserve/kserve#2428). A name cannot change later: "
        f"use one of at most {spare} characters if this service is to have canaries.",
    )


def _storage(change: trap.Change) -> Iterator[trap.Trap]:
    uri = storage_paths.single_uri(change.isvc["spec"][change.component])
    if uri is None or (not uri.startswith("file://") and "://" in uri):
        return
    yield trap.Trap(
        "StorageNotPortable",
        f"{change.component}: storageUri {uri} is a folder of this machine. On a cluster the same "
        "manifest looks for it inside the storage initializer's container and fails. Use "
        "pvc://<claim>/<path>, which means the same in both places: "
        "calumma up --claim <claim>=<folder> names the folder here.",
    )


def _ignored_argument(change: trap.Change) -> Iterator[trap.Trap]:
    if change.component != "transformer":
        return
    arguments = _arguments(change)
    if _value(arguments, "--protocol") is None or _value(arguments, "--predictor_protocol"):
        return
    yield trap.Trap(
        "ProtocolArgumentIgnored",
        "transformer: kserve's ModelServer accepts --protocol and ignores it, so the predictor is "
        "asked by protocol v1. Write --predictor_protocol "
        f"{_value(arguments, '--protocol')} in the container's args instead.",
    )


def _protocols(changes: Mapping[str, trap.Change]) -> Iterator[trap.Trap]:
    """A transformer that asks by HTTP where only gRPC answers, or the other way round."""
    if "transformer" not in changes or "predictor" not in changes:
        return
    asked = _value(_arguments(changes["transformer"]), "--predictor_protocol") or "v1"
    containers = changes["predictor"].wanted["spec"]["template"]["spec"]["containers"]
    ports = [port for container in containers for port in container.get("ports") or []]
    grpc_only = any(port.get("name") == "h2c" for port in ports)
    if grpc_only and not asked.startswith("grpc"):
        yield trap.Trap(
            "PredictorIsGrpcOnly",
            "predictor: its port is named h2c, so Knative leads only gRPC to it, and the "
            f"transformer asks it by HTTP ({asked}). Write --predictor_protocol grpc-v2 in the "
            "transformer's args, or remove the port from the predictor to have HTTP on 8080.",
        )
    if asked.startswith("grpc") and not grpc_only:
        yield trap.Trap(
            "PredictorIsNotGrpc",
            f"predictor: the transformer asks it by {asked}, and Knative leads only HTTP on 8080 "
            "to it: a revision has one port. Give the predictor ports: "
            "[{name: h2c, containerPort: 9000, protocol: TCP}], or the transformer "
            "--predictor_protocol v2.",
        )


def _arguments(change: trap.Change) -> Sequence[str]:
    containers = change.wanted["spec"]["template"]["spec"]["containers"]
    arguments: Sequence[str] = containers[0].get("args") or []
    return arguments


def _value(arguments: Sequence[str], flag: str) -> str | None:
    """A flag's last value, in either form (``--flag value`` or ``--flag=value``)."""
    value = None
    for place, argument in enumerate(arguments):
        if argument.startswith(f"{flag}="):
            value = argument.removeprefix(f"{flag}=")
        elif argument == flag:
            value = arguments[place + 1] if place + 1 < len(arguments) else ""
    return value

"""KServe's agent container as a local process: :mod:`calumma.sidecar` between two loopback ports.

What its arguments say of the pod's own network is replaced: the port that it listens on, the
component's, and, for a component that speaks gRPC, both of those. Hosts of the cluster are asked
for at the gateway.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from calumma.cluster.programs import container, images
from calumma.cluster.programs import program as programs

_OWN = ("--port", "--component-port")


def program(
    each: Mapping[str, Any],
    match: images.Match,
    own: container.Ports,
    component: container.Ports,
    gateway: str,
    *,
    grpc: bool,
) -> programs.Program:
    """The process for an agent container in front of a component.

    ``own`` and ``component`` are the two containers' ports, ``gateway`` is the cluster's
    ``host:port``; with ``grpc`` the component speaks it.
    """
    given = [*(each.get("command") or match.command)]
    arguments = list(each.get("args") or [])
    while arguments:
        word = arguments.pop(0)
        if word in _OWN:
            arguments = arguments[1:]
        else:
            given.append(word)
    given += ["--port", str(own.http), "--component-port", str(component.http)]
    given += ["--gateway", gateway]
    if grpc:
        given += ["--grpc-ports", f"{own.grpc}:{component.grpc}"]
    variables = {each["name"]: each["value"] for each in each.get("env") or []}
    environment = {**programs.MALLOC, **container.inherited(), **variables}
    return programs.Program(tuple(given), environment, match.directory)

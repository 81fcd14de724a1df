"""A graph as it is declared, read once and checked: nodes, steps, conditions, timeouts.

:func:`parse` takes ``spec`` of an InferenceGraph, in which every step has a node or an URL by then.
It guarantees what :mod:`~calumma.graph.evaluation` relies on: every node that a step names is
there, none leads back to itself, and every condition can be evaluated.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from calumma import errors
from calumma.graph import syntax

RouterType = Literal["Sequence", "Splitter", "Ensemble", "Switch"]
ROOT = "root"


@dataclass(frozen=True)
class Step:
    """Where a node sends a request to: another ``node``, or a service's ``url``.

    ``from_response`` asks for the answer of the step before in place of the graph's request,
    ``map_predictions`` to hand its ``predictions`` on as ``instances``. ``weight`` is the share of
    a splitter's requests in percent. A ``hard`` step that fails ends its node.
    """

    name: str
    node: str
    url: str
    from_response: bool
    map_predictions: bool
    weight: int
    condition: syntax.Path | None
    hard: bool


@dataclass(frozen=True)
class Node:
    """A router and its steps."""

    router: RouterType
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Timeouts:
    """Seconds: to read a request, to answer it, between requests, for one step; None for none."""

    server_read: float | None = 60.0
    server_write: float | None = 60.0
    server_idle: float | None = 180.0
    service_client: float | None = None


@dataclass(frozen=True)
class Graph:
    """The nodes by name, and how long things may take."""

    nodes: Mapping[str, Node]
    timeouts: Timeouts


def parse(spec: Mapping[str, Any]) -> Graph:
    """The graph that a ``spec`` declares; raises GraphError, naming the node and the step."""
    declared = spec.get("nodes") or {}
    nodes = {name: _node(name, node) for name, node in declared.items()}
    if ROOT not in nodes:
        raise errors.GraphError(f"The graph has no node {ROOT!r}; it has {', '.join(nodes)}.")
    for name, node in nodes.items():
        for step in node.steps:
            if step.node and step.node not in nodes:
                raise errors.GraphError(
                    f"Node {name!r} leads to the node {step.node!r}, which is not there; "
                    f"the graph has {', '.join(nodes)}."
                )
    _refuse_circles(nodes)
    return Graph(nodes, _timeouts(spec.get("routerTimeouts") or {}))


def _node(name: str, declared: Mapping[str, Any]) -> Node:
    router = declared["routerType"]
    if router not in get_args(RouterType):
        raise errors.GraphError(
            f"Node {name!r} has the routerType {router!r}; known are "
            f"{', '.join(get_args(RouterType))}."
        )
    steps = declared.get("steps") or []
    return Node(router, tuple(_step(name, i, step) for i, step in enumerate(steps)))


def _step(node: str, index: int, declared: Mapping[str, Any]) -> Step:
    condition = declared.get("condition") or ""
    try:
        path = syntax.parse(condition) if condition else None
    except errors.GraphError as error:
        raise errors.GraphError(f"Step {index} of node {node!r}: {error}") from error
    return Step(
        name=declared.get("name") or "",
        node=declared.get("nodeName") or "",
        url=declared.get("serviceUrl") or "",
        from_response=declared.get("data") == "$response",
        map_predictions=bool(declared.get("mapPredictionsToInstances")),
        weight=int(declared.get("weight") or 0),
        condition=path,
        hard=declared.get("dependency") == "Hard",
    )


def _refuse_circles(nodes: Mapping[str, Node]) -> None:
    finished: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        if name in trail:
            circle = " -> ".join((*trail[trail.index(name) :], name))
            raise errors.GraphError(f"The nodes lead back to themselves: {circle}.")
        if name not in finished:
            for step in nodes[name].steps:
                if step.node:
                    visit(step.node, (*trail, name))
            finished.add(name)

    for name in nodes:
        visit(name, ())


def _timeouts(declared: Mapping[str, Any]) -> Timeouts:
    def seconds(key: str, default: float | None) -> float | None:
        value = declared.get(key)
        if value is None:
            return default
        return float(value) if value > 0 else None

    return Timeouts(
        seconds("serverRead", Timeouts.server_read),
        seconds("serverWrite", Timeouts.server_write),
        seconds("serverIdle", Timeouts.server_idle),
        seconds("serviceClient", Timeouts.service_client),
    )

"""KServe's validating webhook for InferenceGraphs: what it refuses, in its order, with its words.

Source: kserve ``pkg/apis/serving/v1alpha1/inference_graph_validation.go``. There is no mutating
one. What KServe does not check here (conditions, whether nodes and services are there) shows when
the controller acts (:mod:`~calumma.cluster.kserve.graph`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from calumma import errors
from calumma.cluster import objects
from calumma.cluster.objects import Object

VALIDATOR = "inferencegraph.kserve-webhook-server.validator"
ROOT = "root"
_NAME = "[a-z]([-a-z0-9]*[a-z0-9])?"
_TARGETS = ("nodeName", "serviceName", "serviceUrl")


def mutate(old: Mapping[str, Any] | None, new: Mapping[str, Any], operation: str) -> Object:
    """The object as it is."""
    return dict(new)


def validate(old: Mapping[str, Any] | None, new: Mapping[str, Any], operation: str) -> None:
    """Raise AdmissionDenied with KServe's own text when the object is refused."""
    if operation == "DELETE" or objects.dig(new, "metadata", "deletionTimestamp"):
        return
    objection = next(_objections(new), None)
    if objection is not None:
        raise errors.AdmissionDenied(VALIDATOR, objection)


def _objections(graph: Mapping[str, Any]) -> Iterator[str]:
    name = objects.name(graph)
    nodes = objects.dig(graph, "spec", "nodes", default={})
    if not re.fullmatch(_NAME, name):
        yield (
            f'The InferenceGraph "{name}" is invalid: a InferenceGraph name must consist of lower '
            "case alphanumeric characters or '-', and must start with alphabetical character. "
            f'(e.g. "my-name" or "abc-123", regex used for validation is \'{_NAME}\')'
        )
    if ROOT not in nodes:
        yield (
            "root node not found, InferenceGraph needs a node with name 'root' as the root node "
            "of the graph"
        )
    for node, router in nodes.items():
        yield from _duplicates(name, node, _steps(router))
    for node, router in nodes.items():
        yield from _targets(name, node, _steps(router))
    for node, router in nodes.items():
        if router["routerType"] == "Splitter":
            yield from _weights(name, node, _steps(router))


def _steps(router: Mapping[str, Any]) -> list[Object]:
    steps: list[Object] = router.get("steps") or []
    return steps


def _duplicates(graph: str, node: str, steps: list[Object]) -> Iterator[str]:
    seen = set()
    for step in steps:
        name = step.get("name")
        if name and name in seen:
            yield (
                f'Node "{node}" of InferenceGraph "{graph}" contains more than one step with name '
                f'"{name}"'
            )
        seen.add(name)


def _targets(graph: str, node: str, steps: list[Object]) -> Iterator[str]:
    for index, step in enumerate(steps):
        where = f'Step {index} ("{step.get("name", "")}") in node "{node}" of InferenceGraph'
        given = sum(bool(step.get(target)) for target in _TARGETS)
        if given == 0:
            yield f'{where} "{graph}" does not specify an inference target'
        elif given > 1:
            yield f'{where} "{graph}" specifies more than one of {", ".join(_TARGETS)}'


def _weights(graph: str, node: str, steps: list[Object]) -> Iterator[str]:
    where = f"InferenceGraph[{graph}] Node[{node}]"
    for step in steps:
        if step.get("weight") is None:
            yield f"{where} Route[{step.get('serviceName', '')}] missing the 'Weight'"
    if sum(step.get("weight") or 0 for step in steps) != 100:
        yield (
            f"{where} splitter node: the sum of traffic weights for all routing targets should "
            "be 100"
        )

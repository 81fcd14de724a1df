"""KServe's webhook for InferenceGraphs refuses with KServe's own words."""

from __future__ import annotations

from typing import Any

import pytest

from calumma import errors
from calumma.cluster.kserve import graph_admission
from calumma.cluster.objects import Object

PREFIX = 'Step {} ("{}") in node "root" of InferenceGraph "g" '


def graph(nodes: dict[str, Any], name: str = "g") -> Object:
    return {"metadata": {"name": name}, "spec": {"nodes": nodes}}


def root(kind: str, *steps: dict[str, Any]) -> dict[str, Any]:
    return {"root": {"routerType": kind, "steps": list(steps)}}


def refused(obj: Object) -> str:
    with pytest.raises(errors.AdmissionDenied) as denied:
        graph_admission.validate(None, obj, "CREATE")
    assert denied.value.webhook == "inferencegraph.kserve-webhook-server.validator"
    return str(denied.value)


@pytest.mark.parametrize("name", ["1st", "a.b", "a_b", "Graph", "a-"])
def test_a_bad_name(name: str) -> None:
    assert refused(graph(root("Sequence"), name)) == (
        f'The InferenceGraph "{name}" is invalid: a InferenceGraph name must consist of lower case '
        "alphanumeric characters or '-', and must start with alphabetical character. (e.g. "
        '"my-name" or "abc-123", regex used for validation is \'[a-z]([-a-z0-9]*[a-z0-9])?\')'
    )


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        (
            {"start": {"routerType": "Sequence"}},
            "root node not found, InferenceGraph needs a node with name 'root' as the root node of "
            "the graph",
        ),
        (
            root("Sequence", {"name": "a", "serviceName": "s"}, {"name": "a", "serviceName": "t"}),
            'Node "root" of InferenceGraph "g" contains more than one step with name "a"',
        ),
        (
            root("Sequence", {"serviceName": "s"}, {"name": "b", "data": "$request"}),
            PREFIX.format(1, "b") + "does not specify an inference target",
        ),
        (
            root("Sequence", {"serviceName": "s", "serviceUrl": "http://s"}),
            PREFIX.format(0, "") + "specifies more than one of nodeName, serviceName, serviceUrl",
        ),
        (
            root("Splitter", {"serviceName": "s", "weight": 50}, {"serviceName": "t"}),
            "InferenceGraph[g] Node[root] Route[t] missing the 'Weight'",
        ),
        (
            root("Splitter", {"serviceName": "s", "weight": 50}, {"nodeName": "n", "weight": 49}),
            "InferenceGraph[g] Node[root] splitter node: the sum of traffic weights for all routing"
            " targets should be 100",
        ),
    ],
)
def test_what_is_refused(nodes: dict[str, Any], message: str) -> None:
    assert refused(graph(nodes)) == message


def test_kserves_order_of_objections() -> None:
    """Names of steps before targets before weights, whatever the order of the nodes."""
    nodes = {
        "a": {"routerType": "Splitter", "steps": [{"serviceName": "s"}]},
        "b": {"routerType": "Sequence", "steps": [{}]},
        "root": {
            "routerType": "Sequence",
            "steps": [{"name": "x", "nodeName": "a"}, {"name": "x", "nodeName": "b"}],
        },
    }
    assert 'more than one step with name "x"' in refused(graph(nodes))
    nodes["root"]["steps"].pop()  # type: ignore[attr-defined]
    assert "does not specify an inference target" in refused(graph(nodes))
    nodes.pop("b")
    assert "missing the 'Weight'" in refused(graph(nodes))


@pytest.mark.parametrize(
    "nodes",
    [
        root("Sequence", {"serviceName": "s"}, {"serviceName": "s"}),
        root("Splitter", {"serviceName": "s", "weight": 0}, {"serviceUrl": "u", "weight": 100}),
        root("Switch", {"nodeName": "nobody"}),
    ],
)
def test_what_is_accepted(nodes: dict[str, Any]) -> None:
    graph_admission.validate(None, graph(nodes), "CREATE")


def test_an_object_that_goes_is_not_judged() -> None:
    going = graph({})
    going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    graph_admission.validate(going, going, "UPDATE")
    graph_admission.validate(graph({}), graph({}), "DELETE")

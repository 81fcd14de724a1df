"""Graphs that cannot be routed are refused with a sentence; the others are what they say."""

from __future__ import annotations

from typing import Any

import pytest

from calumma import errors
from calumma.graph import definition


def spec(root: dict[str, Any], **further: Any) -> dict[str, Any]:
    return {"nodes": {"root": root, **further}}


def test_a_step_is_what_it_says() -> None:
    declared = {
        "name": "second",
        "serviceUrl": "http://a",
        "data": "$response",
        "mapPredictionsToInstances": True,
        "weight": 30,
        "condition": "a.b",
        "dependency": "Hard",
    }
    parsed = definition.parse(spec({"routerType": "Sequence", "steps": [declared, {}]}))
    first, plain = parsed.nodes["root"].steps
    assert (first.name, first.url, first.weight) == ("second", "http://a", 30)
    assert first.from_response and first.map_predictions and first.hard
    assert first.condition is not None
    assert plain == definition.Step("", "", "", False, False, 0, None, False)


def test_timeouts_are_kserves_unless_they_are_declared() -> None:
    root = {"routerType": "Sequence"}
    assert definition.parse(spec(root)).timeouts == definition.Timeouts(60, 60, 180, None)
    declared = {"serverRead": 5, "serverWrite": 0, "serviceClient": 2}
    found = definition.parse({**spec(root), "routerTimeouts": declared}).timeouts
    assert found == definition.Timeouts(5, None, 180, 2)


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"nodes": {"a": {"routerType": "Switch"}}}, "no node 'root'; it has a"),
        (spec({"routerType": "Chain"}), "routerType 'Chain'; known are Sequence"),
        (
            spec({"routerType": "Sequence", "steps": [{"nodeName": "b"}]}),
            "Node 'root' leads to the node 'b', which is not there",
        ),
        (
            spec(
                {"routerType": "Sequence", "steps": [{"nodeName": "a"}]},
                a={"routerType": "Ensemble", "steps": [{"nodeName": "b"}]},
                b={"routerType": "Ensemble", "steps": [{"nodeName": "a"}]},
            ),
            "back to themselves: a -> b -> a",
        ),
        (
            spec({"routerType": "Switch", "steps": [{"serviceUrl": "u", "condition": "a.@dig"}]}),
            "Step 0 of node 'root': The GJSON path 'a.@dig' has the modifier @dig",
        ),
    ],
)
def test_what_cannot_be_routed_is_refused(declared: dict[str, Any], message: str) -> None:
    with pytest.raises(errors.GraphError, match=message):
        definition.parse(declared)


def test_a_node_may_be_reached_on_two_ways() -> None:
    shared = {"routerType": "Sequence", "steps": [{"serviceUrl": "http://a"}]}
    steps = [{"name": "x", "nodeName": "shared"}, {"name": "y", "nodeName": "shared"}]
    parsed = definition.parse(spec({"routerType": "Ensemble", "steps": steps}, shared=shared))
    assert set(parsed.nodes) == {"root", "shared"}

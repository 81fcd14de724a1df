"""Merge, JSON and strategic merge patches, by their RFCs and by properties."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calumma import errors
from calumma.cluster.api import patching
from calumma.cluster.api.patching import PatchFailed

SCALARS = st.none() | st.booleans() | st.integers(-5, 5) | st.text("ab~/", max_size=3)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text("ab~/", max_size=2), inner, max_size=3)
    ),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.text("ab~/", max_size=2), VALUES, max_size=4)


@pytest.mark.parametrize(
    ("target", "patch", "expected"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_the_examples_of_rfc_7396(target: Any, patch: Any, expected: Any) -> None:
    assert patching.merge(target, patch) == expected


@given(VALUES, VALUES)
def test_a_merge_changes_neither_of_its_arguments(target: Any, patch: Any) -> None:
    before = copy.deepcopy((target, patch))
    patching.merge(target, patch)
    assert (target, patch) == before


@given(OBJECTS, OBJECTS)
def test_merging_twice_is_merging_once(target: Any, patch: Any) -> None:
    once = patching.merge(target, patch)
    assert patching.merge(once, patch) == once


def pointer(*steps: str) -> str:
    return "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in steps)


@given(OBJECTS, st.text("ab~/", max_size=2), VALUES)
def test_what_is_added_is_there_and_can_be_removed(target: Any, key: str, value: Any) -> None:
    path = pointer(key)
    added = patching.json_patch(target, [{"op": "add", "path": path, "value": value}])
    assert added == {**target, key: value}
    tested = patching.json_patch(added, [{"op": "test", "path": path, "value": value}])
    assert tested == added
    removed = patching.json_patch(added, [{"op": "remove", "path": path}])
    assert removed == {name: item for name, item in target.items() if name != key}


@given(OBJECTS, VALUES)
def test_a_copy_shares_nothing_with_its_source(target: Any, value: Any) -> None:
    operations = [
        {"op": "add", "path": "/source", "value": {"inner": value}},
        {"op": "copy", "from": "/source", "path": "/copy"},
        {"op": "replace", "path": "/copy/inner", "value": "other"},
    ]
    before = copy.deepcopy(target)
    result = patching.json_patch(target, operations)
    assert result["source"] == {"inner": value}
    assert result["copy"] == {"inner": "other"}
    assert target == before


@pytest.mark.parametrize(
    ("target", "operations", "expected"),
    [
        ({"l": [1, 3]}, [{"op": "add", "path": "/l/1", "value": 2}], {"l": [1, 2, 3]}),
        ({"l": [1]}, [{"op": "add", "path": "/l/-", "value": 2}], {"l": [1, 2]}),
        ({"l": [1, 2]}, [{"op": "remove", "path": "/l/0"}], {"l": [2]}),
        ({"a": 1}, [{"op": "move", "from": "/a", "path": "/b"}], {"b": 1}),
        ({"a": 1}, [{"op": "replace", "path": "", "value": {"b": 2}}], {"b": 2}),
        ({"a/b": 1}, [{"op": "remove", "path": "/a~1b"}], {}),
        ({}, [{"op": "test", "path": "/a", "value": None}], {}),
    ],
)
def test_json_patches(target: Any, operations: list[Any], expected: Any) -> None:
    assert patching.json_patch(target, operations) == expected


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "remove", "path": "/nosuch"},
        {"op": "replace", "path": "/nosuch", "value": 1},
        {"op": "add", "path": "/a/b/c", "value": 1},
        {"op": "add", "path": "/l/9", "value": 1},
        {"op": "add", "path": "/l/x", "value": 1},
        {"op": "add", "path": "/l/-1", "value": 1},
        {"op": "add", "path": "no-slash", "value": 1},
        {"op": "add", "path": "/a"},
        {"op": "test", "path": "/a", "value": True},
        {"op": "test", "path": "/a", "value": 2},
        {"op": "move", "from": "/nosuch", "path": "/b"},
        {"op": "fly", "path": "/a"},
        {"path": "/a"},
        "text",
        {"op": "add", "path": 1},
        {"op": "add", "path": "/a/b", "value": 1},
    ],
)
def test_what_does_not_fit_fails(operation: Any) -> None:
    with pytest.raises(PatchFailed):
        patching.json_patch({"a": 1, "l": [1]}, [operation])


CONTAINERS = {
    "properties": {
        "containers": {
            "type": "array",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name"],
            "items": {"properties": {"args": {"type": "array"}}},
        },
        "finalizers": {"type": "array", "x-kubernetes-list-type": "set"},
    }
}
TARGET = {
    "containers": [{"name": "a", "image": "1", "args": ["x"]}, {"name": "b"}],
    "finalizers": ["f", "g"],
    "map": {"k": "v"},
}


@pytest.mark.parametrize(
    ("patch", "field", "expected"),
    [
        (
            {"containers": [{"name": "b", "image": "2"}, {"name": "c"}]},
            "containers",
            [
                {"name": "a", "image": "1", "args": ["x"]},
                {"name": "b", "image": "2"},
                {"name": "c"},
            ],
        ),
        (
            {"containers": [{"name": "a", "$patch": "delete"}]},
            "containers",
            [{"name": "b"}],
        ),
        (
            {"containers": [{"$patch": "replace"}, {"name": "z"}]},
            "containers",
            [{"name": "z"}],
        ),
        (
            {"containers": [], "$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]},
            "containers",
            [{"name": "b"}, {"name": "a", "image": "1", "args": ["x"]}],
        ),
        (
            {"containers": [{"name": "a", "args": ["y"]}]},
            "containers",
            [{"name": "a", "image": "1", "args": ["y"]}, {"name": "b"}],
        ),
        ({"finalizers": ["h", "f"]}, "finalizers", ["f", "g", "h"]),
        ({"$deleteFromPrimitiveList/finalizers": ["f"]}, "finalizers", ["g"]),
        ({"map": {"$patch": "replace", "n": "1"}}, "map", {"n": "1"}),
        ({"map": {"$retainKeys": ["n"], "n": "1"}}, "map", {"n": "1"}),
        ({"map": {"k": None, "n": "1"}}, "map", {"n": "1"}),
    ],
)
def test_strategic_merges(patch: Any, field: str, expected: Any) -> None:
    before = copy.deepcopy(TARGET)
    assert patching.strategic_merge(TARGET, patch, CONTAINERS)[field] == expected
    assert before == TARGET


@pytest.mark.parametrize("patch", [{"$patch": "what"}, {"containers": [{"image": "x"}]}])
def test_strategic_merges_that_make_no_sense_are_refused(patch: Any) -> None:
    with pytest.raises(errors.Refused) as refusal:
        patching.strategic_merge(TARGET, patch, CONTAINERS)
    assert refusal.value.code == 400

"""Judging and shaping objects by schemas: texts, ratcheting, pruning, defaults."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calumma.cluster.api import structure, validation
from calumma.cluster.api.schema import Schemas

SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=3)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcd"), inner, max_size=3)
    ),
    max_leaves=10,
)
SCHEMA = {
    "type": "object",
    "required": ["a"],
    "properties": {
        "a": {"type": "string", "pattern": "^x", "default": "x"},
        "b": {
            "type": "array",
            "items": {"type": "object", "properties": {"c": {"type": "integer"}}},
        },
        "d": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    },
}


def texts(value: Any, schema: dict[str, Any], old: Any = None) -> list[str]:
    old_value = () if old is None else (old,)
    return [str(cause) for cause in validation.violations(value, schema, "f", *old_value)]


@pytest.mark.parametrize(
    ("value", "schema", "message"),
    [
        (
            "x",
            {"type": "integer"},
            'Invalid value: "string": f in body must be of type integer: "string"',
        ),
        (
            1,
            {"type": "string"},
            'Invalid value: "integer": f in body must be of type string: "integer"',
        ),
        (
            True,
            {"type": "string"},
            'Invalid value: "boolean": f in body must be of type string: "boolean"',
        ),
        (
            [],
            {"type": "object"},
            'Invalid value: "array": f in body must be of type object: "array"',
        ),
        (
            None,
            {"type": "object"},
            'Invalid value: "null": f in body must be of type object: "null"',
        ),
        (
            "red",
            {"type": "string", "enum": ["green", "blue"]},
            'Unsupported value: "red": supported values: "green", "blue"',
        ),
        (
            "y",
            {"type": "string", "pattern": "^x"},
            "Invalid value: \"y\": f in body should match '^x'",
        ),
        ("xy", {"type": "string", "maxLength": 1}, "Too long: may not be more than 1 bytes"),
        (
            "",
            {"type": "string", "minLength": 1},
            'Invalid value: "": f in body should be at least 1 chars long',
        ),
        (
            5,
            {"type": "integer", "maximum": 4},
            "Invalid value: 5: f in body should be less than or equal to 4",
        ),
        (
            5,
            {"type": "integer", "minimum": 6},
            "Invalid value: 5: f in body should be greater than or equal to 6",
        ),
        (
            [],
            {"type": "array", "minItems": 1},
            "Invalid value: 0: f in body should have at least 1 items",
        ),
        ({}, {"type": "object", "required": ["a"]}, "Required value"),
        (
            "a",
            {"type": "string", "format": "date-time"},
            'Invalid value: "a": f in body must be of type date-time: "a"',
        ),
    ],
)
def test_texts(value: Any, schema: dict[str, Any], message: str) -> None:
    (found,) = texts(value, schema)
    assert found.split(": ", 1)[1] == message


@pytest.mark.parametrize(
    ("value", "schema"),
    [
        (1, {"type": "number"}),
        (2.0, {"type": "integer"}),
        ("2Gi", {"x-kubernetes-int-or-string": True}),
        (2, {"x-kubernetes-int-or-string": True}),
        ("2026-11-21T10:00:00Z", {"type": "string", "format": "date-time"}),
        ("aGk=", {"type": "string", "format": "byte"}),
        ({"anything": [1, {}]}, {"type": "object", "x-kubernetes-preserve-unknown-fields": True}),
        (None, {}),
    ],
)
def test_what_is_fine(value: Any, schema: dict[str, Any]) -> None:
    assert texts(value, schema) == []


def test_an_int_or_string_is_neither_a_list_nor_a_truth() -> None:
    schema = {"x-kubernetes-int-or-string": True}
    values: list[Any] = [[], True, {}]
    for value in values:
        assert "must be of type integer,string" in texts(value, schema)[0]


def test_items_of_maps_and_sets_are_unique() -> None:
    keyed = {
        "type": "array",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["name"],
        "items": {"type": "object"},
    }
    assert texts([{"name": "a"}, {"name": "b"}], keyed) == []
    assert texts([{"name": "a"}, {"name": "a", "x": 1}], keyed) == [
        'f[1]: Duplicate value: {"name":"a"}'
    ]
    assert texts([1, 2, 1, 1], {"type": "array", "x-kubernetes-list-type": "set"}) == [
        "f[2]: Duplicate value: 1"
    ]


def test_what_was_wrong_before_and_is_unchanged_is_let_through() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}}
    old = {"a": "wrong", "b": 1}
    assert texts({"a": "wrong", "b": 2}, schema, old) == []
    assert len(texts({"a": "other", "b": 2}, schema, old)) == 1


@given(VALUES)
def test_everything_else_yields_causes_and_never_fails(value: Any) -> None:
    before = copy.deepcopy(value)
    validation.violations(value, SCHEMA)
    assert value == before


@given(st.dictionaries(st.sampled_from("abcd"), VALUES, max_size=4))
def test_pruning_leaves_what_is_declared_and_is_done_after_once(value: Any) -> None:
    structure.prune(value, SCHEMA)
    once = copy.deepcopy(value)
    assert set(value) <= {"a", "b", "d"}
    assert structure.prune(value, SCHEMA) == []
    assert value == once


@given(st.dictionaries(st.sampled_from("abcd"), VALUES, max_size=4))
def test_defaults_are_filled_in_once(value: Any) -> None:
    structure.default(value, SCHEMA)
    once = copy.deepcopy(value)
    assert value["a"] is not None
    structure.default(value, SCHEMA)
    assert value == once


def test_pruning_names_what_it_removes() -> None:
    value = {"a": "x", "q": 1, "b": [{"c": 1, "e": 2}], "d": {"kept": 1}}
    assert structure.prune(value, SCHEMA) == ["q", "b[0].e"]
    assert value == {"a": "x", "b": [{"c": 1}], "d": {"kept": 1}}


def test_nulls_are_dropped_where_there_is_no_default() -> None:
    value: dict[str, Any] = {"a": None, "b": [{"c": None}]}
    structure.drop_nulls(value, SCHEMA)
    assert value == {"a": None, "b": [{}]}


@given(VALUES, VALUES)
def test_equality_is_that_of_json(one: Any, other: Any) -> None:
    assert structure.equal(one, copy.deepcopy(one))
    if structure.equal(one, other):
        assert repr(one) == repr(other) or one == other
    assert not structure.equal(True, 1)
    assert not structure.equal([False], [0])


def test_quantities_of_the_real_schema(schemas: Schemas) -> None:
    container = schemas.of("V1Container")
    for value, fine in (("500m", True), ("2Gi", True), (2, True), ("two", False), ("", False)):
        resources = {"name": "a", "resources": {"limits": {"cpu": value}}}
        assert (validation.violations(resources, container) == []) is fine

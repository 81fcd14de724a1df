"""Field sets, structured merge and ownership, by examples and by properties."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calumma import errors
from calumma.cluster.api import fieldset, ownership, typed
from calumma.cluster.api.ownership import Writer
from calumma.cluster.objects import Object

TEXT = {"type": "string"}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "apiVersion": TEXT,
        "kind": TEXT,
        "metadata": {
            "type": "object",
            "properties": {
                "name": TEXT,
                "labels": {"type": "object", "additionalProperties": TEXT},
                "annotations": {"type": "object", "additionalProperties": TEXT},
                "managedFields": {"type": "array", "items": {"type": "object"}},
            },
        },
        "map": {"type": "object", "additionalProperties": TEXT},
        "atom": {
            "type": "object",
            "additionalProperties": TEXT,
            "x-kubernetes-map-type": "atomic",
        },
        "list": {"type": "array", "items": TEXT},
        "set": {"type": "array", "items": TEXT, "x-kubernetes-list-type": "set"},
        "items": {
            "type": "array",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["port", "protocol"],
            "items": {
                "type": "object",
                "properties": {
                    "port": {"type": "integer"},
                    "protocol": {"type": "string", "default": "TCP"},
                    "name": TEXT,
                },
            },
        },
    },
}


def item(port: int, name: str | None) -> Object:
    """An item of a list that is told apart by its port."""
    return {"port": port} | ({"name": name} if name else {})


LETTERS = st.sampled_from("abc")
ITEMS: st.SearchStrategy[list[Object]] = st.lists(
    st.builds(item, st.integers(1, 4), st.none() | LETTERS),
    min_size=1,
    max_size=3,
    unique_by=lambda each: str(each["port"]),
)
BODIES = st.fixed_dictionaries(
    {},
    optional={
        "map": st.dictionaries(LETTERS, LETTERS, min_size=1, max_size=3),
        "atom": st.dictionaries(LETTERS, LETTERS, max_size=2),
        "list": st.lists(LETTERS, max_size=3),
        "set": st.lists(LETTERS, min_size=1, max_size=3, unique=True),
        "items": ITEMS,
    },
)


def thing(body: Object) -> Object:
    return {"apiVersion": "v1", "kind": "Thing", "metadata": {"name": "t"}, **body}


def applied(live: Object | None, body: Object, manager: str, force: bool = False) -> Object:
    writer = Writer(manager, f"2026-11-21T10:00:0{len(manager) % 10}Z")
    return ownership.applied(live, thing(body), SCHEMA, writer, force)


def owners(obj: Object) -> dict[str, Any]:
    entries = obj["metadata"].get("managedFields", [])
    return {f"{entry['manager']}/{entry['operation']}": entry["fieldsV1"] for entry in entries}


def body_of(obj: Object) -> Object:
    return {key: value for key, value in obj.items() if key in SCHEMA["properties"]} | {
        "metadata": {"name": "t"}
    }


PATHS = st.frozensets(
    st.lists(
        st.sampled_from(["f:a", "f:b", 'k:{"name":"x"}', 'v:"y"']), min_size=1, max_size=4
    ).map(tuple),
    max_size=6,
)


@given(PATHS)
def test_a_field_set_survives_its_encoding(paths: frozenset[tuple[str, ...]]) -> None:
    assert fieldset.decode(fieldset.encode(paths)) == paths


def test_field_sets_read_as_conflicts_show_them() -> None:
    path = ("f:spec", 'k:{"name":"x","port":80}', "f:image", 'v:"z"')
    assert fieldset.text(path) == '.spec[name="x",port=80].image[="z"]'


@given(BODIES, BODIES)
def test_the_difference_of_equal_values_is_empty(one: Object, other: Object) -> None:
    assert not any(typed.difference(thing(one), thing(copy.deepcopy(one)), SCHEMA))
    forth = typed.difference(thing(one), thing(other), SCHEMA)
    back = typed.difference(thing(other), thing(one), SCHEMA)
    assert (forth.added, forth.removed) == (back.removed, back.added)
    assert forth.modified == back.modified


@given(BODIES, BODIES)
def test_a_merge_holds_all_that_is_configured(live: Object, config: Object) -> None:
    merged = typed.merged(thing(live), thing(config), SCHEMA)
    left = typed.difference(merged, thing(config), SCHEMA)
    assert not left.added
    assert not left.modified
    assert typed.merged(merged, thing(config), SCHEMA) == merged


@given(BODIES, BODIES)
def test_one_applier_gets_what_it_says(first: Object, second: Object) -> None:
    live = applied(None, first, "one")
    assert body_of(live) == thing(first)
    now = applied(live, second, "one")
    assert not any(typed.difference(thing(second), body_of(now), SCHEMA))


@given(BODIES, BODIES)
def test_applying_again_changes_nothing(first: Object, second: Object) -> None:
    live = applied(applied(None, first, "one"), second, "two", force=True)
    again = applied(live, second, "two", force=True)
    assert again == live


@given(BODIES, BODIES)
def test_what_another_says_as_well_stays_when_one_leaves(first: Object, second: Object) -> None:
    both = applied(applied(None, first, "one"), second, "two", force=True)
    left = applied(both, {}, "one", force=True)
    lost = typed.difference(thing(second), body_of(left), SCHEMA)
    assert not lost.removed
    assert not lost.modified


@given(BODIES, BODIES)
def test_a_conflict_is_raised_exactly_where_a_value_would_change(
    first: Object, second: Object
) -> None:
    live = applied(None, first, "one")
    changes = typed.difference(
        thing(first), typed.merged(thing(first), thing(second), SCHEMA), SCHEMA
    )
    mine = typed.fields(thing(first), SCHEMA)
    contested = mine & (changes.modified | changes.added)
    try:
        applied(live, second, "two")
    except errors.Refused as refusal:
        assert contested
        assert refusal.code == 409
    else:
        assert not contested


def test_conflicts_are_listed_by_their_owners() -> None:
    live = applied(None, {"map": {"a": "1", "b": "1"}}, "one")
    live = ownership.updated(
        live, {**live, "list": ["x"]}, SCHEMA, Writer("editor", "2026-11-21T10:00:09Z")
    )
    with pytest.raises(errors.Refused) as refusal:
        applied(live, {"map": {"a": "2", "b": "2"}, "list": ["y"]}, "two")
    assert str(refusal.value) == (
        "Apply failed with 3 conflicts: "
        'conflicts with "editor" using v1:\n- .list\n'
        'conflicts with "one":\n- .map.a\n- .map.b'
    )


def test_list_items_are_told_apart_by_their_keys_and_defaults() -> None:
    live = applied(None, {"items": [{"port": 1, "name": "a"}, {"port": 2}]}, "one")
    both = applied(live, {"items": [{"port": 1, "protocol": "TCP"}, {"port": 3}]}, "two")
    assert [item["port"] for item in both["items"]] == [1, 2, 3]
    assert both["items"][0] == {"port": 1, "name": "a", "protocol": "TCP"}
    left = applied(both, {"items": [{"port": 2}]}, "one")
    assert left["items"] == [{"port": 1, "protocol": "TCP"}, {"port": 2}, {"port": 3}]


@pytest.mark.parametrize(
    ("live", "config", "expected"),
    [
        ("abc", "d", "abcd"),
        ("abc", "ca", "bca"),
        ("abc", "dbe", "adbce"),
        ("ab", "ba", "ba"),
        ("", "ab", "ab"),
        ("abcd", "db", "acdb"),
    ],
)
def test_the_order_of_merged_lists(live: str, config: str, expected: str) -> None:
    merged = typed.merged({"set": list(live)}, {"set": list(config)}, SCHEMA)
    assert "".join(merged["set"]) == expected


def test_an_update_owns_what_it_changes() -> None:
    live = applied(None, {"map": {"a": "1", "b": "1"}}, "one")
    new = {**live, "map": {"a": "2", "b": "1", "c": "1"}}
    found = ownership.updated(live, new, SCHEMA, Writer("editor", "2026-11-21T10:00:09Z"))
    assert owners(found) == {
        "one/Apply": {"f:map": {"f:b": {}}},
        "editor/Update": {"f:map": {"f:a": {}, "f:c": {}}},
    }


def test_only_so_many_updaters_are_remembered() -> None:
    live = applied(None, {"map": {"k": "0"}}, "one")
    for number in range(15):
        new = {**live, "map": {**live["map"], f"k{number}": "1"}}
        writer = Writer(f"m{number}", f"2026-11-21T10:00:{number:02}Z")
        live = ownership.updated(live, new, SCHEMA, writer)
    updaters = [name for name in owners(live) if name.endswith("/Update")]
    assert len(updaters) == 10
    assert "ancient-changes/Update" in updaters


def test_kubectl_takes_over_from_its_own_client_side_apply() -> None:
    noted = '{"apiVersion":"v1","kind":"Thing","metadata":{"name":"t"},"map":{"a":"1"}}'
    annotation = {"kubectl.kubernetes.io/last-applied-configuration": noted}
    live = thing({"map": {"a": "1"}})
    live["metadata"]["annotations"] = annotation
    live = ownership.updated(None, live, SCHEMA, Writer("kubectl-client-side-apply", "t"))
    with pytest.raises(errors.Refused):
        applied(live, {"map": {"a": "2"}}, "other")
    taken = applied(live, {"map": {"a": "2"}}, "kubectl")
    assert taken["map"] == {"a": "2"}
    text = taken["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"]
    assert '"map":{"a":"2"}' in text


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"nosuch": 1}, ".nosuch: field not declared in schema"),
        ({"map": "x"}, ".map: expected map, got x"),
        ({"list": {}}, ".list: expected list, got map"),
        ({"map": {"a": True}}, ".map.a: expected string, got true"),
        ({"set": ["a", "a"]}, '.set: duplicate entries for key [="a"]'),
        (
            {"items": [{"name": "x"}]},
            ".items: element 0: associative list with keys has an element that omits key field "
            '"port" (and doesn\'t have default value)',
        ),
    ],
)
def test_what_cannot_be_applied_is_said(body: Object, message: str) -> None:
    with pytest.raises(errors.Refused) as refusal:
        applied(None, body, "one")
    assert refusal.value.code == 500
    assert message in str(refusal.value)


def test_managed_fields_cannot_be_applied() -> None:
    with pytest.raises(errors.Refused, match="managedFields must be nil"):
        applied(None, {"metadata": {"name": "t", "managedFields": [{}]}}, "one")

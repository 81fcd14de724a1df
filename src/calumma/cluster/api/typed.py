"""Objects seen through their schema, as structured merge sees them.

Which parts of an object are fields of their own, which are replaced as a whole and which list items
are the same item: that is what a schema says and what merging needs. The room lists the fields of
a value, compares two values field by field, merges one into another and takes fields away. Pure.
:mod:`.ownership` decides with it who owns what.
Source: sigs.k8s.io/structured-merge-diff, ``typed``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from calumma.cluster.api import fieldset, structure
from calumma.cluster.api.fieldset import FieldSet, Path
from calumma.cluster.api.schema import Node
from calumma.cluster.api.structure import PRESERVE
from calumma.cluster.api.validation import INT_OR_STRING

_ABSENT: Final = object()
_LIST_TYPE: Final = "x-kubernetes-list-type"
_MAP_TYPE: Final = "x-kubernetes-map-type"
_KEYS: Final = "x-kubernetes-list-map-keys"
_DEDUCED: Final[Node] = {PRESERVE: True}
_MISSING_KEY: Final = "associative list with keys has an element that omits key field"


class Difference(NamedTuple):
    """The fields in which two values differ."""

    added: FieldSet
    modified: FieldSet
    removed: FieldSet


def _is_map(value: Any, schema: Node) -> bool:
    """Whether a value is a map whose keys are fields of their own."""
    return isinstance(value, dict) and schema.get(_MAP_TYPE) != "atomic"


def _is_list(value: Any, schema: Node) -> bool:
    """Whether a value is a list whose items are fields of their own."""
    return isinstance(value, list) and schema.get(_LIST_TYPE) in ("map", "set")


def _inner(schema: Node, key: str) -> Node:
    """The schema of a field; what no schema declares is taken as it comes."""
    return structure.child(schema, key) or _DEDUCED


def _element(item: Any, schema: Node) -> str:
    """The path element of a list item."""
    if schema.get(_LIST_TYPE) == "set" or not isinstance(item, dict):
        return fieldset.member(item)
    properties = schema.get("items", {}).get("properties", {})
    keys = {}
    for key in schema.get(_KEYS, []):
        value = item.get(key, properties.get(key, {}).get("default"))
        if value is not None:
            keys[key] = value
    return fieldset.item(keys)


def _children(value: Any, schema: Node) -> dict[str, tuple[Any, Node]]:
    """What lies directly below a map or list, by path element; the first of equal items."""
    if isinstance(value, dict):
        return {fieldset.field(key): (item, _inner(schema, key)) for key, item in value.items()}
    found: dict[str, tuple[Any, Node]] = {}
    for item in value:
        found.setdefault(_element(item, schema), (item, schema.get("items", _DEDUCED)))
    return found


def fields(value: Any, schema: Node) -> FieldSet:
    """The fields that a value sets, as an applied configuration owns them."""
    return frozenset(_fields(value, schema, ()))


def _fields(value: Any, schema: Node, path: Path) -> Iterator[Path]:
    if not (_is_map(value, schema) or _is_list(value, schema)):
        yield path
        return
    declared = schema.get("properties", {})
    for element, (item, inner) in _children(value, schema).items():
        at = (*path, element)
        free_key = isinstance(value, dict) and element[2:] not in declared
        if free_key or isinstance(value, list) or item in (None, {}):
            yield at
        yield from _fields(item, inner, at)


def difference(old: Any, new: Any, schema: Node) -> Difference:
    """How ``new`` differs from ``old``."""
    added: set[Path] = set()
    modified: set[Path] = set()
    removed: set[Path] = set()

    def compare(before: Any, after: Any, node: Node, path: Path) -> None:
        sides = [side for side in (before, after) if side is not _ABSENT]
        maps = all(_is_map(side, node) for side in sides)
        if not (maps or all(_is_list(side, node) for side in sides)) or not any(sides):
            leaf(before, after, path)
            return
        left = {} if before is _ABSENT else _children(before, node)
        right = {} if after is _ABSENT else _children(after, node)
        for element in {**left, **right}:
            inner = (left.get(element) or right[element])[1]
            one = left[element][0] if element in left else _ABSENT
            other = right[element][0] if element in right else _ABSENT
            compare(one, other, inner, (*path, element))
        if before is _ABSENT:
            added.add(path)
        elif after is _ABSENT:
            removed.add(path)

    def leaf(before: Any, after: Any, path: Path) -> None:
        if before is _ABSENT:
            added.add(path)
        elif after is _ABSENT:
            removed.add(path)
        elif type(before) is not type(after) or before != after:
            modified.add(path)

    compare(old, new, schema, ())
    return Difference(frozenset(added), frozenset(modified), frozenset(removed))


def merged(live: Any, config: Any, schema: Node) -> Any:
    """The live value with an applied configuration put over it."""
    if _is_map(live, schema) and _is_map(config, schema):
        result = dict(live)
        for key, item in config.items():
            inner = _inner(schema, key)
            result[key] = merged(live[key], item, inner) if key in live else item
        return result
    if _is_list(live, schema) and _is_list(config, schema):
        return _merged_list(live, config, schema)
    return config


def _merged_list(live: list[Any], config: list[Any], schema: Node) -> list[Any]:
    """The live items with the configured ones merged in.

    Configured items come in the configuration's order; a live item that is not configured stays
    before the configured ones that followed it.
    """
    mine = _children(config, schema)
    here = _children(live, schema)
    items = schema.get("items", _DEDUCED)

    def combined(element: str) -> Any:
        item = mine[element][0]
        return merged(here[element][0], item, items) if element in here else item

    result = []
    waiting = list(mine)
    for item in live:
        element = _element(item, schema)
        if element not in mine:
            result.append(item)
        elif element == next((each for each in waiting if each in here), None):
            end = waiting.index(element) + 1
            result += map(combined, waiting[:end])
            del waiting[:end]
    return [*result, *map(combined, waiting)]


def without(value: Any, schema: Node, unwanted: FieldSet) -> Any:
    """The value without those fields; a map or list that this empties goes with them."""
    if not unwanted:
        return value
    kept = {}
    for element, (item, inner) in _children(value, schema).items():
        if (element,) in unwanted:
            continue
        deeper = frozenset(path[1:] for path in unwanted if path[0] == element and len(path) > 1)
        if deeper and (_is_map(item, inner) or _is_list(item, inner)):
            item = without(item, inner, deeper)
            if not item:
                continue
        kept[element] = item
    if isinstance(value, dict):
        return {element[2:]: item for element, item in kept.items()}
    return list(kept.values())


def misfits(value: Any, schema: Node, path: str = "") -> Iterator[str]:
    """What keeps a value from being applied: fields and types that its schema does not have."""
    if value is None:
        return
    if isinstance(value, dict) and _takes(schema, "object"):
        for key, item in value.items():
            inner = structure.child(schema, key)
            if inner is not None:
                yield from misfits(item, inner, f"{path}.{key}")
            elif not schema.get(PRESERVE):
                yield f"{path}.{key}: field not declared in schema"
    elif isinstance(value, list) and _takes(schema, "array"):
        yield from _list_misfits(value, schema, path)
    elif expected := _expected(value, schema):
        yield f"{path}: expected {expected}, got {_go(value)}"


def _list_misfits(value: list[Any], schema: Node, path: str) -> Iterator[str]:
    """What keeps a list from being applied."""
    seen = set()
    items = schema.get("items", _DEDUCED)
    for index, item in enumerate(value):
        at = f"{path}[{index}]"
        if _is_list(value, schema):
            element = _element(item, schema)
            at = path + fieldset.text((element,))
            if element in seen:
                yield f"{path}: duplicate entries for key {fieldset.text((element,))}"
            seen.add(element)
            if schema[_LIST_TYPE] == "map":
                keys = json.loads(element[2:]) if element.startswith("k:") else {}
                absent = [key for key in schema[_KEYS] if key not in keys]
                if absent:
                    why = f'{_MISSING_KEY} "{absent[0]}" (and doesn\'t have default value)'
                    yield f"{path}: element {index}: {why}"
                    continue
        yield from misfits(item, items, at)


def _takes(schema: Node, kind: str) -> bool:
    """Whether a schema takes a map (``object``) or a list (``array``)."""
    if schema.get(INT_OR_STRING):
        return False
    return bool(schema.get("type", kind) == kind)


def _expected(value: Any, schema: Node) -> str:
    """What a schema takes instead of this value, in structured merge's words."""
    if schema.get(INT_OR_STRING):
        return "any scalar" if isinstance(value, dict | list) else ""
    match schema.get("type"):
        case "object":
            return "map"
        case "array":
            return "list"
        case "string":
            return "" if isinstance(value, str) else "string"
        case "boolean":
            return "" if isinstance(value, bool) else "boolean"
        case "integer" | "number":
            number = isinstance(value, int | float) and not isinstance(value, bool)
            return "" if number else "numeric (int or float)"
    return ""


def _go(value: Any) -> str:
    """A value, or for containers its kind, as Go's ``%v`` shows it."""
    match value:
        case bool():
            return "true" if value else "false"
        case dict():
            return "map"
        case list():
            return "list"
    return str(value)

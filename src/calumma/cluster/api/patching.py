"""The three ways of changing an object by a patch: merge, JSON and strategic merge.

Each takes an object and a patch and returns a new object; neither is changed. Pure; applying a
configuration is :mod:`.ownership`'s. Sources: RFC 7396, RFC 6902 and 6901, and Kubernetes'
``apimachinery/pkg/util/strategicpatch``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, Final

from calumma.cluster.api import status, structure
from calumma.cluster.api.schema import Node
from calumma.cluster.objects import Object

MOST_OPERATIONS: Final = 10_000
LARGEST_COPIES: Final = 3 * 1024 * 1024
"""Bytes of JSON that the ``copy`` operations of one patch may add, as in a real API server."""
_INDEX: Final = re.compile(r"\d{1,9}", re.ASCII)
_DIRECTIVE: Final = "$patch"
_RETAIN: Final = "$retainKeys"
_ORDER: Final = "$setElementOrder/"
_DELETE: Final = "$deleteFromPrimitiveList/"


class PatchFailed(Exception):
    """A JSON patch that does not fit the object."""


def merge(target: Any, patch: Any) -> Any:
    """The target after a JSON merge patch (RFC 7396): null removes, lists are replaced."""
    if not isinstance(patch, dict):
        return structure.copied(patch)
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge(result.get(key), value)
    return result


def json_patch(target: Object, operations: list[Any]) -> Any:
    """The target after a JSON patch (RFC 6902).

    Raises:
        PatchFailed: an operation does not fit, or a ``test`` fails.
    """
    document: Any = structure.copied(target)
    copies = 0
    for operation in operations:
        document, added = _operate(document, operation)
        copies += added
        if copies > LARGEST_COPIES:
            raise PatchFailed(f"its copies add more than {LARGEST_COPIES} bytes")
    return document


def _operate(document: Any, operation: Any) -> tuple[Any, int]:
    """The document after one operation, and how many bytes that copied."""
    if not isinstance(operation, dict) or not isinstance(operation.get("path"), str):
        raise PatchFailed("an operation is an object with a path")
    path = _pointer(operation["path"])
    match operation.get("op"):
        case "add":
            return _edited(document, path, _adding(_value(operation))), 0
        case "remove":
            return _edited(document, path, _removing), 0
        case "replace":
            _look_up(document, path)
            return _edited(document, path, _replacing(_value(operation))), 0
        case "move":
            source = _pointer(str(operation.get("from", "")))
            value = _look_up(document, source)
            document = _edited(document, source, _removing)
            return _edited(document, path, _adding(value)), 0
        case "copy":
            value = structure.copied(_look_up(document, _pointer(str(operation.get("from", "")))))
            return _edited(document, path, _adding(value)), len(json.dumps(value))
        case "test":
            if not structure.equal(_tested(document, path), operation.get("value")):
                raise PatchFailed(f"testing path {operation['path']} failed")
            return document, 0
    raise PatchFailed(f"unknown operation {operation.get('op')!r}")


def _value(operation: dict[str, Any]) -> Any:
    """The value of an operation that needs one."""
    if "value" not in operation:
        raise PatchFailed("the operation has no value")
    return structure.copied(operation["value"])


def _pointer(text: str) -> list[str]:
    """The steps of a JSON pointer (RFC 6901)."""
    if not text:
        return []
    if not text.startswith("/"):
        raise PatchFailed(f"{text!r} is no JSON pointer")
    return [part.replace("~1", "/").replace("~0", "~") for part in text[1:].split("/")]


def _index(step: str, length: int) -> int:
    """The place in a list that a step names."""
    if not _INDEX.fullmatch(step) or int(step) >= length:
        raise PatchFailed(f"no item {step!r} in a list of {length}")
    return int(step)


def _look_up(document: Any, path: list[str]) -> Any:
    """The value at a path."""
    for step in path:
        if isinstance(document, dict) and step in document:
            document = document[step]
        elif isinstance(document, list):
            document = document[_index(step, len(document))]
        else:
            raise PatchFailed(f"nothing at {step!r}")
    return document


def _tested(document: Any, path: list[str]) -> Any:
    """The value at a path, null where there is none."""
    try:
        return _look_up(document, path)
    except PatchFailed:
        return None


Edit = Callable[[Any, str], None]


def _edited(document: Any, path: list[str], edit: Edit) -> Any:
    """The document after an edit of what is at the end of a path."""
    holder = {"": document}
    parent = _look_up(document, path[:-1]) if path else holder
    if not isinstance(parent, dict | list):
        raise PatchFailed("a path leads into a scalar")
    edit(parent, path[-1] if path else "")
    return holder.get("")


def _adding(value: Any) -> Edit:
    def edit(parent: Any, step: str) -> None:
        if isinstance(parent, dict):
            parent[step] = value
        elif step == "-":
            parent.append(value)
        else:
            parent.insert(_index(step, len(parent) + 1), value)

    return edit


def _replacing(value: Any) -> Edit:
    def edit(parent: Any, step: str) -> None:
        parent[step if isinstance(parent, dict) else _index(step, len(parent))] = value

    return edit


def _removing(parent: Any, step: str) -> None:
    if isinstance(parent, list):
        del parent[_index(step, len(parent))]
    elif step in parent:
        del parent[step]
    else:
        raise PatchFailed(f"nothing to remove at {step!r}")


def strategic_merge(target: Any, patch: Any, schema: Node) -> Any:
    """The target after a strategic merge patch.

    Maps are merged; lists are merged where the schema names merge keys or calls them a set, and
    replaced elsewhere; ``$patch``, ``$retainKeys``, ``$setElementOrder`` and
    ``$deleteFromPrimitiveList`` say what else to do.

    Raises:
        errors.Refused: 400 for a directive that Kubernetes does not know.
    """
    if not isinstance(patch, dict):
        return structure.copied(patch)
    directive = patch.get(_DIRECTIVE, "merge")
    if directive not in ("merge", "replace", "delete"):
        raise status.bad_request(f"invalid value for $patch: {status.quoted(directive)}")
    if directive != "merge":
        return {} if directive == "delete" else _plain(patch)
    result = dict(target) if isinstance(target, dict) else {}
    if _RETAIN in patch:
        retained = _listed(patch, _RETAIN)
        result = {key: value for key, value in result.items() if key in retained}
    for key, value in patch.items():
        if key.startswith(_DELETE):
            field, unwanted = key.removeprefix(_DELETE), _listed(patch, key)
            result[field] = [item for item in result.get(field) or [] if item not in unwanted]
        elif not key.startswith("$"):
            inner = structure.child(schema, key) or {}
            if value is None:
                result.pop(key, None)
            elif isinstance(value, list):
                order = patch.get(f"{_ORDER}{key}")
                result[key] = _merged_list(result.get(key) or [], value, inner, order)
            else:
                result[key] = strategic_merge(result.get(key), value, inner)
    return result


def _listed(patch: dict[str, Any], directive: str) -> list[Any]:
    """The value of a directive that takes a list."""
    value = patch[directive]
    if not isinstance(value, list):
        raise status.bad_request(f"expected a list for {directive}, got {status.quoted(value)}")
    return value


def _plain(patch: dict[str, Any]) -> Object:
    """A patch without its directives."""
    kept: Object = structure.copied({k: v for k, v in patch.items() if not k.startswith("$")})
    return kept


def _merged_list(target: list[Any], patch: list[Any], schema: Node, order: Any) -> list[Any]:
    """A list after its part of a strategic merge patch."""
    kind = schema.get("x-kubernetes-list-type")
    if kind == "set":
        merged = target + [item for item in patch if item not in target]
        return _ordered(merged, order, lambda item: item)
    replaces = {_DIRECTIVE: "replace"}
    if kind != "map" or replaces in patch:
        kept = [item for item in patch if item != replaces]
        return [_plain(item) if isinstance(item, dict) else item for item in kept]
    key = schema["x-kubernetes-list-map-keys"][0]
    merged = list(target)
    for item in patch:
        if not isinstance(item, dict) or key not in item:
            text = f"map: {status.quoted(item)} does not contain declared merge key: {key}"
            raise status.bad_request(text)
        at = next((i for i, old in enumerate(merged) if old.get(key) == item[key]), None)
        if item.get(_DIRECTIVE) == "delete":
            merged = [old for old in merged if old.get(key) != item[key]]
        elif at is None:
            merged.append(_plain(item))
        else:
            merged[at] = strategic_merge(merged[at], item, schema.get("items", {}))
    return _ordered(merged, order, lambda item: item.get(key))


def _ordered(items: list[Any], order: Any, identity: Callable[[Any], Any]) -> list[Any]:
    """The items in the order that a patch asks for; those it does not name keep their places."""
    if not isinstance(order, list):
        return items
    wanted = [identity(entry) if isinstance(entry, dict) else entry for entry in order]
    named = [item for item in items if identity(item) in wanted]
    arranged = iter(sorted(named, key=lambda item: wanted.index(identity(item))))
    return [next(arranged) if identity(item) in wanted else item for item in items]

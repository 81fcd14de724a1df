"""Judge an object by its schema, with the texts of a real API server.

:func:`violations` walks a value and its schema together and returns one cause for each thing that
is wrong. On an update, parts that were as wrong before are let through, as Kubernetes does, so
that an object written under an older schema can still be changed. Pure.
Source: Kubernetes' ``kube-openapi/pkg/validation`` and
``apiextensions-apiserver/pkg/apiserver/validation``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final

from calumma.cluster.api import status, structure
from calumma.cluster.api.schema import Node
from calumma.cluster.api.status import Cause

INT_OR_STRING: Final = "x-kubernetes-int-or-string"
_LIMITS: Final = {"int32": 2**31, "int64": 2**63}
_ABSENT: Final = object()


def violations(value: Any, schema: Node, path: str = "", old: Any = _ABSENT) -> list[Cause]:
    """Everything that is wrong with a value; ``old`` is the value that it replaces, if any."""
    return list(_check(value, schema, path, old))


def _check(value: Any, schema: Node, path: str, old: Any) -> Iterator[Cause]:
    if old is not _ABSENT and structure.equal(value, old):
        return
    if mistyped := _type_violation(value, schema, path):
        yield mistyped
    if isinstance(value, bool) or value is None:
        pass
    elif isinstance(value, str):
        yield from _text(value, schema, path)
    elif isinstance(value, int | float):
        yield from _number(value, schema, path)
    elif isinstance(value, list):
        yield from _list(value, schema, path, old)
    elif isinstance(value, dict):
        yield from _map(value, schema, path, old)
    if "enum" in schema and value not in schema["enum"]:
        yield status.unsupported(path, value, map(str, schema["enum"]))


def _json_type(value: Any) -> tuple[str, str]:
    """The JSON type of a value, and the width that Go's decoder gives a number."""
    match value:
        case None:
            return "null", ""
        case bool():
            return "boolean", ""
        case int():
            return "integer", "int64"
        case float():
            return "number", "float64"
        case str():
            return "string", ""
        case list():
            return "array", ""
    return "object", ""


def _type_violation(value: Any, schema: Node, path: str) -> Cause | None:
    """What is wrong with the type of a value."""
    if schema.get(INT_OR_STRING):
        expected: tuple[str, ...] = ("integer", "string")
    elif "type" in schema:
        expected = (schema["type"],)
    else:
        return None
    found, width = _json_type(value)
    whole = isinstance(value, float) and value.is_integer() and "integer" in expected
    if found in expected or whole or (found == "integer" and "number" in expected):
        return None
    wanted = ",".join(expected)
    form = schema.get("format", "")
    if form and found in ("number", "integer", "boolean", "object"):
        wanted, found = form, width
    elif form and expected == ("string",) and found == "array":
        return None
    detail = f"{path} in body must be of type {wanted}: {status.quoted(found)}"
    return status.invalid_type(path, found, detail)


def _text(value: str, schema: Node, path: str) -> Iterator[Cause]:
    """What is wrong with a string."""
    if "maxLength" in schema and len(value) > schema["maxLength"]:
        yield status.too_long(path, schema["maxLength"])
    elif len(value) < schema.get("minLength", 0):
        least = schema["minLength"]
        detail = f"{path} in body should be at least {least} chars long"
        yield status.invalid(path, value, detail)
    elif "pattern" in schema and not _pattern(schema["pattern"]).search(value):
        detail = f"{path} in body should match '{schema['pattern']}'"
        yield status.invalid(path, value, detail)
    if schema.get("type") == "string" and not _has_format(value, schema.get("format", "")):
        detail = f"{path} in body must be of type {schema['format']}: {status.quoted(value)}"
        yield status.invalid_type(path, value, detail)


@lru_cache(maxsize=64)
def _pattern(expression: str) -> re.Pattern[str]:
    """A compiled pattern; Go's ``$`` is Python's ``\\Z``."""
    return re.compile(re.sub(r"(?<!\\)\$$", r"\\Z", expression))


def _has_format(value: str, form: str) -> bool:
    """Whether a string has the format that its schema names; unknown formats hold for all."""
    if form == "date-time":
        time = r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:?\d\d)"
        return re.fullmatch(time, value) is not None
    if form == "byte":
        return re.fullmatch(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2,3}=*)?", value) is not None
    return True


def _number(value: float, schema: Node, path: str) -> Iterator[Cause]:
    """What is wrong with a number."""
    if schema.get("type") == "integer":
        form = schema.get("format", "")
        limit = _LIMITS.get(form, 2**63)
        if value != int(value) or not -limit <= value < limit:
            kind = f"integer with format {form}" if form else "integer (default format)"
            detail = f"Checked value must be of type {kind} in {path}"
            yield status.invalid("<nil>", "", detail)
    if "maximum" in schema and value > schema["maximum"]:
        detail = f"{path} in body should be less than or equal to {schema['maximum']}"
        yield status.invalid(path, value, detail)
    if "minimum" in schema and value < schema["minimum"]:
        detail = f"{path} in body should be greater than or equal to {schema['minimum']}"
        yield status.invalid(path, value, detail)


def _list(value: list[Any], schema: Node, path: str, old: Any) -> Iterator[Cause]:
    """What is wrong with a list and its items."""
    inner = schema.get("items")
    before = old if isinstance(old, list) and len(old) == len(value) else []
    for index, item in enumerate(value if inner is not None else []):
        earlier = before[index] if before else _ABSENT
        yield from _check(item, inner or {}, f"{path}[{index}]", earlier)
    if len(value) < schema.get("minItems", 0):
        least = schema["minItems"]
        detail = f"{path} in body should have at least {least} items"
        yield status.invalid(path, len(value), detail)
    if "maxItems" in schema and len(value) > schema["maxItems"]:
        yield status.too_many(path, len(value), schema["maxItems"])
    yield from _unique(value, schema, path)


def _unique(value: list[Any], schema: Node, path: str) -> Iterator[Cause]:
    """The items of a list that have the keys, or are the value, of an earlier item."""
    kind = schema.get("x-kubernetes-list-type")
    keys = schema.get("x-kubernetes-list-map-keys", [])
    seen: set[str] = set()
    reported: set[str] = set()
    for index, item in enumerate(value if kind in ("map", "set") else []):
        if kind == "map" and not isinstance(item, dict):
            detail = "must be an object for an array of list-type map"
            yield status.invalid(f"{path}[{index}]", item, detail)
            return
        identity = {key: item[key] for key in keys if key in item} if kind == "map" else item
        text = json.dumps(identity, sort_keys=True)
        if text in seen and text not in reported:
            reported.add(text)
            yield status.duplicate(f"{path}[{index}]", identity)
        seen.add(text)


def _map(value: dict[str, Any], schema: Node, path: str, old: Any) -> Iterator[Cause]:
    """What is wrong with an object and its fields."""
    fields = schema.get("properties", {})
    before = old if isinstance(old, dict) else {}
    for key, item in value.items():
        inner = fields.get(key, schema.get("additionalProperties"))
        if inner is not None:
            at = f"{path}.{key}" if path else key
            yield from _check(item, inner, at, before.get(key, _ABSENT))
    for key in schema.get("required", []):
        if key not in value:
            yield status.required(f"{path}.{key}" if path else key)

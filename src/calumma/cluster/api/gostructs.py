"""How Go's JSON decoder refuses what does not fit a struct.

Kubernetes' own kinds, and ``metadata`` of every kind, are Go structs: a value of another type is
not judged by a schema but fails to decode, with the decoder's own words. Custom resources go
through :mod:`.validation` instead. Pure. Source: Go's ``encoding/json`` and ``encoding/base64``.
"""

from __future__ import annotations

import re
import string
from collections.abc import Mapping
from typing import Any, Final

from calumma.cluster.api.schema import MODEL, Node
from calumma.cluster.api.validation import INT_OR_STRING

_ALPHABET: Final = frozenset(string.ascii_letters + string.digits + "+/")
_LIMITS: Final = {"int32": 2**31, "int64": 2**63}


def mismatch(value: Any, schema: Node, prefix: str = "") -> str:
    """Why a value cannot be decoded into a struct; empty where it can.

    Args:
        value: the decoded JSON.
        schema: the resolved definition of the struct.
        prefix: the path of the value below the struct that errors name.
    """
    if not isinstance(value, dict):
        return f"json: cannot unmarshal {_json_kind(value)} into Go value of type {_type(schema)}"
    for key, item in value.items():
        inner = schema.get("properties", {}).get(key)
        if inner is not None and item is not None:
            where = f"{_struct(schema)}.{prefix}{key}"
            if problem := _mismatch(item, inner, where, f"{prefix}{key}."):
                return problem
    return ""


def type_mismatch(value: Mapping[str, Any]) -> str:
    """Why the kind and version of an object cannot be read; empty where they can."""
    for field in ("apiVersion", "kind"):
        found = value.get(field)
        if found is not None and not isinstance(found, str):
            return _refusal(_json_kind(found), f".{field}", "string")
    return ""


def fill(value: Any, schema: Node) -> None:
    """Replace, in place, nulls by what Go's decoder makes of them.

    A field that is null is not set; an item of a list or map is the zero of its type.
    """
    if isinstance(value, list):
        inner = schema.get("items", {})
        value[:] = [_zero(inner) if item is None else item for item in value]
        for item in value:
            fill(item, inner)
    elif isinstance(value, dict):
        fields = schema.get("properties", {})
        for key in list(value):
            inner = fields.get(key, schema.get("additionalProperties", {}))
            if value[key] is not None:
                fill(value[key], inner)
            elif key in fields or not inner:
                del value[key]
            else:
                value[key] = _zero(inner)


def _zero(schema: Node) -> Any:
    """The zero of a Go type."""
    zeros: dict[str, Any] = {"boolean": False, "integer": 0, "number": 0}
    zeros |= {"array": [], "object": {}}
    return zeros.get(schema.get("type", ""), "")


def _mismatch(value: Any, schema: Node, where: str, prefix: str) -> str:
    """Why a value cannot be decoded into a field."""
    expected = schema.get("type")
    kind = _json_kind(value)
    if schema.get(INT_OR_STRING):
        return "" if kind in ("string", "number") else _refusal(kind, where, "intstr.IntOrString")
    if expected == "object" and isinstance(value, dict):
        if "properties" in schema:
            return mismatch(value, schema, prefix)
        inner = schema.get("additionalProperties", {})
        items = list(value.values())
    elif expected == "array" and isinstance(value, list):
        inner = schema["items"]
        items = value
    else:
        return _scalar_mismatch(value, schema, where, kind)
    problems = (_mismatch(item, inner, where, prefix) for item in items if item is not None)
    return next(filter(None, problems), "")


def _scalar_mismatch(value: Any, schema: Node, where: str, kind: str) -> str:
    """Why a value cannot be decoded into a field that holds a scalar, or another container."""
    form = schema.get("format", "")
    match schema.get("type"), value:
        case "string", str():
            if form == "byte" and (at := illegal_base64(value)) is not None:
                return f"illegal base64 data at input byte {at}"
            if form == "date-time" and not re.match(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d", value):
                layout = "2006-01-02T15:04:05Z07:00"
                return f'parsing time "{value}" as "{layout}": cannot parse "{value}" as "2006"'
            return ""
        case "boolean", bool():
            return ""
        case "integer", float() | int() if not isinstance(value, bool):
            limit = _LIMITS.get(form, 2**63)
            if isinstance(value, int) and -limit <= value < limit:
                return ""
            return _refusal(f"number {value}", where, _type(schema))
        case "number", float() | int() if not isinstance(value, bool):
            return ""
        case None, _:
            return ""
    return _refusal(kind, where, _type(schema))


def _refusal(kind: str, where: str, wanted: str) -> str:
    return f"json: cannot unmarshal {kind} into Go struct field {where} of type {wanted}"


def _json_kind(value: Any) -> str:
    """The kind of a JSON value, in the decoder's words."""
    match value:
        case bool():
            return "bool"
        case int() | float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
    return "object"


def _struct(schema: Node) -> str:
    """The name of a struct: ``PodSpec`` for the model ``V1PodSpec``."""
    return re.sub(r"^(Core)?V\d+((alpha|beta)\d+)?", "", schema.get(MODEL, ""))


def _type(schema: Node) -> str:
    """A Go type: ``string``, ``map[string]string``, ``[]v1.Container``."""
    match schema.get("type"):
        case "boolean":
            return "bool"
        case "integer":
            return str(schema.get("format", "int"))
        case "number":
            return "float64"
        case "array":
            return f"[]{_type(schema['items'])}"
        case "object" if "additionalProperties" in schema:
            return f"map[string]{_type(schema['additionalProperties'])}"
        case "object":
            return f"v1.{_struct(schema)}"
    return "[]uint8" if schema.get("format") == "byte" else "string"


def illegal_base64(text: str) -> int | None:
    """The byte at which Go's decoder finds that a text is not base64, or None where it is."""
    positions = [at for at, character in enumerate(text) if character not in "\r\n"]
    for start in range(0, len(positions), 4):
        group = positions[start : start + 4]
        letters = [text[at] for at in group]
        for index, letter in enumerate(letters):
            if letter in _ALPHABET:
                continue
            if letter != "=" or index < 2:
                return group[index]
            if index == 2 and letters[3:] != ["="]:
                return len(text) if len(letters) < 4 else group[3]
            rest = positions[start + 4 :]
            return rest[0] if rest else None
        if len(letters) < 4:
            return len(text) - len(letters)
    return None

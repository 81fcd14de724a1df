"""Bring an object into the shape of its schema: prune, default, drop nulls.

A cluster stores only fields that a schema declares. :func:`prune` removes the others and says
which, so that strict clients are refused and careless ones warned; :func:`default` fills in what
the schema supplies. Both work in place. Pure. :mod:`.validation` judges the result.
Source: Kubernetes' ``apiextensions-apiserver/pkg/apiserver/schema`` (pruning, defaulting).
"""

from __future__ import annotations

from typing import Any

from calumma.cluster.api.schema import Node

PRESERVE = "x-kubernetes-preserve-unknown-fields"


def copied(value: Any) -> Any:
    """A deep copy of decoded JSON."""
    if isinstance(value, dict):
        return {key: copied(item) for key, item in value.items()}
    if isinstance(value, list):
        return [copied(item) for item in value]
    return value


def equal(one: Any, other: Any) -> bool:
    """Whether two JSON values are equal; ``True == 1`` in Python, which JSON does not say."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(equal, one, other))
    return bool(one == other)


def child(schema: Node, key: str) -> Node | None:
    """The schema of a field or of a map's value, or None where none is declared."""
    declared: Node | None = schema.get("properties", {}).get(key)
    return declared if declared is not None else schema.get("additionalProperties")


def prune(value: Any, schema: Node | None, path: str = "") -> list[str]:
    """Remove, in place, the fields that no schema declares; returns their paths."""
    if isinstance(value, list):
        items = schema.get("items") if schema is not None else None
        return [
            unknown
            for index, item in enumerate(value)
            for unknown in prune(item, items, f"{path}[{index}]")
        ]
    if not isinstance(value, dict):
        return []
    preserve = schema is not None and bool(schema.get(PRESERVE))
    unknown = []
    for key in list(value):
        at = f"{path}.{key}" if path else key
        inner = child(schema, key) if schema is not None else None
        if inner is not None:
            unknown += prune(value[key], inner, at)
        elif not preserve:
            unknown.append(at)
            del value[key]
    return unknown


def drop_nulls(value: Any, schema: Node | None) -> None:
    """Remove, in place, the fields that are null, unless the schema has a default for them."""
    if isinstance(value, list):
        for item in value:
            drop_nulls(item, schema.get("items") if schema is not None else None)
    elif isinstance(value, dict):
        for key in list(value):
            inner = child(schema, key) if schema is not None else None
            if value[key] is not None:
                drop_nulls(value[key], inner)
            elif inner is not None and "default" not in inner:
                del value[key]


def default(value: Any, schema: Node | None) -> None:
    """Fill in, in place, the defaults of a schema."""
    if schema is None:
        return
    if isinstance(value, list):
        for item in value:
            default(item, schema.get("items"))
    elif isinstance(value, dict):
        for key, inner in schema.get("properties", {}).items():
            if "default" in inner and value.get(key) is None:
                value[key] = copied(inner["default"])
        for key, item in value.items():
            default(item, child(schema, key))

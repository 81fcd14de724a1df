"""Tables: what ``kubectl get`` prints.

The server decides which columns a kind has and fills their cells; the client only aligns them.
Pure: the clock is passed in. Sources: Kubernetes' ``meta.k8s.io/v1`` ``Table`` and
``apiextensions-apiserver/pkg/registry/customresource/tableconvertor``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from calumma.cluster.api import jsonpath, printers
from calumma.cluster.api.printers import Heading, Printer
from calumma.cluster.api.resources import Column, Resource
from calumma.cluster.objects import Object


def table(
    resource: Resource,
    items: Iterable[Object],
    meta: Mapping[str, Any],
    include: str,
    now: float,
    headings: bool = True,
) -> Object:
    """A Table of objects.

    Args:
        resource: the kind of the objects.
        items: the objects.
        meta: of the list, or of the one object.
        include: ``Object``, ``None`` or ``Metadata``: how much of each object its row carries.
        now: in seconds, for ages.
        headings: whether to define the columns; a watch does so in its first event only.
    """
    printer = _printer(resource)
    rows = []
    for item in items:
        row: Object = {"cells": printer.cells(item, now)}
        if include == "Object":
            row["object"] = item
        elif include != "None":
            row["object"] = partial(item)
        rows.append(row)
    kept = ("resourceVersion", "continue", "remainingItemCount")
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {key: meta[key] for key in kept if meta.get(key)},
        "columnDefinitions": _definitions(printer) if headings else None,
        "rows": rows,
    }


def partial(item: Object) -> Object:
    """An object reduced to its metadata."""
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": item["metadata"],
    }


def _definitions(printer: Printer) -> list[dict[str, Any]]:
    """The columns as a Table defines them."""
    return [
        {
            "name": heading.name,
            "type": heading.type,
            "format": "name" if heading.name == "Name" else "",
            "description": "",
            "priority": heading.priority,
        }
        for heading in printer.headings
    ]


def _printer(resource: Resource) -> Printer:
    """The columns of a kind and the function that fills them."""
    if not resource.custom and resource.kind in printers.PRINTERS:
        return printers.PRINTERS[resource.kind]
    columns = resource.columns

    def cells(item: Mapping[str, Any], now: float) -> list[Any]:
        return [item["metadata"]["name"], *(_cell(column, item, now) for column in columns)]

    headings = [Heading(column.name, column.type, column.priority) for column in columns]
    return Printer((Heading("Name"), *headings), cells)


def _cell(column: Column, item: Mapping[str, Any], now: float) -> Any:
    """The cell of a column that a JSONPath names; nothing where the path finds nothing."""
    found = jsonpath.find(item, column.path)
    value = found[0] if found else None
    match column.type, value:
        case _, None:
            return None
        case "string", bool():
            return "true" if value else "false"
        case "string", _:
            return str(value)
        case "integer", int() | float() if not isinstance(value, bool):
            return int(value)
        case "boolean", bool():
            return value
        case "date", str():
            moment = printers.seconds(value)
            return "<invalid>" if moment is None else printers.duration(now - moment)
    return None

"""The CustomResourceDefinitions of the served kinds, to be read.

KServe's and Knative's kinds are part of this server and cannot be installed or removed, but clients
look at their definitions: ``kubectl get crd``, and kubectl itself where it meets an unknown kind.
They are made from the rows and schemas when they are asked for. :mod:`.reading` serves them.
"""

from __future__ import annotations

import uuid
from typing import Any

from calumma.cluster.api import kinds, openapi
from calumma.cluster.api.backend import Backend
from calumma.cluster.api.resources import Resource
from calumma.cluster.objects import Object, dig


def find(state: Backend, name: str) -> Object | None:
    """The definition of that name, such as ``inferenceservices.serving.kserve.io``."""
    rows = [row for row in state.catalog.rows if row.custom and str(row.name) == name]
    return _definition(state, rows) if rows else None


def everything(state: Backend) -> list[Object]:
    """All definitions, by name."""
    names = sorted({str(row.name) for row in state.catalog.rows if row.custom})
    return [found for name in names if (found := find(state, name))]


def _definition(state: Backend, rows: list[Resource]) -> Object:
    """The definition of one kind, given its row in each version."""
    row = rows[0]
    beginning = state.store.get(kinds.NAMESPACES.key("", "default")).value
    names: dict[str, Any] = {
        "plural": row.plural,
        "singular": row.singular,
        "kind": row.kind,
        "listKind": f"{row.kind}List",
    }
    if row.short_names:
        names["shortNames"] = list(row.short_names)
    if row.categories:
        names["categories"] = list(row.categories)
    return {
        "kind": "CustomResourceDefinition",
        "apiVersion": "apiextensions.k8s.io/v1",
        "metadata": {
            "name": str(row.name),
            "uid": str(uuid.uuid5(uuid.NAMESPACE_DNS, str(row.name))),
            "resourceVersion": "1",
            "generation": 1,
            "creationTimestamp": dig(beginning, "metadata", "creationTimestamp"),
        },
        "spec": {
            "group": row.group,
            "names": names,
            "scope": "Namespaced" if row.namespaced else "Cluster",
            "versions": [_version(state, each) for each in rows],
            "conversion": {"strategy": "None"},
        },
        "status": {
            "acceptedNames": names,
            "conditions": [
                {"type": kind, "status": "True", "reason": reason}
                for kind, reason in (
                    ("NamesAccepted", "NoConflicts"),
                    ("Established", "InitialNamesAccepted"),
                )
            ],
            "storedVersions": [each.version for each in rows if not each.stored_version],
        },
    }


def _version(state: Backend, row: Resource) -> dict[str, Any]:
    """One version of a definition."""
    columns = [
        {"name": column.name, "type": column.type, "jsonPath": column.path}
        | ({"priority": column.priority} if column.priority else {})
        for column in row.columns
    ]
    version: dict[str, Any] = {
        "name": row.version,
        "served": True,
        "storage": not row.stored_version,
        "schema": {"openAPIV3Schema": openapi.custom_schema(row, state.schemas)},
        "additionalPrinterColumns": columns,
    }
    if row.subresources:
        version["subresources"] = {name: {} for name in row.subresources}
    return version

"""OpenAPI v3: what ``kubectl explain`` shows and ``kubectl apply`` checks before it sends.

One document for each group and version is made from the rows and the derived schemas when it is
asked for; clients keep it by its hash, so that hardly ever happens. Custom resources are written
out as a CustomResourceDefinition is (without descriptions, as KServe's are), Kubernetes' own kinds
refer to named components. Source: Kubernetes' OpenAPI v3 documents.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from calumma.cluster.api import operations
from calumma.cluster.api.resources import Catalog, Resource
from calumma.cluster.api.schema import OPEN, Node, Schemas

Document = dict[str, Any]

SERVED_VERSION: Final = "1.36"
"""The version of Kubernetes whose behaviour this server shows."""
_SOURCES: Final = ("kinds.py", "openapi.py", "operations.py", "resources.py")
"""The modules that decide, with the schemas, what the documents say."""


def digest(schemas: Schemas, path: str) -> str:
    """The hash under which clients keep the document of a path such as ``api/v1``."""
    return hashlib.sha512(f"{_revision()} {schemas.digest} {path}".encode()).hexdigest().upper()


@cache
def _revision() -> str:
    """What changes whenever a document may, the schemas apart."""
    folder = Path(__file__).parent
    return hashlib.sha256(b"".join((folder / name).read_bytes() for name in _SOURCES)).hexdigest()


def root(catalog: Catalog, schemas: Schemas) -> Document:
    """Where the documents are."""
    return {
        "paths": {
            path: {"serverRelativeURL": f"/openapi/v3/{path}?hash={digest(schemas, path)}"}
            for path in sorted({row.path for row in catalog.rows})
        }
    }


def document(catalog: Catalog, schemas: Schemas, path: str) -> Document | None:
    """The document of a group and version, or None where there is none."""
    rows = [row for row in catalog.rows if row.path == path]
    if not rows:
        return None
    components: Document = {operations.PATCH: {"type": "object"}}
    paths: Document = {}
    for row in rows:
        _add_kind(components, row, schemas)
        paths |= dict(operations.paths(row))
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": f"v{SERVED_VERSION}"},
        "paths": paths,
        "components": {"schemas": dict(sorted(components.items()))},
    }


def custom_schema(row: Resource, schemas: Schemas) -> Document:
    """The schema of a custom resource as a CustomResourceDefinition has it."""
    text = {"type": "string"}
    root = _expanded(schemas.published[row.schema] if row.schema else OPEN, schemas)
    fields = {"apiVersion": text, "kind": text, "metadata": {"type": "object"}}
    return {**root, "properties": {**root.get("properties", {}), **fields}}


def _expanded(node: Node, schemas: Schemas) -> Document:
    """A schema with its references written out and its descriptions left out."""
    if "allOf" in node:
        node = node["allOf"][0]
    if "$ref" in node:
        return _expanded(schemas.published[node["$ref"]], schemas)
    result = {key: value for key, value in node.items() if key != "description"}
    if "properties" in node:
        fields = node["properties"].items()
        result["properties"] = {name: _expanded(field, schemas) for name, field in fields}
    for inner in ("items", "additionalProperties"):
        if inner in node:
            result[inner] = _expanded(node[inner], schemas)
    return result


def _add_kind(components: Document, row: Resource, schemas: Schemas) -> None:
    """Add the schema of a kind, of its list, and of all that they refer to."""
    texts = schemas.published["V1ConfigMap"]["properties"]
    types = {key: texts[key] for key in ("apiVersion", "kind")}
    meta = {
        "description": (
            "Standard object's metadata. More info: https://git.k8s.io/community/contributors/"
            "devel/sig-architecture/api-conventions.md#metadata"
        ),
        "allOf": [operations.reference(operations.component("V1ObjectMeta"))],
    }
    wanted = ["V1DeleteOptions", "V1ListMeta", "V1ObjectMeta", "V1Status"]
    if row.custom or not row.schema:
        schema = custom_schema(row, schemas)
    else:
        schema = _referring(schemas.published[row.schema])
        wanted += _models(schemas.published[row.schema])
    name = operations.kind_component(row)
    own = {**schema["properties"], **types, "metadata": meta}
    components[name] = {**schema, "properties": own, **_kinds(row, row.kind)}
    items = {"type": "array", "items": operations.reference(name)}
    list_meta = operations.reference(operations.component("V1ListMeta"))
    components[f"{name}List"] = {
        "type": "object",
        "required": ["items"],
        "properties": {**types, "items": items, "metadata": list_meta},
        **_kinds(row, f"{row.kind}List"),
    }
    _add_models(components, wanted, schemas)


def _add_models(components: Document, wanted: list[str], schemas: Schemas) -> None:
    """Add the schemas of models, and of all that they refer to."""
    while wanted:
        model = wanted.pop()
        if operations.component(model) not in components:
            components[operations.component(model)] = _referring(schemas.published[model])
            wanted += _models(schemas.published[model])


def _kinds(row: Resource, kind: str) -> Document:
    entry = {"group": row.group, "version": row.version, "kind": kind}
    return {"x-kubernetes-group-version-kind": [entry]}


def _models(node: Any) -> Iterator[str]:
    """The models that a schema refers to."""
    if isinstance(node, Mapping):
        if "$ref" in node:
            yield node["$ref"]
        for value in node.values():
            yield from _models(value)
    elif isinstance(node, list):
        for value in node:
            yield from _models(value)


def _referring(node: Any) -> Any:
    """A schema whose references name components, with how strategic merge treats its lists."""
    if isinstance(node, list):
        return [_referring(item) for item in node]
    if not isinstance(node, Mapping):
        return node
    if "$ref" in node:
        return operations.reference(operations.component(node["$ref"]))
    result = {key: _referring(value) for key, value in node.items()}
    match node.get("x-kubernetes-list-type"):
        case "map":
            result["x-kubernetes-patch-merge-key"] = node["x-kubernetes-list-map-keys"][0]
            result["x-kubernetes-patch-strategy"] = "merge"
        case "set":
            result["x-kubernetes-patch-strategy"] = "merge"
    return result

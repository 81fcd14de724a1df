"""The paths of OpenAPI documents: which verbs a kind has, with which parameters and bodies.

:mod:`.openapi` puts them into its documents next to the schemas; :mod:`.handlers` takes the same
media types. Pure. Source: Kubernetes' OpenAPI v3 documents.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from calumma.cluster.api import routing
from calumma.cluster.api.parsing import JSON, YAML
from calumma.cluster.api.protobuf import MEDIA_TYPE as PROTOBUF
from calumma.cluster.api.resources import Resource

Document = dict[str, Any]

_META_MODELS: Final = frozenset(
    {
        "V1DeleteOptions",
        "V1FieldsV1",
        "V1ListMeta",
        "V1ManagedFieldsEntry",
        "V1ObjectMeta",
        "V1OwnerReference",
        "V1Preconditions",
        "V1Status",
        "V1StatusCause",
        "V1StatusDetails",
    }
)
PATCH: Final = "io.k8s.apimachinery.pkg.apis.meta.v1.Patch"
_LISTING: Final = {
    "allowWatchBookmarks": "boolean",
    "continue": "string",
    "fieldSelector": "string",
    "labelSelector": "string",
    "limit": "integer",
    "resourceVersion": "string",
    "resourceVersionMatch": "string",
    "sendInitialEvents": "boolean",
    "timeoutSeconds": "integer",
    "watch": "boolean",
}
_WRITING: Final = {"dryRun": "string", "fieldManager": "string", "fieldValidation": "string"}
_DELETING: Final = {
    "dryRun": "string",
    "gracePeriodSeconds": "integer",
    "orphanDependents": "boolean",
    "propagationPolicy": "string",
}
_QUERY: Final[Mapping[str, Mapping[str, str]]] = {
    "create": _WRITING,
    "delete": _DELETING,
    "deletecollection": {**_LISTING, **_DELETING},
    "get": {"resourceVersion": "string"},
    "list": _LISTING,
    "patch": {**_WRITING, "force": "boolean"},
    "update": _WRITING,
}
"""The parameters of each verb, and their types."""
PATCH_TYPES: Final = (
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/apply-patch+yaml",
)
STRATEGIC: Final = "application/strategic-merge-patch+json"


def patch_types(resource: Resource) -> tuple[str, ...]:
    """The media types of the patches that a kind takes."""
    if resource.custom:
        return PATCH_TYPES
    return (*PATCH_TYPES[:2], STRATEGIC, PATCH_TYPES[2])


def component(model: str) -> str:
    """The name of a model's component."""
    if model in _META_MODELS:
        return f"io.k8s.apimachinery.pkg.apis.meta.v1.{model.removeprefix('V1')}"
    return f"io.k8s.api.core.v1.{model.removeprefix('Core').removeprefix('V1')}"


def kind_component(row: Resource) -> str:
    """The name of a kind's component: ``io.kserve.serving.v1beta1.InferenceService``."""
    if not row.group:
        return f"io.k8s.api.core.v1.{row.kind}"
    domain = ".".join(reversed(row.group.split(".")))
    return f"{domain}.{row.version}.{row.kind}"


def reference(name: str) -> Document:
    """A schema that refers to a component."""
    return {"$ref": f"#/components/schemas/{name}"}


def paths(row: Resource) -> Iterator[tuple[str, Document]]:
    """The paths of a kind, and what each takes."""
    base = f"/{row.path}"
    collection = f"{base}/namespaces/{{namespace}}/{row.plural}"
    outer = ["namespace"]
    if not row.namespaced:
        collection, outer = f"{base}/{row.plural}", []
    elif "list" in row.verbs:
        yield f"{base}/{row.plural}", _path(row, {"GET": "list"}, [])
    yield collection, _path(row, routing.OF_LIST, outer)
    if "get" in row.verbs:
        yield f"{collection}/{{name}}", _path(row, routing.OF_OBJECT, ["name", *outer])
    if "status" in row.subresources:
        methods = {key: verb for key, verb in routing.OF_OBJECT.items() if verb != "delete"}
        yield f"{collection}/{{name}}/status", _path(row, methods, ["name", *outer])


def _path(row: Resource, methods: Mapping[str, str], in_path: list[str]) -> Document:
    """One path: its methods, and the parameters that are part of it."""
    parameters = [_parameter(name, "path", "string") for name in in_path]
    offered = {method.lower(): verb for method, verb in methods.items() if verb in row.verbs}
    return {
        **{method: _operation(row, verb) for method, verb in offered.items()},
        "parameters": [*parameters, _parameter("pretty", "query", "string")],
    }


def _parameter(name: str, place: str, kind: str) -> Document:
    parameter: Document = {"name": name, "in": place, "schema": {"type": kind, "uniqueItems": True}}
    return parameter | {"required": True} if place == "path" else parameter


def _operation(row: Resource, verb: str) -> Document:
    """One operation: its parameters, its body and its answers."""
    name = kind_component(row)
    deletes = verb in ("delete", "deletecollection")
    answer = component("V1Status") if deletes else f"{name}List" if verb == "list" else name
    operation: Document = {
        "tags": [row.path],
        "operationId": f"{verb}{row.version.title()}{row.kind}",
        "parameters": [_parameter(key, "query", kind) for key, kind in _QUERY[verb].items()],
        "responses": {
            "200": {"description": "OK", "content": _content((JSON, YAML), answer)},
            "401": {"description": "Unauthorized"},
        },
        "x-kubernetes-action": {"create": "post", "update": "put"}.get(verb, verb),
        "x-kubernetes-group-version-kind": {
            "group": row.group,
            "version": row.version,
            "kind": row.kind,
        },
    }
    if body := _body(row, verb, name):
        operation["requestBody"] = {"content": body, "required": not deletes}
    return operation


def _body(row: Resource, verb: str, name: str) -> Document:
    """What an operation is sent; empty where that is nothing."""
    match verb:
        case "create" | "update":
            types = (JSON, YAML) if row.custom else (JSON, YAML, PROTOBUF)
            return _content(types, name)
        case "patch":
            return _content(patch_types(row), PATCH)
        case "delete" | "deletecollection":
            return _content((JSON, YAML), component("V1DeleteOptions"))
    return {}


def _content(media_types: tuple[str, ...], name: str) -> Document:
    return {media_type: {"schema": reference(name)} for media_type in media_types}

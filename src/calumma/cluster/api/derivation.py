"""Derive the schemas of every kind from the installed ``kserve`` and ``kubernetes`` packages.

The room exists so that ``kubectl explain`` and field validation speak of the very fields that
the installed KServe knows. It guarantees one JSON document of named definitions that refer to each
other with ``$ref`` (12,800 nodes expanded, 240 shared). Importing kserve costs 170 MB, so nothing
but ``python -m calumma.cluster.api.derivation OUT.json`` imports this module: :mod:`.schema` runs
that once in a short-lived process and keeps its result.
"""

from __future__ import annotations

import importlib
import inspect
import json
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from calumma.cluster.api import constraints
from calumma.cluster.api.constraints import Node

ROOTS = (
    "V1beta1InferenceService",
    "V1alpha1ClusterServingRuntime",
    "V1alpha1ClusterStorageContainer",
    "V1alpha1InferenceGraph",
    "V1alpha1ServingRuntime",
    "V1ConfigMap",
    "V1Namespace",
    "V1PersistentVolumeClaim",
    "V1Pod",
    "V1Secret",
    "V1Service",
    "V1ServiceAccount",
    "CoreV1Event",
    "V2HorizontalPodAutoscaler",
    "V1SelfSubjectAccessReview",
    "V1SelfSubjectReview",
    "V1SelfSubjectRulesReview",
    "V1DeleteOptions",
    "V1ListMeta",
    "V1Status",
)
"""The models of the kinds that are served, and what their paths refer to."""


def derive(roots: Sequence[str] = ROOTS) -> dict[str, Node]:
    """Every definition that the roots reach, by the name of its model.

    Raises:
        LookupError: the installed packages lack a model that another one refers to.
    """
    definitions: dict[str, Node] = {}
    wanted = list(roots)
    while wanted:
        name = wanted.pop()
        if name not in definitions:
            definitions[name] = _definition(name)
            wanted += _references(definitions[name])
    return definitions


def _references(node: Any) -> list[str]:
    """The names of the definitions that a schema refers to."""
    if isinstance(node, dict):
        found = [name for value in node.values() for name in _references(value)]
        return [*found, node["$ref"]] if "$ref" in node else found
    if isinstance(node, list):
        return [name for value in node for name in _references(value)]
    return []


def _model(name: str) -> type[Any]:
    """The class of a model: kserve's, or else the kubernetes client's.

    kserve does not export all of its models from their package, so modules are looked up by name.
    """
    for package in ("kserve.models", "kubernetes.client.models"):
        module = re.sub(r"([A-Z]+[a-z0-9]*)", r"_\1", name).strip("_").lower()
        for candidate in (package, f"{package}.{module}"):
            try:
                found = getattr(importlib.import_module(candidate), name, None)
            except ModuleNotFoundError:
                continue
            if isinstance(found, type):
                return found
    raise LookupError(f"neither kserve nor kubernetes has a model named {name}")


def _definition(name: str) -> Node:
    """The schema of one model."""
    if name in constraints.DEFINITIONS:
        return constraints.DEFINITIONS[name]
    if name in constraints.VARIANTS:
        return _variant(constraints.VARIANTS[name])
    model = _model(name)
    from_kubernetes = model.__module__.startswith("kubernetes.")
    properties: dict[str, Node] = {}
    required = []
    for attribute, kind in model.openapi_types.items():
        field = model.attribute_map[attribute]
        node = _property(name, field, kind, from_kubernetes)
        accessor = inspect.getattr_static(model, attribute)
        if from_kubernetes:
            node = _described(node, accessor.fget)
        properties[field] = node
        if _is_required(f"{name}.{field}", accessor.fset):
            required.append(field)
    for field in constraints.ABSENT.get(name, ()):
        properties.pop(field, None)
    definition: Node = {"type": "object", "properties": dict(sorted(properties.items()))}
    if required:
        definition["required"] = sorted(required)
    if name in constraints.ATOMIC_MAPS:
        definition["x-kubernetes-map-type"] = "atomic"
    if name in constraints.OPEN:
        definition["x-kubernetes-preserve-unknown-fields"] = True
    return definition


def _variant(variant: constraints.Variant) -> Node:
    """The schema of a variant of a model."""
    base = _definition(variant.base)
    required = [field for field in base.get("required", []) if field not in variant.optional]
    definition = base | {"properties": base["properties"] | variant.fields, "required": required}
    return definition if required else {k: v for k, v in definition.items() if k != "required"}


def _is_required(qualified: str, setter: Any) -> bool:
    """Whether a field is required: the generator writes that as a setter that refuses ``None``."""
    if qualified in constraints.REQUIRED or qualified in constraints.OPTIONAL:
        return qualified in constraints.REQUIRED
    return "must not be `None`" in inspect.getsource(setter)


def _described(node: Node, getter: Any) -> Node:
    """The schema with the description that the generator wrote into the getter's docstring.

    A description next to ``$ref`` is not allowed, hence Kubernetes' own form ``allOf``.
    """
    text = inspect.getdoc(getter) or ""
    text = text.split("# noqa: E501", 1)[1].split(":return:")[0].replace("# noqa: E501", "").strip()
    text = text.replace(".  ", ".\n\n")
    if not text:
        return node
    if "$ref" in node:
        return {"description": text, "allOf": [node]}
    return {"description": text, **node}


def _property(model: str, field: str, kind: str, from_kubernetes: bool) -> Node:
    """The schema of one field, whose type the generator writes like ``dict(str, list[V1Pod])``."""
    if override := constraints.OVERRIDES.get(f"{model}.{field}"):
        return override
    if model.startswith("V1beta1") and field in constraints.COMPONENT_FIELDS:
        return constraints.COMPONENT_FIELDS[field]
    node = dict(_typed(kind, model, field))
    if node.get("type") == "array":
        node |= _list_type(model, field, node["items"], from_kubernetes)
    node |= constraints.FIELD_FACETS.get(field, {})
    return node | constraints.FACETS.get(model, {}).get(field, {})


def _typed(kind: str, model: str, field: str) -> Node:
    """The schema of a type as the generator writes it."""
    if match := re.fullmatch(r"list\[(.*)\]", kind):
        return {"type": "array", "items": _typed(match[1], model, field)}
    if match := re.fullmatch(r"dict[(\[]str, (.*)[)\]]", kind):
        return {"type": "object", "additionalProperties": _typed(match[1], model, field)}
    if kind == "int":
        return _integer(model, field)
    if kind == "str" and not constraints.QUANTITIES.isdisjoint({field, f"{model}.{field}"}):
        return constraints.QUANTITY
    if kind in constraints.TYPES:
        return constraints.TYPES[kind]
    return {"$ref": constraints.SUBSTITUTES.get(kind, kind)}


def _integer(model: str, field: str) -> Node:
    """An integer with the width that Kubernetes gives it."""
    if not constraints.PLAIN_INTEGERS.isdisjoint({field, f"{model}.{field}"}):
        return {"type": "integer"}
    wide = not constraints.INT64.isdisjoint({field, f"{model}.{field}"})
    return {"type": "integer", "format": "int64" if wide else "int32"}


def _list_type(model: str, field: str, items: Node, from_kubernetes: bool) -> Node:
    """How Kubernetes merges a list: by keys, as a set, or as a whole."""
    qualified = f"{model}.{field}"
    keys = constraints.LIST_KEYS.get(qualified) or constraints.LIST_KEYS.get(field)
    if items.get("$ref") == constraints.CONTAINER_PORTS:
        keys = constraints.LIST_KEYS["V1Container.ports"]
    if keys:
        return {"x-kubernetes-list-map-keys": keys, "x-kubernetes-list-type": "map"}
    if qualified in constraints.LIST_SETS:
        return {"x-kubernetes-list-type": "set"}
    if from_kubernetes or field in constraints.ATOMIC_LISTS:
        return {"x-kubernetes-list-type": "atomic"}
    return {}


def main() -> None:
    """Write the definitions to the file that the command line names, whole or not at all.

    More words are other roots, such as ``V1CronJob``: what is rendered for a cluster can be judged
    by the schemas of kinds that are not served here.
    """
    target = Path(sys.argv[1])
    draft = target.with_name(f"{target.name}.{os.getpid()}")
    draft.write_text(
        json.dumps(derive(sys.argv[2:] or ROOTS), separators=(",", ":"), sort_keys=True)
    )
    draft.replace(target)


if __name__ == "__main__":
    main()

"""Merging a ServingRuntime's container with the InferenceService's.

Scalars of the InferenceService win, named lists are merged by their key, and arguments are
appended, as Kubernetes' strategic merge and KServe do it.
Source: kserve ``inferenceservice/utils/utils.go``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from calumma import errors
from calumma.cluster import objects
from calumma.cluster.objects import Object

_MERGE_KEYS = {
    "containers": "name",
    "env": "name",
    "ephemeralContainers": "name",
    "hostAliases": "ip",
    "imagePullSecrets": "name",
    "initContainers": "name",
    "ports": "containerPort",
    "volumeDevices": "devicePath",
    "volumeMounts": "mountPath",
    "volumes": "name",
}
_PLACEHOLDER = re.compile(r"\{\{\s*\.(?P<path>[^{}\s]+)\s*\}\}")
_TAG = re.compile(r":[\w.\-_]*$")


def merge(base: Mapping[str, Any], patch: Mapping[str, Any]) -> Object:
    """A strategic merge of two pod specs, containers, or parts of them."""
    merged = dict(base)
    for key, value in patch.items():
        present = merged.get(key)
        if isinstance(present, Mapping) and isinstance(value, Mapping):
            merged[key] = merge(present, value)
        elif isinstance(present, list) and isinstance(value, list) and key in _MERGE_KEYS:
            merged[key] = _merge_list(present, value, _MERGE_KEYS[key])
        elif value is not None:
            merged[key] = value
    return merged


def merge_container(runtime: Mapping[str, Any], isvc: Mapping[str, Any]) -> Object:
    """The runtime's container with the InferenceService's settings; arguments are appended."""
    merged = merge(runtime, {key: value for key, value in isvc.items() if key != "args"})
    arguments = [*(runtime.get("args") or []), *(isvc.get("args") or [])]
    if arguments:
        merged["args"] = arguments
    return merged


def fill_placeholders(container: Object, isvc: Mapping[str, Any], runtime: str) -> Object:
    """The container with ``{{.Name}}``, ``{{.Labels.x}}`` and the like replaced.

    Raises errors.InvalidSpec for a placeholder that names no metadata.
    """
    metadata = {
        "Name": objects.name(isvc),
        "Namespace": objects.namespace(isvc),
        "Labels": objects.labels_of(isvc),
        "Annotations": objects.annotations_of(isvc),
    }

    def value(match: re.Match[str]) -> str:
        root, _, key = match["path"].partition(".")
        found = metadata.get(root)
        if isinstance(found, str) and not key:
            return json.dumps(found)[1:-1]
        if isinstance(found, dict) and key:
            return json.dumps(found.get(key, "<no value>"))[1:-1]
        explanation = (
            f"failed to replace placeholders in serving runtime {runtime} Container "
            f"{container.get('name', '')}"
        )
        raise errors.InvalidSpec(
            f"{explanation}: {match[0]} is not one of .Name, .Namespace, .Labels.<key>, "
            ".Annotations.<key>",
            "InvalidPredictorSpec",
            explanation,
        )

    filled: Object = json.loads(_PLACEHOLDER.sub(value, json.dumps(container)))
    return filled


def with_version(image: str, version: str | None) -> str:
    """The image with ``runtimeVersion`` as its tag; an image with a digest stays as it is."""
    if version is None or "@sha256:" in image:
        return image
    tagged = _TAG.sub(f":{version}", image)
    return tagged if _TAG.search(image) else f"{image}:{version}"


def set_environment(container: Object, name: str, value: str) -> None:
    """Set one environment variable of a container, replacing one of that name."""
    environment = [dict(v) for v in container.get("env") or []]
    for variable in environment:
        if variable["name"] == name:
            variable["value"] = value
            break
    else:
        environment.append({"name": name, "value": value})
    container["env"] = environment


def has_argument(arguments: Sequence[str], prefix: str) -> bool:
    """Whether an argument begins with this prefix, KServe's test before it injects one."""
    return any(argument.startswith(prefix) for argument in arguments)


def _merge_list(base: Sequence[Object], patch: Sequence[Object], key: str) -> list[Object]:
    merged = [dict(item) for item in base]
    places = {item.get(key): place for place, item in enumerate(merged)}
    for item in patch:
        place = places.get(item.get(key))
        if place is None:
            merged.append(dict(item))
        else:
            merged[place] = merge(merged[place], item)
    return merged

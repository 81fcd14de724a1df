"""What makes ``spec.predictor.workerSpec``, KServe's serving on several nodes, acceptable.

A one-machine cluster refuses it when it acts; what KServe's webhook refuses before has KServe's
words here too.
Source: kserve ``validateMultiNodeVariables`` in ``inference_service_validation.go``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from calumma.cluster import objects
from calumma.cluster.kserve import vocabulary

_SIZES = (
    ("pipelineParallelSize", "PipelineParallelSize", "PIPELINE_PARALLEL_SIZE"),
    ("tensorParallelSize", "TensorParallelSize", "TENSOR_PARALLEL_SIZE"),
)
_GPU_ANNOTATION = "serving.kserve.io/gpu-resource-types"
_KNOWN_RESOURCES = frozenset(
    {
        "cpu",
        "memory",
        "storage",
        "ephemeral-storage",
        "nvidia.com/gpu",
        "amd.com/gpu",
        "intel.com/gpu",
        "habana.ai/gaudi",
    }
)


def objections(isvc: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with an InferenceService's ``workerSpec``, in KServe's order."""
    worker = objects.dig(isvc, "spec", "predictor", "workerSpec")
    if worker is None:
        return
    containers = worker.get("containers") or []
    if len(containers) > 1:
        yield _invalid(isvc, "setting multiple containers in workerSpec is not allowed")
    model = objects.dig(isvc, "spec", "predictor", "model")
    if model is not None:
        yield from _model(isvc, model)
    for field, title, _ in _SIZES:
        size = worker.get(field)
        if size is not None and size < 1:
            yield _invalid(isvc, f"WorkerSpec.{title} cannot be less than 1({size})")
    for container in containers:
        yield from _unknown_gpu(isvc, container)


def _model(isvc: Mapping[str, Any], model: Mapping[str, Any]) -> Iterator[str]:
    environment = {variable.get("name") for variable in model.get("env") or []}
    for *_, variable in _SIZES:
        if variable in environment:
            yield _invalid(isvc, f"setting {variable} in environment variables is not allowed")
    yield from _unknown_gpu(isvc, model)
    uri = model.get("storageUri")
    if uri is None:
        yield _invalid(isvc, "StorageURI must be set for multinode enabled")
        return
    protocol = str(uri).split("://", 1)[0]
    if protocol not in ("pvc", "oci"):
        yield _invalid(
            isvc, f"Multinode only supports 'pvc' and 'oci' Storage Protocol({protocol})"
        )
    autoscaler = objects.annotations_of(isvc).get(vocabulary.AUTOSCALER_CLASS, "")
    if autoscaler != "none":
        yield _invalid(isvc, f"Multinode only supports 'none' autoscaler({autoscaler})")


def _unknown_gpu(isvc: Mapping[str, Any], container: Mapping[str, Any]) -> Iterator[str]:
    own = objects.annotations_of(isvc).get(_GPU_ANNOTATION, "")
    added = _resource_types(own) if own else frozenset()
    if added is None:
        yield (
            f"invalid GPU format({own}) for {_GPU_ANNOTATION} annotation: must be a valid JSON "
            "array"
        )
        return
    asked = {
        resource
        for bound in ("limits", "requests")
        for resource in objects.dig(container, "resources", bound, default={})
    }
    if asked - _KNOWN_RESOURCES - added:
        yield _invalid(
            isvc,
            f"Unknown GPU resource type. Set '{_GPU_ANNOTATION}' annotation to use custom gpu "
            "resource type",
        )


def _resource_types(text: str) -> frozenset[str] | None:
    """The names in an annotation's JSON array, or None when it is no array of names."""
    try:
        found = json.loads(text)
    except ValueError:
        return None
    if not isinstance(found, list) or not found:
        return None
    return frozenset(found) if all(isinstance(each, str) and each for each in found) else None


def _invalid(isvc: Mapping[str, Any], why: str) -> str:
    return f'the InferenceService "{objects.name(isvc)}" is invalid: {why}'

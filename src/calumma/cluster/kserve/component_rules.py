"""What makes one component (predictor, transformer or explainer) acceptable by itself.

Source: kserve ``pkg/apis/serving/v1beta1/component.go`` and ``inference_service_validation.go``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from calumma.cluster import objects
from calumma.cluster.kserve import vocabulary

_LOGGER_MODES = ("all", "request", "response")

_FIELDS = {
    "predictor": (
        "Name, SKLearn, XGBoost, Tensorflow, PyTorch, Triton, ONNX, HuggingFace, PMML, LightGBM, "
        "Paddle, Model, StorageUris, StorageContainerName, WorkerSpec, PodSpec"
    ),
    "transformer": "PodSpec, ComponentExtensionSpec",
    "explainer": "ART, PodSpec, ComponentExtensionSpec",
}


def objections(component: str, spec: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with one component by itself."""
    if implementations(component, spec) != 1:
        kind = f"{component.capitalize()}Spec"
        yield f"exactly one of [{_FIELDS[component]}] must be specified in {kind}"
    if component == "predictor" and not isinstance(spec.get("model"), Mapping):
        yield from _custom_protocol(spec)
    if objects.dig(spec, "containerConcurrency", default=0) < 0:
        yield "parallelism cannot be less than 0"
    yield from _replicas(spec)
    yield from _logger(spec)


def implementations(component: str, spec: Mapping[str, Any]) -> int:
    """How many implementations a component declares; exactly one is right."""
    containers = spec.get("containers") or []
    if component == "transformer":
        return 1 if containers else 0
    if component == "explainer":
        return (1 if containers else 0) + (1 if spec.get("art") is not None else 0)
    frameworks = sum(spec.get(key) is not None for key in (*vocabulary.FRAMEWORKS, "model"))
    named = sum(c.get("name") == vocabulary.MAIN_CONTAINER for c in containers)
    return (frameworks + named) or (1 if containers else 0)


def _custom_protocol(predictor: Mapping[str, Any]) -> Iterator[str]:
    for container in (predictor.get("containers") or [])[:1]:
        declared = [v for v in container.get("env") or [] if v.get("name") == "PROTOCOL"]
        for value in (variable.get("value", "") for variable in declared[:1]):
            if value not in ("v1", "v2"):
                # KServe swaps the two arguments of this message.
                yield f"invalid protocol v1, v2. Must be one of [{value}]"


def _replicas(spec: Mapping[str, Any]) -> Iterator[str]:
    least = objects.dig(spec, "minReplicas", default=1)
    most = objects.dig(spec, "maxReplicas", default=0)
    if least < 0:
        yield "'MinReplicas' cannot be less than 0"
    if most < 0:
        yield "'MaxReplicas' cannot be less than 0"
    if least > most != 0:
        yield "'MinReplicas' cannot be greater than MaxReplicas"


def _logger(spec: Mapping[str, Any]) -> Iterator[str]:
    logger = spec.get("logger")
    if logger is None:
        return
    if logger.get("mode") not in _LOGGER_MODES:
        yield "invalid logger type"
    storage = logger.get("storage")
    if storage is not None and not all(key in storage for key in ("path", "parameters", "key")):
        yield "invalid logger storage configuration"

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
        for variable in container.get("env") or []:
            value = variable.get("value", "")
            if variable.get("name") == "PROTOCOL" and value not in ("v1", "v2"):
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


def scaling_objections(isvc: Mapping[str, Any], spec: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with a component's autoscaling in the mode that the object asks for."""
    annotations = objects.annotations_of(isvc)
    standard = annotations.get(vocabulary.DEPLOYMENT_MODE) == "Standard"
    autoscaler = annotations.get(vocabulary.AUTOSCALER_CLASS, "hpa" if standard else "")
    by_hpa = annotations.get(vocabulary.KNATIVE_AUTOSCALING_CLASS, "").startswith("hpa")
    if standard and autoscaler == "keda":
        if spec.get("scaleMetric") is not None:
            yield "ScaleMetric is not supported for KEDA"
    elif standard or by_hpa:
        if not standard or autoscaler == "hpa":
            yield from _resource_metric(spec)
    else:
        yield from _request_metric(spec)


def _resource_metric(spec: Mapping[str, Any]) -> Iterator[str]:
    metric = spec.get("scaleMetric", "cpu")
    if metric not in ("cpu", "memory"):
        yield f"[{metric}] is not a supported metric"
    target = spec.get("scaleTarget")
    if target is None:
        return
    if (metric == "cpu" and target < 1) or target > 100:
        yield "the target utilization percentage should be a [1-100] integer"
    if metric == "memory" and target < 1:
        yield "the target memory should be greater than 1 MiB"


def _request_metric(spec: Mapping[str, Any]) -> Iterator[str]:
    if spec.get("deploymentStrategy") is not None:
        yield "customizing deploymentStrategy is only supported for raw deployment mode"
    metric = spec.get("scaleMetric", "concurrency")
    if metric not in ("concurrency", "rps"):
        yield f"[{metric}] is not a supported metric"
    if metric == "rps" and objects.dig(spec, "scaleTarget", default=1) < 1:
        yield "the target for rps should be greater than 1"

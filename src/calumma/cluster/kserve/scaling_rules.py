"""What makes a component's autoscaling acceptable, by deployment mode and autoscaler.

Source: kserve ``validateAutoScalingCompExtension`` and what it calls in
``inference_service_validation.go``. Standard mode without an autoscaler class checks nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from calumma.cluster import objects
from calumma.cluster.kserve import vocabulary

_HPA = "hpa.autoscaling.knative.dev"
_MIB = 1024**2
_UNITS: dict[str, float] = {
    **{unit: 1024**power for power, unit in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), 1)},
    **{unit: 1000**power for power, unit in enumerate(("k", "M", "G", "T", "P", "E"), 1)},
    "m": 0.001,
}


def objections(isvc: Mapping[str, Any], spec: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with a component's autoscaling in the mode that the object asks for."""
    annotations = objects.annotations_of(isvc)
    if annotations.get(vocabulary.DEPLOYMENT_MODE) == "Standard":
        autoscaler = annotations.get(vocabulary.AUTOSCALER_CLASS)
        if autoscaler == "hpa":
            yield from _resource_metric(spec)
        elif autoscaler == "keda":
            yield from _keda(spec)
    elif annotations.get(vocabulary.KNATIVE_AUTOSCALING_CLASS) == _HPA:
        yield from _resource_metric(spec)
    else:
        yield from _request_metric(spec)


def _resource_metric(spec: Mapping[str, Any]) -> Iterator[str]:
    metric = spec.get("scaleMetric", "cpu")
    if metric not in ("cpu", "memory"):
        yield f"[{metric}] is not a supported metric"
    target = spec.get("scaleTarget")
    if target is not None:
        if (metric == "cpu" and target < 1) or target > 100:
            yield "the target utilization percentage should be a [1-100] integer"
        if metric == "memory" and target < 1:
            yield "the target memory should be greater than 1 MiB"
    for each in objects.dig(spec, "autoScaling", "metrics", default=[]):
        if each.get("type") != "Resource":
            yield (
                f"invalid HPA metric source type with value [{each.get('type', '')}],valid metric "
                "source types are Resource"
            )
        elif each.get("resource") is None:
            yield "metricSpec.Resource is not set for resource metric source type"


def _request_metric(spec: Mapping[str, Any]) -> Iterator[str]:
    if spec.get("deploymentStrategy") is not None:
        yield "customizing deploymentStrategy is only supported for raw deployment mode"
    metric = spec.get("scaleMetric", "concurrency")
    if metric not in ("concurrency", "rps"):
        yield f"[{metric}] is not a supported metric"
    if metric == "rps" and objects.dig(spec, "scaleTarget", default=1) < 1:
        yield "the target for rps should be greater than 1"


def _keda(spec: Mapping[str, Any]) -> Iterator[str]:
    if spec.get("scaleMetric") is not None:
        yield "ScaleMetric is not supported for KEDA"
    for each in objects.dig(spec, "autoScaling", "metrics", default=[]):
        kind = each.get("type", "")
        if kind == "Resource":
            yield from _keda_resource(each.get("resource"))
        elif kind in ("External", "PodMetric"):
            yield from _keda_query(kind, each.get(kind.lower()))
        else:
            yield (
                f"unknown KEDA metric type with value [{kind}].Valid types are "
                "Resource,External,PodMetric"
            )


def _keda_resource(resource: Mapping[str, Any] | None) -> Iterator[str]:
    if resource is None:
        yield "metricSpec.Resource is not set for resource metric source type"
        return
    name, target = resource.get("name", ""), objects.dig(resource, "target", default={})
    kind = target.get("type", "")
    if name == "cpu":
        if kind != "Utilization":
            yield "the cpu target value type should be Utilization"
    elif name == "memory":
        if kind not in ("AverageValue", "Utilization"):
            yield "the memory target value type should be AverageValue or Utilization"
        if kind == "AverageValue" and _quantity(target.get("averageValue", "0")) < _MIB:
            yield "the memory target value should be greater than 1 MiB"
    else:
        yield f"resource type {name} is not supported"
    yield from _target(target)


def _keda_query(kind: str, source: Mapping[str, Any] | None) -> Iterator[str]:
    if source is None:
        words = {"External": "external", "PodMetric": "pod"}
        yield f"metricSpec.{kind} is not set for {words[kind]} metric source type"
        return
    if not objects.dig(source, "metric", "query"):
        yield "the query should not be empty"
    if objects.dig(source, "target", "value") is None:
        yield "the target threshold value should not be empty"
    yield from _target(objects.dig(source, "target", default={}))


def _target(target: Mapping[str, Any]) -> Iterator[str]:
    match target.get("type"):
        case "Utilization":
            utilization = target.get("averageUtilization")
            if utilization is None:
                yield "the AverageUtilization type should be set"
            elif not 1 <= utilization <= 100:
                yield "the target utilization percentage should be a [1-100] integer"
        case "AverageValue" if target.get("averageValue") is None:
            yield "the AverageValue type should be set"
        case "Value" if target.get("value") is None:
            yield "the Value type should be set"


def _quantity(text: object) -> float:
    """A Kubernetes quantity as a number; the API has checked its form."""
    written = str(text)
    unit = next((u for u in sorted(_UNITS, key=len, reverse=True) if written.endswith(u)), "")
    return float(written.removesuffix(unit)) * _UNITS.get(unit, 1)

"""What KServe's validating webhook refuses about autoscaling, nodes and Standard canaries."""

from __future__ import annotations

from typing import Any

import pytest

from calumma.cluster.kserve import admission
from calumma.cluster.objects import Object
from support.admission import AUTOSCALER, MODEL, STANDARD, isvc, model, mutated, refused

BY_HPA = {**STANDARD, AUTOSCALER: "hpa"}
BY_KEDA = {**STANDARD, AUTOSCALER: "keda"}
KNATIVE_HPA = {"autoscaling.knative.dev/class": "hpa.autoscaling.knative.dev"}
KNATIVE_KPA = {"autoscaling.knative.dev/class": "kpa.autoscaling.knative.dev"}
UTILIZATION = "the target utilization percentage should be a [1-100] integer"


def scaled(annotations: dict[str, str], **fields: Any) -> Object:
    return isvc(model(**fields), annotations=annotations)


def by_metrics(annotations: dict[str, str], *metrics: Object) -> Object:
    return scaled(annotations, autoScaling={"metrics": list(metrics)})


def resource(name: str, **target: Any) -> Object:
    return {"type": "Resource", "resource": {"name": name, "target": target}}


def queried(kind: str, query: str = "q", **target: Any) -> Object:
    return {"type": kind, kind.lower(): {"metric": {"query": query}, "target": target}}


@pytest.mark.parametrize(
    ("new", "message"),
    [
        (scaled({}, scaleMetric="cpu"), "[cpu] is not a supported metric"),
        (scaled(KNATIVE_KPA, scaleMetric="memory"), "[memory] is not a supported metric"),
        (
            scaled({}, scaleMetric="rps", scaleTarget=0),
            "the target for rps should be greater than 1",
        ),
        (scaled(KNATIVE_HPA, scaleMetric="rps"), "[rps] is not a supported metric"),
        (scaled(KNATIVE_HPA, scaleTarget=0), UTILIZATION),
        (scaled(BY_HPA, scaleMetric="concurrency"), "[concurrency] is not a supported metric"),
        (scaled(BY_HPA, scaleMetric="cpu", scaleTarget=101), UTILIZATION),
        (scaled(BY_HPA, scaleMetric="memory", scaleTarget=101), UTILIZATION),
        (
            scaled(BY_HPA, scaleMetric="memory", scaleTarget=0),
            "the target memory should be greater than 1 MiB",
        ),
        (
            by_metrics(BY_HPA, {"type": "External"}),
            "invalid HPA metric source type with value [External],valid metric source types are "
            "Resource",
        ),
        (
            by_metrics(BY_HPA, {"type": "Resource"}),
            "metricSpec.Resource is not set for resource metric source type",
        ),
        (scaled(BY_KEDA, scaleMetric="cpu"), "ScaleMetric is not supported for KEDA"),
        (
            by_metrics(BY_KEDA, {"type": "Resource"}),
            "metricSpec.Resource is not set for resource metric source type",
        ),
        (
            by_metrics(BY_KEDA, resource("cpu", type="Value")),
            "the cpu target value type should be Utilization",
        ),
        (
            by_metrics(BY_KEDA, resource("memory", type="Value")),
            "the memory target value type should be AverageValue or Utilization",
        ),
        (
            by_metrics(BY_KEDA, resource("memory", type="AverageValue", averageValue="512Ki")),
            "the memory target value should be greater than 1 MiB",
        ),
        (by_metrics(BY_KEDA, resource("disk")), "resource type disk is not supported"),
        (
            by_metrics(BY_KEDA, resource("cpu", type="Utilization")),
            "the AverageUtilization type should be set",
        ),
        (
            by_metrics(BY_KEDA, resource("cpu", type="Utilization", averageUtilization=101)),
            UTILIZATION,
        ),
        (
            by_metrics(BY_KEDA, {"type": "External"}),
            "metricSpec.External is not set for external metric source type",
        ),
        (
            by_metrics(BY_KEDA, {"type": "PodMetric"}),
            "metricSpec.PodMetric is not set for pod metric source type",
        ),
        (by_metrics(BY_KEDA, queried("External", "")), "the query should not be empty"),
        (
            by_metrics(BY_KEDA, queried("PodMetric")),
            "the target threshold value should not be empty",
        ),
        (
            by_metrics(BY_KEDA, queried("External", type="AverageValue", value="1")),
            "the AverageValue type should be set",
        ),
        (
            by_metrics(BY_KEDA, {"type": "Pods"}),
            "unknown KEDA metric type with value [Pods].Valid types are "
            "Resource,External,PodMetric",
        ),
    ],
)
def test_autoscaling(new: Object, message: str) -> None:
    assert refused(new) == message


@pytest.mark.parametrize(
    "new",
    [
        scaled(STANDARD, scaleMetric="cpu", scaleTarget=101),
        scaled({**STANDARD, AUTOSCALER: "none"}, scaleMetric="rps"),
        scaled({}, scaleMetric="rps", scaleTarget=1),
        scaled(KNATIVE_HPA, scaleMetric="memory", scaleTarget=100),
        by_metrics(BY_KEDA, resource("memory", type="AverageValue", averageValue="1Gi")),
        by_metrics(BY_KEDA, queried("External", type="Value", value="1")),
    ],
)
def test_autoscaling_that_is_accepted(new: Object) -> None:
    admission.validate(None, mutated(new), "CREATE", {})


def invalid(why: str) -> str:
    return f'the InferenceService "digits" is invalid: {why}'


def worker(*containers: Object, **fields: Any) -> Object:
    return {"containers": list(containers), **fields}


ONE = {"name": "worker-container", "image": "i"}
NO_AUTOSCALER = {AUTOSCALER: "none"}
CLAIMED = {**MODEL, "storageUri": "pvc://models/a"}
UNKNOWN_GPU = invalid(
    "Unknown GPU resource type. Set 'serving.kserve.io/gpu-resource-types' annotation to use "
    "custom gpu resource type"
)


@pytest.mark.parametrize(
    ("predictor", "annotations", "message"),
    [
        (
            model(workerSpec=worker(ONE, {**ONE, "name": "two"})),
            {},
            invalid("setting multiple containers in workerSpec is not allowed"),
        ),
        *(
            (
                {
                    "model": {**CLAIMED, "env": [{"name": name, "value": "2"}]},
                    "workerSpec": worker(),
                },
                NO_AUTOSCALER,
                invalid(f"setting {name} in environment variables is not allowed"),
            )
            for name in ("PIPELINE_PARALLEL_SIZE", "TENSOR_PARALLEL_SIZE")
        ),
        (
            {
                "model": {**CLAIMED, "resources": {"limits": {"example.com/gpu": "1"}}},
                "workerSpec": worker(),
            },
            NO_AUTOSCALER,
            UNKNOWN_GPU,
        ),
        (
            {"model": {"modelFormat": {"name": "x"}}, "workerSpec": worker()},
            NO_AUTOSCALER,
            invalid("StorageURI must be set for multinode enabled"),
        ),
        (
            model(workerSpec=worker()),
            NO_AUTOSCALER,
            invalid("Multinode only supports 'pvc' and 'oci' Storage Protocol(s3)"),
        ),
        (
            {"model": CLAIMED, "workerSpec": worker()},
            {AUTOSCALER: "hpa"},
            invalid("Multinode only supports 'none' autoscaler(hpa)"),
        ),
        (
            {"model": CLAIMED, "workerSpec": worker(pipelineParallelSize=0)},
            NO_AUTOSCALER,
            invalid("WorkerSpec.PipelineParallelSize cannot be less than 1(0)"),
        ),
        (
            {"model": CLAIMED, "workerSpec": worker(tensorParallelSize=-1)},
            NO_AUTOSCALER,
            invalid("WorkerSpec.TensorParallelSize cannot be less than 1(-1)"),
        ),
        (
            {
                "model": CLAIMED,
                "workerSpec": worker({**ONE, "resources": {"requests": {"example.com/gpu": "1"}}}),
            },
            NO_AUTOSCALER,
            UNKNOWN_GPU,
        ),
        (
            {"model": CLAIMED, "workerSpec": worker()},
            {**NO_AUTOSCALER, "serving.kserve.io/gpu-resource-types": "[1]"},
            "invalid GPU format([1]) for serving.kserve.io/gpu-resource-types annotation: must be "
            "a valid JSON array",
        ),
    ],
)
def test_several_nodes(predictor: Object, annotations: dict[str, str], message: str) -> None:
    assert refused(isvc(predictor, annotations=annotations)) == message


def test_a_gpu_that_the_annotation_names_is_known() -> None:
    gpu = {"limits": {"example.com/gpu": "1"}}
    new = isvc(
        {"model": {**CLAIMED, "resources": gpu}, "workerSpec": worker()},
        annotations={
            **NO_AUTOSCALER,
            "serving.kserve.io/gpu-resource-types": '["example.com/gpu"]',
        },
    )
    admission.validate(None, mutated(new), "CREATE", {})


def canary(name: str | None = "v2", percent: int = 10, **fields: Any) -> Object:
    named = {} if name is None else {"name": name}
    return {"trafficPercent": percent, "predictor": {**named, "model": MODEL, **fields}}


def fixed(field: str) -> str:
    return f'canary "v2" must not set {field} (canary uses fixed replicas)'


@pytest.mark.parametrize(
    ("canaries", "message"),
    [
        ([canary(None)], "canary[0] predictor.name is required"),
        ([canary(), canary()], 'canary predictor.name "v2" is duplicated'),
        (
            [canary("stable")],
            'canary predictor.name "stable" conflicts with stable predictor name',
        ),
        (
            [canary(percent=101)],
            'canary "v2" trafficPercent must be between 0 and 100, got 101',
        ),
        ([canary(percent=-1)], 'canary "v2" trafficPercent must be between 0 and 100, got -1'),
        (
            [canary(containerConcurrency=-1)],
            'canary "v2" predictor: parallelism cannot be less than 0',
        ),
        (
            [canary(workerSpec={})],
            'canary "v2" must not set workerSpec (multi-node is not yet supported for canary)',
        ),
        ([canary(maxReplicas=2)], fixed("maxReplicas")),
        ([canary(scaleTarget=0)], fixed("scaleTarget")),
        ([canary(scaleMetric="cpu")], fixed("scaleMetric")),
        ([canary(autoScaling={})], fixed("autoScaling")),
        (
            [canary(minReplicas=2)],
            'canary "v2" minReplicas (2) must not exceed stable predictor minReplicas (1)',
        ),
        (
            [canary(percent=60), canary("v3", 60)],
            "sum of canary trafficPercent values (120) must be <= 100",
        ),
    ],
)
def test_the_canaries_of_standard_mode(canaries: list[Object], message: str) -> None:
    stable = model(name="stable")
    assert refused(isvc(stable, annotations=STANDARD, canary=canaries)) == message


def test_a_canary_without_a_model_is_refused_as_a_predictor() -> None:
    bare = {"trafficPercent": 1, "predictor": {"name": "v2"}}
    message = refused(isvc(annotations=STANDARD, canary=[bare]))
    assert message.startswith('canary "v2" predictor: exactly one of [Name, SKLearn, ')


def test_a_canary_needs_standard_mode_and_a_stable_model() -> None:
    assert refused(isvc(canary=[canary()])) == (
        "canary is only supported in Standard deployment mode"
    )
    custom = {"containers": [{"name": "kserve-container", "image": "i"}]}
    assert refused(isvc(custom, annotations=STANDARD, canary=[canary()])) == (
        "canary requires a stable predictor with a model (multi-model serving is not supported "
        "with canary)"
    )


def test_canaries_that_fit_are_accepted() -> None:
    both = [canary(percent=40, minReplicas=1, maxReplicas=0), canary("v3", 60)]
    admission.validate(None, mutated(isvc(annotations=STANDARD, canary=both)), "CREATE", {})

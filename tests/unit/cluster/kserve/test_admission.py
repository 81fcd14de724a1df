"""KServe's webhooks: what they fill in and what they refuse, with their own words."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from calumma import errors
from calumma.cluster.kserve import admission
from calumma.cluster.objects import Object
from support.simulation import digits

STANDARD = {"serving.kserve.io/deploymentMode": "Standard"}
BY_HPA = {**STANDARD, "serving.kserve.io/autoscalerClass": "hpa"}
BY_KEDA = {**STANDARD, "serving.kserve.io/autoscalerClass": "keda"}


def isvc(
    predictor: Object | None = None,
    *,
    name: str = "digits",
    annotations: dict[str, str] | None = None,
    **spec: Any,
) -> Object:
    model = {"model": {"modelFormat": {"name": "triton"}, "storageUri": "s3://m/v1"}}
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": name, "namespace": "default", "annotations": annotations or {}},
        "spec": {"predictor": model if predictor is None else predictor, **spec},
    }


def refused(new: Object, old: Object | None = None) -> str:
    operation = "CREATE" if old is None else "UPDATE"
    mutated = admission.mutate(old, new, operation, {})
    with pytest.raises(errors.AdmissionDenied) as denied:
        admission.validate(old, mutated, operation, {})
    assert denied.value.webhook == "inferenceservice.kserve-webhook-server.validator"
    return str(denied.value)


def mutated(new: Object, settings: dict[str, Any] | None = None) -> Object:
    return admission.mutate(None, new, "CREATE", settings or {})


@pytest.mark.parametrize("framework", ["triton", "onnx", "huggingface"])
def test_a_framework_key_becomes_the_model_with_protocol_v2(framework: str) -> None:
    new = mutated(isvc({framework: {"storageUri": "s3://m", "runtimeVersion": "1"}}))
    assert new["spec"]["predictor"] == {
        "model": {
            "modelFormat": {"name": framework},
            "protocolVersion": "v2",
            "storageUri": "s3://m",
            "runtimeVersion": "1",
        }
    }
    assert new["metadata"]["annotations"]["modelFormat"] == framework


def test_other_frameworks_have_no_protocol_by_default() -> None:
    model = mutated(isvc({"sklearn": {"storageUri": "s3://m"}}))["spec"]["predictor"]["model"]
    assert "protocolVersion" not in model


def test_a_framework_key_replaces_a_model_that_is_there() -> None:
    new = isvc({"triton": {"storageUri": "new"}, "model": {"modelFormat": {"name": "x"}}})
    model = mutated(new)["spec"]["predictor"]["model"]
    assert model["storageUri"] == "new"
    assert model["modelFormat"] == {"name": "triton"}


def test_the_model_format_of_triton_speaks_v2() -> None:
    assert mutated(isvc())["spec"]["predictor"]["model"]["protocolVersion"] == "v2"


def test_what_is_required_and_missing_is_stored_empty() -> None:
    assert mutated({"metadata": {"name": "digits"}})["spec"] == {"predictor": {}}
    stored = mutated(isvc({"model": {}}))
    assert stored["spec"]["predictor"] == {"model": {"modelFormat": {"name": ""}}}


def test_mutating_leaves_its_argument_alone() -> None:
    new = isvc({"triton": {}})
    before = copy.deepcopy(new)
    mutated(new)
    assert new == before


def test_the_transformers_first_container_gets_kserves_name() -> None:
    containers = [{"name": "mine", "image": "i"}, {"name": "side", "image": "j"}]
    new = mutated(isvc(transformer={"containers": containers}))
    names = [each["name"] for each in new["spec"]["transformer"]["containers"]]
    assert names == ["kserve-container", "side"]


def test_default_resources_come_from_the_settings() -> None:
    settings = {"inferenceService": {"resource": {"cpuLimit": "1", "memoryRequest": "2Gi"}}}
    container = {"name": "c", "image": "i", "resources": {"limits": {"cpu": "3"}}}
    new = mutated(isvc(transformer={"containers": [container]}), settings)
    assert new["spec"]["transformer"]["containers"][0]["resources"] == {
        "limits": {"cpu": "3"},
        "requests": {"memory": "2Gi"},
    }


@pytest.mark.parametrize(
    ("asked", "stored"), [("RawDeployment", "Standard"), ("Serverless", "Knative")]
)
def test_old_names_of_the_deployment_modes_are_rewritten(asked: str, stored: str) -> None:
    key = "serving.kserve.io/deploymentMode"
    assert mutated(isvc(annotations={key: asked}))["metadata"]["annotations"][key] == stored


def test_a_default_mode_other_than_knative_is_written_down() -> None:
    settings = {"deploy": {"defaultDeploymentMode": "RawDeployment"}}
    annotations = mutated(isvc(), settings)["metadata"]["annotations"]
    assert annotations["serving.kserve.io/deploymentMode"] == "Standard"


def test_a_good_object_is_accepted() -> None:
    new = mutated(digits())
    admission.validate(None, new, "CREATE", {})


EXACTLY_ONE = (
    "exactly one of [Name, SKLearn, XGBoost, Tensorflow, PyTorch, Triton, ONNX, HuggingFace, PMML, "
    "LightGBM, Paddle, Model, StorageUris, StorageContainerName, WorkerSpec, PodSpec] must be "
    "specified in PredictorSpec"
)
CONTAINER = {"name": "kserve-container", "image": "i"}
MODEL = {"modelFormat": {"name": "triton"}, "storageUri": "s3://m"}


@pytest.mark.parametrize(
    ("new", "message"),
    [
        (
            isvc(name="1digits"),
            'the InferenceService "1digits" is invalid: a InferenceService name must consist of '
            "lower case alphanumeric characters or '-', and must start with alphabetical "
            'character. (e.g. "my-name" or "abc-123", regex used for validation is '
            "'[a-z]([-a-z0-9]*[a-z0-9])?')",
        ),
        (
            isvc(annotations={"serving.kserve.io/autoscalerClass": "vpa"}),
            "[vpa] is not a supported autoscaler class type",
        ),
        (isvc({}), EXACTLY_ONE),
        (isvc({"model": MODEL, "containers": [CONTAINER]}), EXACTLY_ONE),
        (isvc({"sklearn": {}, "xgboost": {}, "containers": [CONTAINER]}), EXACTLY_ONE),
        (
            isvc({"model": MODEL, "minReplicas": 3, "maxReplicas": 2}),
            "'MinReplicas' cannot be greater than MaxReplicas",
        ),
        (isvc({"model": MODEL, "minReplicas": -1}), "'MinReplicas' cannot be less than 0"),
        (isvc({"model": MODEL, "maxReplicas": -1}), "'MaxReplicas' cannot be less than 0"),
        (isvc({"model": MODEL, "containerConcurrency": -1}), "parallelism cannot be less than 0"),
        (isvc({"model": MODEL, "logger": {"url": "http://l"}}), "invalid logger type"),
        (
            isvc({"model": MODEL, "logger": {"mode": "all", "storage": {"path": "p"}}}),
            "invalid logger storage configuration",
        ),
        (
            isvc(transformer={"minReplicas": 1}),
            "exactly one of [PodSpec, ComponentExtensionSpec] must be specified in TransformerSpec",
        ),
        (
            isvc(explainer={"minReplicas": 1}),
            "exactly one of [ART, PodSpec, ComponentExtensionSpec] must be specified in "
            "ExplainerSpec",
        ),
        (
            isvc({"model": {**MODEL, "name": "mine"}}),
            "the 'name' field is not allowed in standard predictor",
        ),
        (
            isvc({"model": {**MODEL, "env": [{"name": "PYTHONPATH", "value": "/x"}]}}),
            'the InferenceService "digits" is invalid: setting PYTHONPATH in container "" is not '
            "allowed for security reasons",
        ),
        (
            isvc(
                {
                    "model": MODEL,
                    "containers": [
                        {
                            "name": "transformer-container",
                            "image": "i",
                            "env": [{"name": "STORAGE_URI", "value": "s3://x"}],
                        }
                    ],
                }
            ),
            "storage uri should not be specified in transformer container",
        ),
        (
            isvc({"model": MODEL, "storageUris": [{"uri": "s3://a"}]}),
            "Setting both StorageURI and StorageURIs is not supported.",
        ),
        (
            isvc({"model": MODEL, "deploymentStrategy": {"type": "Recreate"}}),
            "customizing deploymentStrategy is only supported for raw deployment mode",
        ),
        (isvc({"model": MODEL, "scaleMetric": "cpu"}), "[cpu] is not a supported metric"),
        (
            isvc({"model": MODEL, "scaleMetric": "rps", "scaleTarget": 0}),
            "the target for rps should be greater than 1",
        ),
        (
            isvc({"model": MODEL, "scaleMetric": "cpu", "scaleTarget": 101}, annotations=BY_HPA),
            "the target utilization percentage should be a [1-100] integer",
        ),
        (
            isvc({"model": MODEL, "scaleMetric": "memory", "scaleTarget": 0}, annotations=BY_HPA),
            "the target memory should be greater than 1 MiB",
        ),
    ],
)
def test_refusals_have_kserves_words(new: Object, message: str) -> None:
    assert refused(new) == message


@pytest.mark.parametrize(
    ("uris", "message"),
    [
        ([{"uri": ""}], "storage URI cannot be empty"),
        ([{"uri": "s3://a", "mountPath": "/"}], "storage path cannot be empty"),
        ([{"uri": "s3://a", "mountPath": "x"}], "storage path must be absolute: x"),
        (
            [{"uri": "s3://a", "mountPath": "/a/../b"}],
            "storage path cannot contain '..' for security reasons: /a/../b",
        ),
        (
            [{"uri": "s3://a", "mountPath": "/a/x"}, {"uri": "s3://b", "mountPath": "/b/x"}],
            "storage paths must have a common parent directory. Current paths: [/a/x /b/x] have "
            "no common parent beyond root",
        ),
    ],
)
def test_storage_uris(uris: list[Object], message: str) -> None:
    model = {"modelFormat": {"name": "triton"}}
    assert refused(isvc({"model": model, "storageUris": uris})) == message


CANARY = {"trafficPercent": 10, "predictor": {"name": "v2", "model": MODEL}}


@pytest.mark.parametrize(
    ("canary", "annotations", "message"),
    [
        ([CANARY], {}, "canary is only supported in Standard deployment mode"),
        (
            [{"trafficPercent": 10, "predictor": {"model": MODEL}}],
            STANDARD,
            "canary[0] predictor.name is required",
        ),
        ([CANARY, CANARY], STANDARD, 'canary predictor.name "v2" is duplicated'),
        (
            [{**CANARY, "trafficPercent": 101}],
            STANDARD,
            'canary "v2" trafficPercent must be between 0 and 100, got 101',
        ),
        (
            [{"trafficPercent": 1, "predictor": {"name": "v2"}}],
            STANDARD,
            f'canary "v2" predictor: {EXACTLY_ONE}',
        ),
        (
            [{"trafficPercent": 1, "predictor": {"name": "v2", "model": MODEL, "maxReplicas": 2}}],
            STANDARD,
            'canary "v2" must not set maxReplicas (canary uses fixed replicas)',
        ),
        (
            [{"trafficPercent": 1, "predictor": {"name": "v2", "model": MODEL, "minReplicas": 2}}],
            STANDARD,
            'canary "v2" minReplicas (2) must not exceed stable predictor minReplicas (1)',
        ),
        (
            [
                {**CANARY, "trafficPercent": 60},
                {"trafficPercent": 60, "predictor": {"name": "v3", "model": MODEL}},
            ],
            STANDARD,
            "sum of canary trafficPercent values (120) must be <= 100",
        ),
    ],
)
def test_the_canaries_of_standard_mode(
    canary: list[Object], annotations: dict[str, str], message: str
) -> None:
    assert refused(isvc(annotations=annotations, canary=canary)) == message


def test_the_deployment_mode_cannot_change() -> None:
    old = {**isvc(), "status": {"deploymentMode": "Knative"}}
    assert refused(isvc(annotations=STANDARD), old) == (
        "update rejected: deploymentMode cannot be changed from 'Knative' to 'Standard'"
    )


def test_renaming_the_predictor_needs_another_model() -> None:
    renamed = isvc({"model": MODEL, "name": "v2"})
    assert refused(renamed, mutated(isvc({"model": MODEL}))) == (
        "predictor.name change requires a model change (e.g. storageUri)"
    )


def test_an_object_that_is_being_deleted_is_not_checked() -> None:
    broken = isvc({})
    broken["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    admission.validate(isvc(), broken, "UPDATE", {})


@pytest.mark.parametrize("percent", [150, -5])
def test_the_canary_percentage_is_not_kserves_to_check(percent: int) -> None:
    new = mutated(isvc({"model": MODEL, "canaryTrafficPercent": percent}))
    admission.validate(None, new, "CREATE", {})

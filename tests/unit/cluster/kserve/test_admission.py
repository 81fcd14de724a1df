"""KServe's webhooks: what they fill in and what they leave alone."""

from __future__ import annotations

import copy

import pytest

from calumma.cluster.kserve import admission
from support.admission import MODEL, STANDARD, isvc, mutated
from support.simulation import digits


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


def test_the_explainers_first_container_gets_kserves_name() -> None:
    new = mutated(isvc(explainer={"containers": [{"name": "mine", "image": "i"}]}))
    assert new["spec"]["explainer"]["containers"][0]["name"] == "kserve-container"


@pytest.mark.parametrize(
    ("names", "stored"),
    [
        (["mine"], ["kserve-container"]),
        (["", "side"], ["kserve-container", "side"]),
        (["mine", "side"], ["mine", "side"]),
    ],
)
def test_a_custom_predictor_is_named_when_it_is_alone_or_nameless(
    names: list[str], stored: list[str]
) -> None:
    new = mutated(isvc({"containers": [{"name": name, "image": "i"} for name in names]}))
    assert [each["name"] for each in new["spec"]["predictor"]["containers"]] == stored


@pytest.mark.parametrize(
    ("declared", "stored"),
    [
        ({"triton": {}, "model": {"modelFormat": {"name": "x"}}}, "triton"),
        ({"sklearn": {}, "tensorflow": {}}, "sklearn"),
        ({"xgboost": {}, "tensorflow": {}}, "tensorflow"),
        ({"paddle": {}, "lightgbm": {}, "pmml": {}}, "pmml"),
    ],
)
def test_of_several_framework_keys_the_first_becomes_the_model(
    declared: dict[str, object], stored: str
) -> None:
    predictor = mutated(isvc({**declared}))["spec"]["predictor"]
    assert predictor["model"]["modelFormat"]["name"] == stored
    assert stored not in predictor


@pytest.mark.parametrize(
    ("predictor", "protocol"),
    [
        ({"model": {"modelFormat": {"name": "vLLM"}}}, "v2"),
        ({"model": {"modelFormat": {"name": "onnx"}}}, None),
        ({"model": {"modelFormat": {"name": "tensorrt"}}}, None),
        ({"model": {**MODEL, "protocolVersion": "grpc-v2"}}, "grpc-v2"),
        ({"triton": {"protocolVersion": "v1"}}, "v1"),
    ],
)
def test_the_protocol_is_filled_in_only_where_kserve_does(
    predictor: dict[str, object], protocol: str | None
) -> None:
    stored = mutated(isvc(predictor))["spec"]["predictor"]["model"]
    assert stored.get("protocolVersion") == protocol


def test_a_model_format_annotation_of_ones_own_stays() -> None:
    new = mutated(isvc(annotations={"modelFormat": "mine"}))
    assert new["metadata"]["annotations"]["modelFormat"] == "mine"


def test_tokens_are_not_mounted_where_the_settings_say_so() -> None:
    settings = {"security": {"autoMountServiceAccountToken": False}}
    transformer = {
        "containers": [{"name": "c", "image": "i"}],
        "automountServiceAccountToken": True,
    }
    spec = mutated(isvc(transformer=transformer), settings)["spec"]
    assert spec["predictor"]["automountServiceAccountToken"] is False
    assert spec["transformer"]["automountServiceAccountToken"] is True
    assert "automountServiceAccountToken" not in mutated(isvc())["spec"]["predictor"]


def test_a_model_gets_no_default_resources() -> None:
    settings = {"inferenceService": {"resource": {"cpuLimit": "1", "memoryLimit": "2Gi"}}}
    assert "resources" not in mutated(isvc(), settings)["spec"]["predictor"]["model"]


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


def test_an_object_that_is_being_deleted_is_not_checked() -> None:
    broken = isvc({})
    broken["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    admission.validate(isvc(), broken, "UPDATE", {})


@pytest.mark.parametrize(
    "accepted",
    [
        isvc({"model": MODEL, "scaleMetric": "cpu", "scaleTarget": 101}, annotations=STANDARD),
        isvc({"model": MODEL, "autoScaling": {"metrics": [{"type": "External"}]}}),
        isvc({"model": {**MODEL, "storageUri": "ftp://nowhere"}}),
        isvc({"model": {"modelFormat": {"name": "nobody-serves-this"}}}),
        isvc({"model": {**MODEL, "confidential": {"enabled": True}}}),
    ],
)
def test_what_kserve_does_not_check_is_accepted(accepted: dict[str, object]) -> None:
    admission.validate(None, mutated(accepted), "CREATE", {})


@pytest.mark.parametrize("percent", [150, -5])
def test_the_canary_percentage_is_not_kserves_to_check(percent: int) -> None:
    new = mutated(isvc({"model": MODEL, "canaryTrafficPercent": percent}))
    admission.validate(None, new, "CREATE", {})

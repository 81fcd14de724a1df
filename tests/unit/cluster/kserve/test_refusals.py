"""What KServe's validating webhook refuses about a component, with its own words, row by row."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest

from calumma.cluster.kserve import admission
from calumma.cluster.objects import Object
from support.admission import (
    AUTOSCALER,
    CONTAINER,
    MODE,
    MODEL,
    STANDARD,
    isvc,
    model,
    mutated,
    refused,
)

EXACTLY_ONE = (
    "exactly one of [Name, SKLearn, XGBoost, Tensorflow, PyTorch, Triton, ONNX, HuggingFace, PMML, "
    "LightGBM, Paddle, Model, StorageUris, StorageContainerName, WorkerSpec, PodSpec] must be "
    "specified in PredictorSpec"
)
STANDARD_NAME = "the 'name' field is not allowed in standard predictor"
BLOCKED = [{"name": "PYTHONPATH", "value": "/x"}]


def blocked(container: str) -> str:
    return (
        f'the InferenceService "digits" is invalid: setting PYTHONPATH in container "{container}" '
        "is not allowed for security reasons"
    )


def bad_name(name: str) -> str:
    return (
        f'the InferenceService "{name}" is invalid: a InferenceService name must consist of lower '
        "case alphanumeric characters or '-', and must start with alphabetical character. (e.g. "
        '"my-name" or "abc-123", regex used for validation is '
        "'[a-z]([-a-z0-9]*[a-z0-9])?')"
    )


ROWS: list[tuple[Object, str]] = [
    *((isvc(name=name), bad_name(name)) for name in ("1digits", "Digits", "digits-", "dig.its")),
    (isvc(annotations={AUTOSCALER: "vpa"}), "[vpa] is not a supported autoscaler class type"),
    (isvc({}), EXACTLY_ONE),
    (isvc(model(containers=[CONTAINER])), EXACTLY_ONE),
    (isvc({"sklearn": {}, "xgboost": {}, "containers": [CONTAINER]}), EXACTLY_ONE),
    (isvc({"sklearn": {}, "xgboost": {}}), EXACTLY_ONE),
    (
        isvc(model(minReplicas=3, maxReplicas=2)),
        "'MinReplicas' cannot be greater than MaxReplicas",
    ),
    (isvc(model(minReplicas=-1)), "'MinReplicas' cannot be less than 0"),
    (isvc(model(maxReplicas=-1)), "'MaxReplicas' cannot be less than 0"),
    (isvc(model(containerConcurrency=-1)), "parallelism cannot be less than 0"),
    (isvc(model(logger={"url": "http://l"})), "invalid logger type"),
    (isvc(model(logger={"mode": ""})), "invalid logger type"),
    (
        isvc(model(logger={"mode": "all", "storage": {"path": "p"}})),
        "invalid logger storage configuration",
    ),
    (
        isvc(transformer={"minReplicas": 1}),
        "exactly one of [PodSpec, ComponentExtensionSpec] must be specified in TransformerSpec",
    ),
    (
        isvc(transformer={"containers": [CONTAINER], "maxReplicas": -1}),
        "'MaxReplicas' cannot be less than 0",
    ),
    (
        isvc(explainer={"minReplicas": 1}),
        "exactly one of [ART, PodSpec, ComponentExtensionSpec] must be specified in ExplainerSpec",
    ),
    (isvc({"model": {**MODEL, "name": "mine"}}), STANDARD_NAME),
    (isvc({"model": {**MODEL, "env": BLOCKED}}), blocked("")),
    (isvc({"containers": [{**CONTAINER, "env": BLOCKED}]}), blocked("kserve-container")),
    (
        isvc(model(initContainers=[{"name": "before", "image": "i", "env": BLOCKED}])),
        blocked("before"),
    ),
    (
        isvc(transformer={"containers": [{**CONTAINER, "env": BLOCKED}]}),
        blocked("kserve-container"),
    ),
    (isvc(explainer={"art": {"type": "a", "name": "art", "env": BLOCKED}}), blocked("art")),
    (
        isvc(model(workerSpec={"containers": [{"name": "w", "image": "i", "env": BLOCKED}]})),
        blocked("w"),
    ),
    (
        isvc(
            model(
                containers=[
                    {
                        "name": "transformer-container",
                        "image": "i",
                        "env": [{"name": "STORAGE_URI", "value": "s3://x"}],
                    }
                ]
            )
        ),
        "storage uri should not be specified in transformer container",
    ),
    (
        isvc({"containers": [{**CONTAINER, "env": [{"name": "PROTOCOL", "value": "v3"}]}]}),
        "invalid protocol v1, v2. Must be one of [v3]",
    ),
    (
        isvc(model(deploymentStrategy={"type": "Recreate"})),
        "customizing deploymentStrategy is only supported for raw deployment mode",
    ),
    (
        isvc({"model": {"modelFormat": {"name": "x"}, "confidential": {"enabled": True}}}),
        "confidential model serving requires storageUri to be set",
    ),
    (
        isvc({"model": {**MODEL, "confidential": {"enabled": True, "resourceId": "kbs://a"}}}),
        'spec.predictor.confidential.resourceId: Invalid value: "kbs://a": must be in the format '
        "kbs:///<repo>/<type>/<tag>",
    ),
]


@pytest.mark.parametrize(("new", "message"), ROWS)
def test_a_new_object_is_refused_with_kserves_words(new: Object, message: str) -> None:
    assert refused(new) == message


@pytest.mark.parametrize(("new", "message"), ROWS)
def test_a_change_is_refused_with_the_same_words(new: Object, message: str) -> None:
    before = mutated(isvc(name=new["metadata"]["name"]))
    assert refused(new, before) == message


@pytest.mark.parametrize("name", ["d", "digits", "d1-2", "a" * 80])
def test_good_names_of_any_length_are_accepted(name: str) -> None:
    admission.validate(None, mutated(isvc(name=name)), "CREATE", {})


@pytest.mark.parametrize(("least", "most"), [(None, 1), (3, 0), (0, 0), (2, 2)])
def test_replicas_that_fit_are_accepted(least: int | None, most: int) -> None:
    new = isvc(model(minReplicas=least, maxReplicas=most))
    admission.validate(None, mutated(new), "CREATE", {})


def test_rules_are_asked_in_kserves_order() -> None:
    """Every fault is found first when the ones before it are mended, one after the other."""
    new = isvc(
        {
            "model": {**MODEL, "name": "x", "env": BLOCKED},
            "storageUris": [{"uri": "s3://a"}],
            "containerConcurrency": -1,
            "minReplicas": -1,
            "logger": {},
            "scaleMetric": "cpu",
        },
        name="1x",
        annotations={AUTOSCALER: "vpa"},
        canary=[{"trafficPercent": 1, "predictor": {}}],
    )
    spec = new["spec"]["predictor"]
    mends: list[Callable[[], object]] = [
        lambda: new["metadata"].update(name="digits"),
        lambda: new["metadata"].update(annotations={}),
        lambda: spec["model"].pop("env"),
        lambda: spec["model"].pop("name"),
        lambda: spec.pop("storageUris"),
        lambda: spec.pop("containerConcurrency"),
        lambda: spec.pop("minReplicas"),
        lambda: spec.pop("logger"),
        lambda: spec.pop("scaleMetric"),
    ]
    found = [refused(copy.deepcopy(new))]
    for mend in mends:
        mend()
        found.append(refused(copy.deepcopy(new)))
    assert found == [
        bad_name("1x"),
        "[vpa] is not a supported autoscaler class type",
        blocked("x"),
        STANDARD_NAME,
        "Setting both StorageURI and StorageURIs is not supported.",
        "parallelism cannot be less than 0",
        "'MinReplicas' cannot be less than 0",
        "invalid logger type",
        "[cpu] is not a supported metric",
        "canary is only supported in Standard deployment mode",
    ]


STORED_STANDARD = {"uri": "s3://a", "mountPath": "/mnt/a"}


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
        (
            [
                STORED_STANDARD,
                {"uri": "s3://b", "mountPath": "/mnt/b"},
                {"uri": "pvc://c", "mountPath": "/data"},
                {"uri": "pvc://d", "mountPath": "/data"},
            ],
            "PVC storage paths must be unique",
        ),
    ],
)
@pytest.mark.parametrize("component", ["predictor", "transformer", "explainer"])
def test_storage_uris(component: str, uris: list[Object], message: str) -> None:
    parts: dict[str, Object] = {
        "predictor": {"model": {"modelFormat": {"name": "triton"}}},
        "transformer": {"containers": [CONTAINER]},
        "explainer": {"containers": [CONTAINER]},
    }
    new = isvc(parts["predictor"])
    new["spec"][component] = {**parts[component], "storageUris": uris}
    assert refused(new) == message


@pytest.mark.parametrize(
    "uris",
    [
        [{"uri": "s3://a"}, {"uri": "s3://b"}],
        [STORED_STANDARD, {"uri": "s3://b", "mountPath": "/mnt/b"}],
        [STORED_STANDARD, {"uri": "pvc://b", "mountPath": "/other"}],
        [{"uri": "s3://a", "mountPath": "/a"}, {"uri": "s3://b", "mountPath": "/a/b"}],
    ],
)
def test_storage_uris_that_fit_are_accepted(uris: list[Object]) -> None:
    new = isvc({"model": {"modelFormat": {"name": "triton"}}, "storageUris": uris})
    admission.validate(None, mutated(new), "CREATE", {})


@pytest.mark.parametrize("component", ["predictor", "transformer", "explainer"])
def test_one_uri_and_several_are_too_many(component: str) -> None:
    environment = [{"name": "STORAGE_URI", "value": "s3://m"}]
    new = isvc()
    part = {"containers": [{**CONTAINER, "env": environment}]}
    new["spec"][component] = {**part, "storageUris": [{"uri": "s3://a"}]}
    assert refused(new) == "Setting both StorageURI and StorageURIs is not supported."


def test_the_deployment_mode_cannot_change() -> None:
    old = {**isvc(), "status": {"deploymentMode": "Knative"}}
    message = "update rejected: deploymentMode cannot be changed from 'Knative' to 'Standard'"
    assert refused(isvc(annotations=STANDARD), old) == message
    assert refused(isvc(annotations={MODE: "RawDeployment"}), old) == message


def test_the_deployment_mode_may_be_given_before_the_controller_has_written_its_own() -> None:
    admission.validate(isvc(), mutated(isvc(annotations=STANDARD)), "UPDATE", {})


def test_renaming_the_predictor_needs_another_model() -> None:
    message = "predictor.name change requires a model change (e.g. storageUri)"
    assert refused(isvc(model(name="v2")), mutated(isvc())) == message
    moved = isvc({"model": {**MODEL, "storageUri": "s3://m/v2"}, "name": "v2"})
    admission.validate(mutated(isvc()), mutated(moved), "UPDATE", {})

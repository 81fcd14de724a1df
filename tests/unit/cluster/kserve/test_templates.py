"""The pod templates that KServe makes of an InferenceService."""

from __future__ import annotations

from typing import Any

import pytest

from calumma import errors
from calumma.cluster.kserve import component, containers, predictor, runtimes, transformer
from calumma.cluster.objects import Object
from support.simulation import bundled, digits

TRITON = runtimes.Runtimes([], bundled("ClusterServingRuntime"))
STORAGE = bundled("ClusterStorageContainer")


def predictor_template(**fields: Any) -> Object:
    isvc = digits(**fields)
    return predictor.template(isvc, TRITON, STORAGE).pod_spec


def test_the_runtimes_container_takes_the_models_settings() -> None:
    isvc = digits()
    isvc["spec"]["predictor"]["model"].update(
        args=["--log-verbose=1"],
        env=[{"name": "A", "value": "1"}],
        resources={"limits": {"cpu": "2"}},
        runtimeVersion="24.10-py3",
        protocolVersion="v2",
    )
    container = predictor.template(isvc, TRITON, STORAGE).pod_spec["containers"][0]
    assert container["name"] == "kserve-container"
    assert container["image"] == "nvcr.io/nvidia/tritonserver:24.10-py3"
    assert container["args"][0] == "tritonserver"
    assert container["args"][-1] == "--log-verbose=1"
    assert container["resources"] == {"limits": {"cpu": "2"}}
    assert container["env"] == [
        {"name": "A", "value": "1"},
        {"name": "INFERENCE_SERVICE_NAME", "value": "digits"},
    ]


def test_pod_settings_of_the_predictor_reach_the_pod() -> None:
    isvc = digits(serviceAccountName="reader", nodeSelector={"gpu": "p100"})
    isvc["spec"]["predictor"]["model"]["protocolVersion"] = "v2"
    pod_spec = predictor.template(isvc, TRITON, STORAGE).pod_spec
    assert pod_spec["serviceAccountName"] == "reader"
    assert pod_spec["nodeSelector"] == {"gpu": "p100"}
    assert "minReplicas" not in pod_spec
    assert "model" not in pod_spec


def test_without_storage_triton_is_started_in_explicit_mode() -> None:
    isvc = digits()
    model = isvc["spec"]["predictor"]["model"]
    del model["storageUri"]
    model["protocolVersion"] = "v2"
    container = predictor.template(isvc, TRITON, STORAGE).pod_spec["containers"][0]
    assert container["args"][-1] == "--model-control-mode=explicit"


@pytest.mark.parametrize(
    "uri",
    ["pvc://a/b", "file:///a", "s3://a", "hf://a/b", "https://a/b.zip", "/a/path", "models/a"],
)
def test_supported_uris(uri: str) -> None:
    predictor.check_uri(uri, STORAGE)


def test_an_unsupported_uri_has_kserves_text() -> None:
    with pytest.raises(errors.ReconcileFailed) as failed:
        predictor.check_uri("ftp://a/b", STORAGE)
    assert str(failed.value) == (
        "StorageURI not supported: storageUri, must be one of: [gs://, s3://, pvc://, file://, "
        "https://, http://, hdfs://, webhdfs://, oci://, oci+native://, oci+fetch://, hf://] or "
        "match https://{}.blob.core.windows.net/{}/{} or be an absolute or relative local path. "
        "StorageUri [ftp://a/b] is not supported"
    )


def test_kserve_injects_the_transformers_arguments() -> None:
    assert transformer.arguments(digits(), []) == [
        "--model_name",
        "digits",
        "--predictor_host",
        "digits-predictor.default",
        "--http_port",
        "8080",
    ]


def test_arguments_that_are_there_are_not_injected() -> None:
    given = ["--model_name=mine", "--predictor_host", "elsewhere", "--http_port=1"]
    assert transformer.arguments(digits(), given) == given


@pytest.mark.parametrize(
    ("given", "injected"),
    [
        ([], ["--model_name", "--predictor_host", "--http_port"]),
        (["--model_name=mine"], ["--predictor_host", "--http_port"]),
        (["--predictor_host", "elsewhere"], ["--model_name", "--http_port"]),
        (["--http_port=1"], ["--model_name", "--predictor_host"]),
        (["--model_name_suffix=x"], ["--predictor_host", "--http_port"]),
        (["--predictor_protocol", "v2"], ["--model_name", "--predictor_host", "--http_port"]),
    ],
)
def test_each_argument_is_injected_unless_one_begins_like_it(
    given: list[str], injected: list[str]
) -> None:
    arguments = transformer.arguments(digits(), given)
    assert arguments[: len(given)] == given
    assert [word for word in arguments[len(given) :] if word.startswith("--")] == injected


def test_the_predictors_host_has_its_variants_name() -> None:
    isvc = digits(name="blue")
    assert transformer.arguments(isvc, [])[3] == "digits-blue-predictor.default"


def test_what_kserve_never_injects() -> None:
    isvc = digits()
    pod_spec = transformer.template(isvc, STORAGE).pod_spec
    container = pod_spec["containers"][0]
    assert "--predictor_protocol" not in container["args"]
    assert "--predictor_use_ssl" not in container["args"]
    assert container["env"] == [{"name": "INFERENCE_SERVICE_NAME", "value": "digits"}]


def test_storage_may_be_named_once_only() -> None:
    isvc = digits()
    isvc["spec"]["predictor"]["model"]["storage"] = {"key": "k", "path": "p"}
    with pytest.raises(errors.ReconcileFailed) as both:
        predictor.template(isvc, TRITON, STORAGE)
    assert str(both.value) == "must provide only one of storageUri and storage.path"
    del isvc["spec"]["predictor"]["model"]["storageUri"]
    with pytest.raises(errors.ReconcileFailed, match=r"predictor\.model\.storage does not run"):
        predictor.template(isvc, TRITON, STORAGE)


def test_container_concurrency_becomes_workers() -> None:
    isvc = digits()
    isvc["spec"]["transformer"]["containerConcurrency"] = 4
    assert transformer.arguments(isvc, [])[-2:] == ["--workers", "4"]


def test_a_custom_predictor_is_its_own_containers() -> None:
    isvc = digits()
    isvc["spec"]["predictor"] = {
        "containers": [{"name": "kserve-container", "image": "mine:1", "command": ["run"]}]
    }
    container = predictor.template(isvc, TRITON, STORAGE).pod_spec["containers"][0]
    assert (container["image"], container["command"]) == ("mine:1", ["run"])
    assert container["env"] == [{"name": "INFERENCE_SERVICE_NAME", "value": "digits"}]


def test_several_nodes_are_refused_by_name() -> None:
    with pytest.raises(errors.ReconcileFailed, match="workerSpec asks for several nodes"):
        predictor_template(workerSpec={})


def test_placeholders_are_filled_from_the_metadata() -> None:
    isvc = digits()
    isvc["metadata"]["labels"] = {"team": 'a "quoted" one'}
    container = {"args": ["{{.Name}}", "{{ .Namespace }}", "{{.Labels.team}}", "{{.Labels.none}}"]}
    filled = containers.fill_placeholders(container, isvc, "runtime")
    assert filled["args"] == ["digits", "default", 'a "quoted" one', "<no value>"]
    with pytest.raises(errors.InvalidSpec, match="failed to replace placeholders"):
        containers.fill_placeholders({"name": "c", "args": ["{{.Spec}}"]}, isvc, "runtime")


def test_named_lists_are_merged_by_their_key() -> None:
    base = {"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}], "image": "a"}
    patch = {"env": [{"name": "B", "value": "3"}, {"name": "C", "value": "4"}], "image": None}
    assert containers.merge(base, patch) == {
        "env": [
            {"name": "A", "value": "1"},
            {"name": "B", "value": "3"},
            {"name": "C", "value": "4"},
        ],
        "image": "a",
    }


@pytest.mark.parametrize(
    ("image", "version", "expected"),
    [
        ("a/b:1", "2", "a/b:2"),
        ("a/b", "2", "a/b:2"),
        ("host:5000/a", "2", "host:5000/a:2"),
        ("a/b@sha256:00", "2", "a/b@sha256:00"),
        ("a/b:1", None, "a/b:1"),
    ],
)
def test_the_runtime_version_is_the_images_tag(
    image: str, version: str | None, expected: str
) -> None:
    assert containers.with_version(image, version) == expected


def service(isvc: Object, latest: str = "") -> Object:
    built = predictor.template(isvc, TRITON, STORAGE)
    return component.service(isvc, "predictor", built, latest)


def test_autoscaling_fields_become_annotations_of_the_template() -> None:
    isvc = digits(minReplicas=2, maxReplicas=5, scaleTarget=4, scaleMetric="concurrency")
    isvc["spec"]["predictor"]["model"]["protocolVersion"] = "v2"
    annotations = service(isvc)["spec"]["template"]["metadata"]["annotations"]
    assert annotations["autoscaling.knative.dev/min-scale"] == "2"
    assert annotations["autoscaling.knative.dev/max-scale"] == "5"
    assert annotations["autoscaling.knative.dev/target"] == "4"
    assert annotations["autoscaling.knative.dev/metric"] == "concurrency"
    assert annotations["internal.serving.kserve.io/storage-initializer-sourceuri"] == (
        "pvc://models/digits/v1"
    )


def test_what_stays_out_of_the_template() -> None:
    isvc = digits()
    isvc["spec"]["predictor"]["model"]["protocolVersion"] = "v2"
    isvc["metadata"]["annotations"] = {
        "kubectl.kubernetes.io/last-applied-configuration": "{}",
        "modelFormat": "triton",
        "autoscaling.knative.dev/min-scale": "9",
        "mine": "stays",
    }
    isvc["metadata"]["labels"] = {"networking.knative.dev/visibility": "cluster-local"}
    made = service(isvc)
    annotations = made["spec"]["template"]["metadata"]["annotations"]
    assert annotations["mine"] == "stays"
    assert annotations["autoscaling.knative.dev/min-scale"] == "1"
    assert "modelFormat" not in annotations
    assert "kubectl.kubernetes.io/last-applied-configuration" not in annotations
    assert "networking.knative.dev/visibility" not in made["spec"]["template"]["metadata"]["labels"]
    assert "networking.knative.dev/visibility" in made["metadata"]["labels"]


def test_timeout_and_concurrency_are_the_revisions() -> None:
    isvc = digits(timeout=30, containerConcurrency=2)
    isvc["spec"]["predictor"]["model"]["protocolVersion"] = "v2"
    spec = service(isvc)["spec"]["template"]["spec"]
    assert (spec["timeoutSeconds"], spec["responseStartTimeoutSeconds"]) == (30, 30)
    assert spec["containerConcurrency"] == 2

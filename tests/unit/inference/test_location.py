"""Locating a service: what is read of the object, and the sentence when it cannot be used."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from calumma import errors, inference
from calumma.inference import location

from .conftest import Api

ISVC = "/apis/serving.kserve.io/v1beta1/namespaces/default/inferenceservices/digits"
CONFIG = "/api/v1/namespaces/kserve/configmaps/calumma"

METADATA = {"name": "digits", "namespace": "default"}

READY: dict[str, Any] = {
    "metadata": METADATA,
    "spec": {"predictor": {"model": {"modelFormat": {"name": "triton"}}}},
    "status": {
        "url": "http://digits.default.localhost:8080",
        "conditions": [
            {"type": "PredictorReady", "status": "True"},
            {"type": "Ready", "status": "True"},
        ],
        "components": {
            "predictor": {
                "traffic": [
                    {
                        "latestRevision": True,
                        "percent": 10,
                        "revisionName": "digits-predictor-00002",
                    },
                    {
                        "latestRevision": False,
                        "percent": 90,
                        "revisionName": "digits-predictor-00001",
                        "tag": "prev",
                    },
                ]
            }
        },
    },
}


def test_a_canary_is_read_with_its_split(api: Api) -> None:
    api.objects = {
        ISVC: READY,
        CONFIG: {
            "kind": "ConfigMap",
            "metadata": {"name": "calumma"},
            "data": {"prometheus": "http://127.0.0.1:9191"},
        },
    }
    found = inference.locate("digits")
    assert (found.url, found.model) == ("http://digits.default.localhost:8080", "digits")
    assert found.prometheus == "http://127.0.0.1:9191"
    assert found.target("latest") == ("digits-predictor-00002", 10, True, None)
    assert found.target("stable") == ("digits-predictor-00001", 90, False, None)
    assert found.canary() == (found.stable, found.latest)
    with pytest.raises(errors.EvaluationError, match="'newest' is neither latest nor stable"):
        found.target("newest")


def test_a_revision_without_traffic_is_not_judged(api: Api) -> None:
    traffic = [
        {"latestRevision": True, "percent": 0, "revisionName": "digits-predictor-00002"},
        {"percent": 100, "revisionName": "digits-predictor-00001", "tag": "prev"},
    ]
    status = {**READY["status"], "components": {"predictor": {"traffic": traffic}}}
    api.objects = {ISVC: {**READY, "status": status}}
    found = inference.locate("digits")
    assert found.target("stable") == ("digits-predictor-00001", 100, False, None)
    expected = r"00002, the latest revision of digits .*no share.*00002: 0%.*or judge stable"
    with pytest.raises(errors.EvaluationError, match=expected):
        found.target("latest")


def test_without_a_canary_the_latest_is_the_stable_one(api: Api) -> None:
    only = {"latestRevision": True, "percent": 100, "revisionName": "digits-predictor-00003"}
    status = {**READY["status"], "components": {"predictor": {"traffic": [only]}}}
    api.objects = {ISVC: {**READY, "status": status}}
    found = inference.locate("digits")
    assert found.latest == found.stable == ("digits-predictor-00003", 100, True, None)
    assert found.prometheus is None
    with pytest.raises(errors.EvaluationError, match=r"no canary.*digits-predictor-00003: 100%"):
        found.canary()


def test_a_cluster_that_declares_no_split_is_fine_too(api: Api) -> None:
    status = {key: READY["status"][key] for key in ("url", "conditions")}
    api.objects = {ISVC: {**READY, "status": status}}
    found = inference.locate("digits")
    assert (found.targets, found.target("latest"), found.target("stable")) == ((), None, None)
    with pytest.raises(errors.EvaluationError, match="declares no split"):
        found.canary()


@pytest.mark.parametrize("arguments", [["--model_name=seven"], ["--x", "--model_name", "seven"]])
def test_the_model_name_of_the_first_container_wins(api: Api, arguments: list[str]) -> None:
    spec = {**READY["spec"], "transformer": {"containers": [{"args": arguments}]}}
    api.objects = {ISVC: {**READY, "spec": spec}}
    assert inference.locate("digits").model == "seven"


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ({}, "not ready: it has not reported yet"),
        (
            {"conditions": [{"type": "Ready", "status": "False", "message": "no such file"}]},
            "not ready: no such file",
        ),
        (
            {"conditions": [{"type": "Ready", "status": "Unknown", "reason": "Starting"}]},
            "not ready: Starting",
        ),
    ],
)
def test_a_service_that_is_not_ready_says_why(api: Api, status: Any, said: str) -> None:
    api.objects = {ISVC: {**READY, "status": status}}
    with pytest.raises(errors.ServiceUnavailable, match=said):
        inference.locate("digits")


def test_a_service_that_does_not_exist_is_named(api: Api) -> None:
    with pytest.raises(errors.ServiceUnavailable, match=r"digits in namespace default.*not exist"):
        inference.locate("digits")


@pytest.mark.parametrize("path", [ISVC, CONFIG])
def test_another_answer_of_the_api_is_told(api: Api, path: str) -> None:
    api.objects = {ISVC: READY, path: {"kind": "Status", "code": 401}}
    with pytest.raises(errors.ServiceUnavailable, match="the API answered 401 Unauthorized"):
        inference.locate("digits")


def test_a_cluster_that_does_not_answer_says_what_to_do(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kubeconfig = yaml.safe_load((tmp_path / "kubeconfig").read_text())
    kubeconfig["clusters"][0]["cluster"]["server"] = "http://127.0.0.1:1"
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(kubeconfig))
    with pytest.raises(errors.ServiceUnavailable, match="calumma up"):
        inference.locate("digits")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "missing"))
    with pytest.raises(errors.ServiceUnavailable, match=r"export KUBECONFIG=\$\(calumma"):
        inference.locate("digits")


def test_a_cluster_that_takes_calls_and_says_nothing_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        server = f"http://127.0.0.1:{silent.getsockname()[1]}"
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": {"server": server}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "users": [{"name": "u", "user": {}}],
            "current-context": "c",
        }
        (tmp_path / "kubeconfig").write_text(yaml.safe_dump(content))
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
        began = time.monotonic()
        with pytest.raises(errors.ServiceUnavailable, match="no cluster answers"):
            inference.locate("digits")
    assert time.monotonic() - began < 30


def tagged(percent: int, **latest: str) -> dict[str, Any]:
    prev = {"tag": "prev", "url": "http://prev-digits-predictor.default.localhost:8080"}
    traffic = [
        {"latestRevision": True, "percent": percent, "revisionName": "r2", **latest},
        {"percent": 100 - percent, "revisionName": "r1", **prev},
    ]
    return {**READY["status"], "components": {"predictor": {"traffic": traffic}}}


def test_pairs_need_a_host_for_each_side_and_no_share(api: Api) -> None:
    api.objects = {ISVC: {**READY, "status": tagged(0)}}
    with pytest.raises(errors.EvaluationError, match="enable-tag-routing"):
        inference.locate("digits").hosts()
    latest = "http://latest-digits-predictor.default.localhost:8080"
    api.objects = {ISVC: {**READY, "status": tagged(0, tag="latest", url=latest)}}
    found = inference.locate("digits")
    assert [each.revision for each in found.hosts()] == ["r1", "r2"]
    assert found.hosts()[1].url == latest
    with pytest.raises(errors.EvaluationError, match="no canary with a share of the traffic"):
        found.canary()


def test_who_holds_the_object_needs_no_cluster_and_may_ask_for_the_transformer() -> None:
    latest = {"latestRevision": True, "percent": 5, "revisionName": "t2", "url": "http://t2"}
    prev = {"percent": 95, "revisionName": "t1", "url": "http://t1"}
    status = tagged(10)
    status["components"]["transformer"] = {"traffic": [latest, prev]}
    isvc = {**READY, "status": status}
    found = location.endpoint(isvc, "http://watch")
    assert [each.revision for each in found.sides()] == ["r1", "r2"]
    assert (found.service, found.namespace, found.prometheus) == (
        *METADATA.values(),
        "http://watch",
    )
    transformer = location.endpoint(isvc, component="transformer")
    assert [each.url for each in transformer.hosts()] == ["http://t1", "http://t2"]
    with pytest.raises(errors.ServiceUnavailable, match="digits in namespace default is not ready"):
        location.endpoint({"metadata": METADATA})


def standard(*canaries: dict[str, Any], **spec: Any) -> dict[str, Any]:
    status = {
        **READY["status"],
        "url": "http://digits-default.localhost:8080",
        "deploymentMode": "Standard",
        "components": {"predictor": {"url": "http://digits-predictor-default.localhost:8080"}},
        "canaryStatuses": list(canaries),
    }
    return {"metadata": METADATA, "spec": {**READY["spec"], **spec}, "status": status}


V2 = {"name": "v2", "ready": True, "trafficPercent": 20}


def test_a_canary_of_standard_mode_is_a_deployment_with_a_share(api: Api) -> None:
    api.objects = {ISVC: standard(V2)}
    found = inference.locate("digits")
    stable, canary = found.canary()
    assert stable[:3] == ("digits-predictor", 80, False)
    assert canary[:3] == ("digits-v2-predictor", 20, True)
    assert canary.url == "http://digits-v2-predictor.default.localhost:8080"
    assert found.hosts() == (stable, canary)
    named = {"predictor": {**READY["spec"]["predictor"], "name": "v1"}}
    api.objects = {ISVC: standard(V2, **named)}
    assert inference.locate("digits").canary()[0].revision == "digits-v1-predictor"


@pytest.mark.parametrize(
    ("canaries", "spec", "said"),
    [
        ([], {}, "no canary .it declares no split.; set trafficPercent of the canary"),
        ([{**V2, "ready": False}], {}, "no canary"),
        ([{**V2, "trafficPercent": 0}], {}, "no canary with a share"),
        ([V2, {**V2, "name": "v3"}], {}, "has 2 canaries"),
        ([V2], {"transformer": {}}, "the transformer of digits .* calls the stable predictor only"),
    ],
)
def test_a_standard_canary_that_no_request_reaches_is_told(
    api: Api, canaries: list[dict[str, Any]], spec: dict[str, Any], said: str
) -> None:
    api.objects = {ISVC: standard(*canaries, **spec)}
    with pytest.raises(errors.EvaluationError, match=said):
        inference.locate("digits").canary()


def test_on_a_cluster_a_deployment_is_asked_by_its_services_name(api: Api) -> None:
    isvc = standard(V2)
    isvc["status"]["url"] = "http://digits-default.example.com"
    api.objects = {ISVC: isvc}
    canary = inference.locate("digits").hosts()[1]
    assert canary.url == "http://digits-v2-predictor.default.svc.cluster.local"

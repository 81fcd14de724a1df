"""A revision that cannot work says why in a sentence, and the last good one serves on."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.cluster import Cluster, condition, image


@pytest.fixture(autouse=True)
def still_serving(digits_service: Cluster) -> Iterator[None]:
    """After every test, the first revision answers as before."""
    yield
    picture, label = image(0)
    answer = digits_service.predict(picture)
    assert answer.status_code == 200
    assert answer.json()["predictions"][0]["label"] == label
    assert answer.headers["x-calumma-predictor-revision"] == "digits-predictor-00001"
    assert answer.headers["x-calumma-transformer-revision"] == "digits-transformer-00001"


def canary(cluster: Cluster, path: str) -> None:
    """A canary that may never be ready."""
    model = {"storageUri": f"pvc://models/{path}"}
    cluster.patch({"predictor": {"canaryTrafficPercent": 10, "model": model}})


def complaint(cluster: Cluster, kind: str) -> str:
    """Why a component is not ready, as its condition and its event say alike."""
    cluster.until(f"{kind} failed", lambda: condition(cluster.get(), kind)["status"] == "False")
    message: str = condition(cluster.get(), kind)["message"]
    reason = message.rpartition("failed with message: ")[2].splitlines()[0].removesuffix(".")
    cluster.until(
        "an event", lambda: reason[:200] in cluster.kubectl("describe", "isvc", "digits").output
    )
    return message


def test_a_model_that_is_missing(digits_service: Cluster) -> None:
    canary(digits_service, "digits/v9")
    message = complaint(digits_service, "PredictorReady")
    assert "no 'digits/v9' in the claim 'models'" in message
    assert "holds v1, v2, v3" in message
    status = digits_service.get()["status"]["modelStatus"]
    assert status["transitionStatus"] == "BlockedByFailedLoad"
    assert status["states"] == {
        "activeModelState": "Loaded",
        "targetModelState": "FailedToLoad",
    }
    assert "no 'digits/v9'" in status["lastFailureInfo"]["message"]
    pods = digits_service.kubectl("get", "pods").output
    assert "Init:CrashLoopBackOff" in pods or "Init:Error" in pods


def test_a_claim_that_is_not_there(digits_service: Cluster) -> None:
    digits_service.patch({"predictor": {"model": {"storageUri": "pvc://nowhere/digits"}}})
    message = complaint(digits_service, "PredictorReady")
    assert "there is no claim 'nowhere'; known are models" in message
    assert "calumma up --claim nowhere=FOLDER" in message


def test_a_path_that_leads_out_of_its_claim(digits_service: Cluster, models: Path) -> None:
    (models / "way-out").symlink_to("/etc")
    try:
        canary(digits_service, "way-out")
        assert "leads out of the claim" in complaint(digits_service, "PredictorReady")
    finally:
        (models / "way-out").unlink()


def test_an_onnx_file_that_is_corrupt(digits_service: Cluster, models: Path) -> None:
    bad = models / "digits/corrupt"
    shutil.copytree(models / "digits/v1", bad)
    try:
        (bad / "digits/1/model.onnx").write_bytes(b"\x08\x07" + os.urandom(5000))
        canary(digits_service, "digits/corrupt")
        message = complaint(digits_service, "PredictorReady")
        assert "Model 'digits': onnxruntime cannot load" in message
        assert "model.onnx" in message
    finally:
        shutil.rmtree(bad)


def test_a_transformer_that_crashes(digits_service: Cluster) -> None:
    container = {
        "name": "kserve-container",
        "image": "calumma/digits:latest",
        "args": ["--max_instances", "several"],
    }
    digits_service.patch({"transformer": {"containers": [container]}})
    message = complaint(digits_service, "TransformerReady")
    assert "argument --max_instances: invalid" in message
    pods = digits_service.kubectl("get", "pods", "-o", "name").output.split()
    (crashing,) = (pod for pod in pods if "transformer-00002" in pod)

    def said() -> bool:  # a run that has just begun has said nothing yet
        return "argument --max_instances" in digits_service.kubectl("logs", crashing).output

    digits_service.until("in the log", said)


def test_an_image_without_a_program(digits_service: Cluster) -> None:
    container = {"name": "kserve-container", "image": "team/unknown:1"}
    digits_service.patch({"transformer": {"containers": [container]}})
    message = complaint(digits_service, "TransformerReady")
    assert 'Unable to fetch image "team/unknown:1"' in message
    assert "known images are nvcr.io/nvidia/tritonserver, calumma/*" in message


def test_a_percentage_that_is_none(digits_service: Cluster) -> None:
    digits_service.patch({"predictor": {"canaryTrafficPercent": 150}})
    assert "expected 0 <= 150 <= 100" in complaint(digits_service, "PredictorReady")
    digits_service.patch({"predictor": {"canaryTrafficPercent": None}})
    digits_service.until_ready()


def test_a_storage_that_is_not_known(digits_service: Cluster) -> None:
    """KServe tells this by an event alone."""
    digits_service.patch({"predictor": {"model": {"storageUri": "ftp://somewhere/model"}}})
    expected = "StorageURI not supported: storageUri, must be one of: [gs://, s3://"
    digits_service.until(
        "an event", lambda: expected in digits_service.kubectl("describe", "isvc", "digits").output
    )


def test_what_does_not_run_here_yet(digits_service: Cluster) -> None:
    digits_service.patch({"explainer": {"art": {"type": "SquareAttack"}}})
    message = complaint(digits_service, "PredictorReady")
    assert "spec.explainer does not run on the one-machine cluster yet" in message

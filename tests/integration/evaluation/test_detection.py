"""The detection notebook, run for real on box models in a real Triton."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from calumma import running
from calumma.scoring.gates import Verdict
from support import onnx_models, pods, squares

from .conftest import numbers

EVALUATION = pods.ROOT / "evaluation"
SCENES = squares.scenes(120, seed=1)

Cluster = Any  # a kserve.KServeClient, which has no types


@pytest.fixture(scope="module")
def triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Triton with a model that finds everything and one that misses green."""
    repository = tmp_path_factory.mktemp("repository")
    onnx_models.add(repository, "boxes", squares.detector())
    onnx_models.add(repository, "blind", squares.detector(blind_to=1))
    with pods.start_triton(repository, tmp_path_factory.mktemp("triton")) as started:
        yield started.url


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the suite of this repository, and the data where it expects them."""
    folder = tmp_path_factory.mktemp("repository")
    squares.write_yolo(folder / "evaluation" / "data" / "boxes", SCENES)
    (folder / "evaluation" / "suites").mkdir()
    shutil.copy(EVALUATION / "suites" / "boxes.yaml", folder / "evaluation" / "suites")
    return folder


@pytest.fixture
def namespace(cluster: Cluster, triton: str) -> str:
    """A namespace with the service ``boxes``, ready, at Triton's address."""
    name = f"detection-{next(numbers)}"
    kind = ("serving.kserve.io", "v1beta1", name, "inferenceservices")
    isvc = {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": "boxes", "namespace": name},
        "spec": {
            "predictor": {
                "model": {
                    "modelFormat": {"name": "triton"},
                    "storageUri": "pvc://models/boxes/v1",
                }
            }
        },
    }
    status = {"url": triton, "conditions": [{"type": "Ready", "status": "True"}]}
    cluster.core_api.create_namespace({"metadata": {"name": name}})
    cluster.api_instance.create_namespaced_custom_object(*kind, isvc)
    cluster.api_instance.patch_namespaced_custom_object_status(*kind, "boxes", {"status": status})
    return name


def run(folder: Path, namespace: str, suite: str = "boxes") -> running.Run:
    given = {
        "suite": f"evaluation/suites/{suite}.yaml",
        "namespace": namespace,
        "out": "runs/detection",
    }
    return running.execute(EVALUATION / "detection.ipynb", folder / "runs/detection.ipynb", given)


def found(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {metric["name"]: metric for table in report["metrics"] for metric in table["metrics"]}


def test_a_model_that_finds_everything_passes_twice_with_the_same_report(
    repository: Path, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository)
    first = run(repository, namespace)
    assert first.report is not None, first.sentence
    assert (first.verdict, first.code) == (Verdict.PASS, 0), first.sentence
    measured = found(first.report)
    boxes = sum(map(len, SCENES))
    assert measured["mAP"]["value"] == pytest.approx(1)
    assert measured["mAP"]["interval"]["low"] < 0.97  # of so many images none is proof
    assert measured["recall"]["count"] == measured["recall"]["n"] == boxes
    assert measured["AP of large boxes"] == {
        "name": "AP of large boxes",
        "value": None,
        "n": 0,
    }
    assert first.report["data"]["images"] == 120
    assert sum(first.report["data"]["boxes"].values()) == boxes
    for figure in first.report["figures"]:
        assert (repository / "runs/detection" / figure["file"]).stat().st_size > 1000
    second = run(repository, namespace)
    assert second.report is not None
    ours, theirs = dict(first.report), dict(second.report)
    assert ours.pop("times") and theirs.pop("times")
    assert json.dumps(ours) == json.dumps(theirs)


def test_a_model_that_misses_a_class_fails_by_that_class(
    repository: Path, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository)
    suites = repository / "evaluation" / "suites"
    text = (suites / "boxes.yaml").read_text()
    (suites / "blind.yaml").write_text(text.replace("detection:\n", "detection:\n  model: blind\n"))
    failed = run(repository, namespace, "blind")
    assert (failed.verdict, failed.code) == (Verdict.FAIL, 1), failed.sentence
    assert "AP of green is 0.000 (95% interval 0.000 to" in failed.sentence
    assert failed.report is not None
    measured = found(failed.report)
    assert measured["AP of red"]["value"] == pytest.approx(1)
    assert measured["mAP"]["value"] == pytest.approx(0.5)


def test_half_the_labels_are_no_data_set(
    repository: Path, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    half = shutil.copytree(repository, tmp_path / "half")
    for path in sorted((half / "evaluation/data/boxes/labels").iterdir())[::2]:
        path.unlink()
    monkeypatch.chdir(half)
    stopped = run(half, namespace)
    assert (stopped.verdict, stopped.code, stopped.report) == (None, 3, None)
    assert "60 of 120 images in" in stopped.sentence and "have no labels" in stopped.sentence

"""The drift notebook, run for real on a service whose images have changed, or have not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from calumma import running
from calumma.scoring.gates import Verdict

from .conftest import CANARY, STABLE, Service, declare

ROOT = Path(__file__).parents[3]
SUITE = ROOT / "evaluation/suites/digits.yaml"

Cluster = Any  # a kserve.KServeClient, which has no types


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: reports go below it."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def drift(service: Service, **given: Any) -> running.Run:
    given = {
        "suite": str(SUITE),
        "namespace": service.namespace,
        "rate": 400.0,
        "rehearsals": 10,
        **given,
    }
    return running.execute(ROOT / "evaluation/drift.ipynb", Path("runs/drift.ipynb"), given)


def found(run: running.Run) -> dict[str, dict[str, Any]]:
    """The metrics of a report, by name, each of which is there once."""
    assert run.report is not None, run.sentence
    every = [metric for table in run.report["metrics"] for metric in table["metrics"]]
    by_name = {metric["name"]: metric for metric in every}
    assert len(by_name) == len(every)
    return by_name


def test_the_same_kind_of_images_pass_twice_with_the_same_report(
    cluster: Cluster, service: Service
) -> None:
    declare(cluster, service)
    first = drift(service)
    assert (first.verdict, first.code) == (Verdict.PASS, 0), first.sentence
    metrics = found(first)
    estimated, measured = metrics["estimated accuracy"], metrics["measured accuracy"]
    assert estimated["n"] == measured["n"] == 300
    assert estimated["interval"]["low"] <= measured["value"] <= estimated["interval"]["high"]
    assert metrics["share of out-of-distribution inputs"]["count"] == 0
    assert metrics["estimated accuracy, window 6"]["n"] == 50
    assert metrics["false alarms of any detector"]["n"] == 10
    assert first.report is not None
    assert len(first.report["figures"]) == 8
    for figure in first.report["figures"]:
        assert Path("runs/drift", figure["file"]).stat().st_size > 1000
    second = drift(service)
    assert second.report is not None
    ours, theirs = dict(first.report), dict(second.report)
    assert ours.pop("times")["started"] < theirs.pop("times")["started"]
    assert json.dumps(ours) == json.dumps(theirs)


def test_blurred_images_are_an_alarm_and_the_estimate_says_so(
    cluster: Cluster, service: Service
) -> None:
    declare(cluster, service)
    run = drift(service, shift="blur=2")
    assert (run.verdict, run.code) == (Verdict.FAIL, 1), run.sentence
    for name in ("inputs", "embeddings", "outputs", "online"):
        assert f"adjusted p-value of {name} is 0.00" in run.sentence
    assert run.report is not None
    notes = {table["title"]: table["note"] for table in run.report["metrics"]}
    assert (
        "drift was found (inputs, embeddings"
        in notes["Is the model still right, as far as one can tell without labels?"]
    )


def test_a_canary_is_looked_at_alone(cluster: Cluster, service: Service) -> None:
    service.weights = {STABLE: 50, CANARY: 50}
    service.classifiers = {CANARY: service.bad}
    declare(cluster, service)
    run = drift(service, revision="stable")
    metrics = found(run)
    assert metrics["accuracy on the reference"]["value"] > 0.9
    assert metrics["adjusted p-value of outputs"]["n"] == 300  # sent again until it answered

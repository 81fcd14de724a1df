"""The evaluation notebooks, run for real on a service that is good, bad, split or failing."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from calumma import datasets, evidence, running
from calumma.inference import classification
from calumma.scoring.gates import Verdict

from .conftest import CANARY, STABLE, Service, declare

EVALUATION = Path(__file__).parents[3] / "evaluation"
SUITE = str(EVALUATION / "suites/digits.yaml")
QUICK = {"traffic": "live", "dataset": "digits", "seconds": 4.0, "rate": 150.0, "settle": 1.0}

ROLES = ("stable", "canary")

Cluster = Any  # a kserve.KServeClient, which has no types


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: reports go below it."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def offline(service: Service, **given: Any) -> running.Run:
    given = {"suite": SUITE, "namespace": service.namespace, "rate": 400.0, "explain": 0, **given}
    return running.execute(EVALUATION / "offline.ipynb", Path("runs/offline.ipynb"), given)


def online(service: Service, prometheus: str = "", **section: Any) -> running.Run:
    suite = {"name": "digits", "service": "digits", "online": {**QUICK, **section}}
    Path("suite.yaml").write_text(yaml.safe_dump(suite))
    given = {"namespace": service.namespace, "suite": "suite.yaml", "prometheus": prometheus}
    return running.execute(EVALUATION / "online.ipynb", Path("runs/online.ipynb"), given)


def content(run: running.Run) -> dict[str, Any]:
    assert run.report is not None, run.sentence
    return run.report


def found(run: running.Run) -> dict[str, dict[str, Any]]:
    """The metrics of a report, by name."""
    report = content(run)
    tables = [*report["metrics"], *report["times"]["metrics"]]
    return {metric["name"]: metric for table in tables for metric in table["metrics"]}


def test_a_good_model_passes_twice_with_the_same_report(cluster: Cluster, service: Service) -> None:
    declare(cluster, service)
    first = offline(service, explain=1)
    assert (first.verdict, first.code) == (Verdict.PASS, 0), first.sentence
    metrics = found(first)
    assert metrics["accuracy"]["n"] == 600
    assert metrics["accuracy"]["interval"]["low"] > 0.9
    assert metrics["latency p95"]["value"] > 0
    report = content(first)
    assert report["subject"]["answered"] == [STABLE]
    assert report["data"]["images"] == 600
    for figure in report["figures"]:
        assert Path("runs/offline", figure["file"]).stat().st_size > 1000
    second = offline(service, explain=1)
    ours, theirs = dict(report), dict(content(second))
    assert ours.pop("times")["started"] < theirs.pop("times")["started"]
    assert json.dumps(ours) == json.dumps(theirs)
    assert '<div class="verdict pass">' in Path("runs/offline/report.html").read_text()


def test_plain_papermill_says_by_its_exit_status_that_a_model_is_bad(
    cluster: Cluster, service: Service, folder: Path
) -> None:
    service.classifiers = {STABLE: service.bad}
    declare(cluster, service)
    Path("runs").mkdir()
    done = subprocess.run(
        [
            *(sys.executable, "-m", "papermill", str(EVALUATION / "offline.ipynb")),
            *("runs/offline.ipynb", "--no-progress-bar", "-p", "service", "digits"),
            *("-p", "namespace", service.namespace, "-p", "rate", "400", "-p", "suite", SUITE),
        ],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
        check=False,
    )
    assert done.returncode != 0
    assert "VerdictNotPassed: fail: accuracy is 0." in done.stderr
    assert "recall of 3 is 0." in done.stderr
    report = evidence.read(folder / "runs" / "offline")
    assert report is not None and report["verdict"] == "fail"
    assert Path("runs/offline/report.html").exists()


def test_during_a_canary_only_the_revision_in_question_is_judged(
    cluster: Cluster, service: Service
) -> None:
    service.weights = {STABLE: 50, CANARY: 50}
    service.classifiers = {CANARY: service.bad}
    declare(cluster, service)
    run = offline(service, revision="stable")
    assert run.verdict is Verdict.PASS, run.sentence
    assert content(run)["subject"]["judged"] == STABLE
    metrics = found(run)
    assert metrics["accuracy"]["n"] == 600
    assert metrics[f"accuracy of {CANARY}"]["value"] < 0.75 < metrics["accuracy"]["value"]
    assert 200 < metrics[f"accuracy of {CANARY}"]["n"] < 400


def test_a_canary_is_compared_with_the_stable_revision_image_by_image(
    cluster: Cluster, service: Service, folder: Path
) -> None:
    service.weights = {STABLE: 50, CANARY: 50}
    service.classifiers = {CANARY: service.bad}
    declare(cluster, service)
    suite = quick_suite(folder, changes=[{"metric": "change of accuracy", "at_least": -0.03}])
    run = offline(service, suite=suite, baseline="stable")
    assert run.verdict is Verdict.FAIL
    assert "change of accuracy is -0." in run.sentence
    metrics = found(run)
    change, p = metrics["change of accuracy"], metrics["McNemar's p, change of accuracy"]
    assert change["n"] == 600 and change["interval"]["high"] < -0.2
    assert p["value"] < 1e-6 and 100 < p["n"] < 600
    assert metrics["change of recall of 0"]["value"] == pytest.approx(0, abs=0.1)
    assert content(run)["subject"]["baseline"] == STABLE
    # The same against the report of another run: the first now is the baseline.
    service.weights, service.classifiers = {STABLE: 100}, {}
    before = Path(shutil.copytree("runs/offline", "runs/before"))
    again = offline(service, suite=suite, baseline=str(before), revision="stable")
    assert found(again)["change of accuracy"]["value"] == pytest.approx(-change["value"], abs=0.02)


def quick_suite(folder: Path, **section: Any) -> str:
    """A suite with few gates and no behavioural tests."""
    asked = {
        "data": "digits",
        "gates": [{"metric": "accuracy", "at_least": 0.5}],
        **section,
    }
    path = folder / "quick.yaml"
    path.write_text(json.dumps({"name": "quick", "service": "digits", "offline": asked}))
    return str(path)


def test_a_data_set_that_is_not_whole_ends_the_evaluation(
    cluster: Cluster, service: Service, folder: Path
) -> None:
    declare(cluster, service)
    (folder / "images").mkdir()
    (folder / "images/labels.tsv").write_text("path\tlabel\ngone.png\t1\n")
    run = offline(service, suite=quick_suite(folder, data="images"))
    assert (run.verdict, run.code, run.report) == (None, 3, None)
    assert "DatasetInvalid: the dataset" in run.sentence
    assert "gone.png cannot be read: No such file" in run.sentence
    assert service.asked == 0


@pytest.mark.parametrize(
    ("notebook", "given", "said"),
    [
        (offline, {"namespace": "empty"}, "digits in namespace empty .* does not exist"),
        (online, {}, f"has no canary .{STABLE}: 100%"),
    ],
)
def test_what_cannot_be_evaluated_is_an_error_with_a_sentence(
    cluster: Cluster,
    service: Service,
    notebook: Callable[..., running.Run],
    given: dict[str, Any],
    said: str,
) -> None:
    declare(cluster, service)
    run = notebook(service, **given)
    assert (run.verdict, run.code, run.report) == (None, 3, None)
    assert re.search(said, run.sentence), run.sentence


def test_a_canary_that_is_as_good_passes(cluster: Cluster, service: Service, watching: str) -> None:
    service.weights = {STABLE: 50, CANARY: 50}
    declare(cluster, service, watching)
    run = online(service, margins={"accuracy": 0.1, "failures": 0.1})
    assert (run.verdict, run.code) == (Verdict.PASS, 0), run.sentence
    metrics = found(run)
    assert metrics["accuracy of canary"]["n"] > 150
    assert metrics["failed requests of canary"]["n"] == pytest.approx(300, rel=0.25)
    assert metrics["distance of the class mixes"]["interval"]["low"] == 0
    assert metrics["slow requests of canary"]["count"] == 0
    counts = {(each["source"], each["role"]): each for each in content(run)["counts"]}
    assert set(counts) == {(by, role) for by in ("sent", "prometheus") for role in ROLES}
    sent = counts["sent", "canary"]
    assert (sent["revision"], sent["percent"], sent["failures"]) == (CANARY, 50, 0)
    assert sent["right"] + sent["wrong"] == metrics["accuracy of canary"]["n"]
    assert sum(sent["classes"].values()) == sent["requests"]
    timed = content(run)["times"]["counts"][1]["at_most_ms"]
    assert timed["+Inf"] == sent["requests"] >= timed["10"]
    assert content(run)["subject"] == {
        "service": "digits",
        "namespace": service.namespace,
        "model": "digits",
        "stable": STABLE,
        "canary": CANARY,
        "percent": 50,
    }


def test_a_canary_that_answers_wrongly_fails(
    cluster: Cluster, service: Service, watching: str
) -> None:
    service.weights = {STABLE: 80, CANARY: 20}
    service.classifiers = {CANARY: service.bad}
    declare(cluster, service)
    run = online(service, prometheus=watching)
    assert (run.verdict, run.code) == (Verdict.FAIL, 1)
    assert run.sentence.startswith("fail: accuracy, canary minus stable is -0.")
    assert "all of it below -0.050" in run.sentence


def test_errors_and_a_wrong_split_are_found_beside_wrong_answers(
    cluster: Cluster, service: Service, watching: str
) -> None:
    service.weights = {STABLE: 90, CANARY: 10}
    declare(cluster, service, watching)
    service.weights = {STABLE: 50, CANARY: 50}
    service.failing = {CANARY}
    run = online(service)
    assert run.verdict is Verdict.FAIL
    assert "failed requests, canary minus stable is " in run.sentence
    verdicts = {gate["metric"]: gate["verdict"] for gate in content(run)["gates"]}
    assert verdicts == {
        "accuracy, canary minus stable": "fail",
        "failed requests, canary minus stable": "fail",
        "share of canary": "inconclusive",
    }


def test_pairs_tell_with_few_requests_what_the_split_cannot(
    cluster: Cluster, service: Service, watching: str
) -> None:
    service.weights = {STABLE: 100, CANARY: 0}
    service.classifiers = {CANARY: service.bad}
    declare(cluster, service)
    run = online(service, prometheus=watching, traffic="replay", seconds=1.0, rate=100.0)
    assert (run.verdict, run.code) == (Verdict.FAIL, 1), run.sentence
    metrics = found(run)
    assert metrics["accuracy of stable"]["n"] == metrics["accuracy of canary"]["n"] == 100
    assert metrics["accuracy, canary minus stable"]["interval"]["high"] < -0.05
    assert metrics["p of equally good"]["value"] < 1e-6
    assert (
        metrics["only canary is right"]["value"] < 0.05 < metrics["only stable is right"]["value"]
    )
    assert "share of canary" not in metrics
    assert Path("runs/online/figures/disagreements.png").stat().st_size > 5000


def test_traffic_of_others_is_judged_by_prometheus_alone(
    cluster: Cluster, service: Service, watching: str
) -> None:
    service.weights = {STABLE: 50, CANARY: 50}
    declare(cluster, service, watching)
    margins = {"accuracy": None, "failures": 0.1}
    with asked_all_the_time(service):
        run = online(service, traffic="prometheus", dataset=None, margins=margins, seconds=20.0)
    assert (run.verdict, run.code) == (Verdict.PASS, 0), run.sentence
    metrics = found(run)
    assert metrics["failed requests of canary"]["n"] >= 50
    assert metrics["share of canary"]["n"] >= 100
    assert "accuracy of canary" not in metrics


@contextmanager
def asked_all_the_time(service: Service) -> Iterator[None]:
    """Others ask 50 times a second, however long the notebook takes to look."""
    ended = threading.Event()
    picture = classification.encode([datasets.held_out("digits")[0].image])

    def ask() -> None:
        while not ended.wait(0.02):
            service.answer(picture, "digits")

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield
    finally:
        ended.set()
        asking.join()

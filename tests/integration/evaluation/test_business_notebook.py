"""The business notebook, run for real: a model that pays, one that does not, and earlier runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from calumma import running
from calumma.feedback import folder as feedback
from calumma.feedback import records
from calumma.scoring.gates import Verdict

from .conftest import STABLE, Service, declare

EVALUATION = Path(__file__).parents[3] / "evaluation"
SUITE = EVALUATION / "suites/digits.yaml"

Cluster = Any  # a kserve.KServeClient, which has no types


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: reports go below it."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def business(**given: Any) -> running.Run:
    given = {"suite": str(SUITE), "rate": 400.0, "draws": 1000, **given}
    return running.execute(EVALUATION / "business.ipynb", Path("runs/business.ipynb"), given)


def content(run: running.Run) -> dict[str, Any]:
    assert run.report is not None, run.sentence
    return run.report


def found(run: running.Run) -> dict[str, dict[str, Any]]:
    """The metrics of a report, by name."""
    report = content(run)
    tables = [*report["metrics"], *report["times"]["metrics"]]
    return {metric["name"]: metric for table in tables for metric in table["metrics"]}


def changed(folder: Path, change: Callable[[dict[str, Any]], object]) -> str:
    """The digits' suite with a change to its section, as a file."""
    suite = yaml.safe_load(SUITE.read_text())
    suite = {name: suite[name] for name in ("name", "service", "business")}
    change(suite["business"])
    path = folder / "suite.yaml"
    path.write_text(yaml.safe_dump(suite))
    return str(path)


def test_a_good_model_pays_and_a_bad_one_does_not(
    cluster: Cluster, service: Service, folder: Path
) -> None:
    declare(cluster, service)
    good = business(namespace=service.namespace)
    assert (good.verdict, good.code) == (Verdict.PASS, 0), good.sentence
    metrics = found(good)
    effect = metrics["economic effect per day"]
    assert effect["n"] == 600 and effect["interval"]["low"] > 0
    assert effect["interval"]["low"] < effect["value"] < effect["interval"]["high"]
    assert metrics["minutes a person needs for a case alone"]["n"] == 0
    assert "invented" in metrics["cost of a missed 8"]["remark"]
    assert metrics["unique users"]["value"] is None
    policy = metrics["missed findings, followed where the person saw nothing, minus alone"]
    assert policy["value"] < 0 and policy["n"] == 5 * 124
    report = content(good)
    assert report["subject"]["answered"] == [STABLE]
    for figure in report["figures"]:
        assert Path("runs/business", figure["file"]).stat().st_size > 1000
    assert {figure["file"] for figure in report["figures"]} >= {
        "figures/tornado.png",
        "figures/break-even.png",
        "figures/policies.png",
    }
    page = Path("runs/business/report.html").read_text()
    assert page.index("Assumptions") < page.index(">Value<")

    # The same answers again, without any service: the same report, times and source aside.
    again = business(answers="runs/business/answers.tsv", out="runs/again")
    once = {name: report[name] for name in ("verdict", "sentence", "gates", "data", "metrics")}
    twice = {name: content(again)[name] for name in once}
    assert json.dumps(once) == json.dumps(twice)

    # A worse model against it.
    service.classifiers = {STABLE: service.bad}
    bad = business(namespace=service.namespace, baseline="runs/business", out="runs/bad")
    assert (bad.verdict, bad.code) == (Verdict.FAIL, 1)
    assert "missed findings per 1000 is " in bad.sentence
    change = found(bad)["change of economic effect per day"]
    assert change["interval"]["high"] < 0
    assert found(bad)["change of missed findings per 1000"]["interval"]["low"] > 0


def test_real_readers_and_recorded_users(cluster: Cluster, service: Service, folder: Path) -> None:
    declare(cluster, service)
    first = business(namespace=service.namespace)
    rows = [line.split("\t") for line in Path("runs/business/answers.tsv").read_text().splitlines()]
    lines = ["case\treader\tlabel\tseconds"]
    for number, (case, truth, *_) in enumerate(rows[1:]):
        seen = "5" if truth == "3" and number % 2 else truth
        lines += [f"{case}\tada\t{truth}\t4", f"{case}\tben\t{truth}\t", f"{case}\tcem\t{seen}\t6"]
    (folder / "readers.tsv").write_text("\n".join(lines) + "\n")
    uses = [
        records.Prediction(
            id=f"{hour}-{user}",
            time=1.79e9 + 3600 * hour,
            service="digits",
            namespace="default",
            label="3",
            confidence=0.9,
            user=user,
        )
        for hour in range(48)
        for user in ("ann@example.org", "bob@example.org")[: 1 + (hour > 40)]
    ]
    with feedback.Writer("feedback") as writer:
        writer.predictions(uses)
    suite = changed(
        folder,
        lambda section: section.update(readers={"truth": "consensus", "table": "readers.tsv"}),
    )
    run = business(
        suite=suite,
        answers="runs/business/answers.tsv",
        feedback="feedback",
        out="runs/readers",
    )
    metrics = found(run)
    assert content(run)["data"]["counts"] == content(first)["data"]["counts"]
    assert metrics["sensitivity of ada"]["value"] > metrics["sensitivity of cem"]["value"]
    assert metrics["seconds of a reading, person alone"]["value"] == 5
    assert metrics["agreement of readers (Krippendorff's alpha)"]["value"] > 0.8
    assert metrics["unique users"]["value"] == 2
    assert metrics["requests per day"]["n"] == len(uses)
    everything = [path.read_text() for path in Path("runs/readers").glob("report.*")]
    everything.append(Path("runs/business.ipynb").read_text())
    assert everything and not any("example.org" in text for text in everything)


def test_two_answers_decide_nothing(folder: Path) -> None:
    Path("few.tsv").write_text(
        "case\ttruth\tlabel\tconfidence\trevision\tfailure\na\t3\t3\t1\t\t\nb\t8\t8\t1\t\t\n"
    )
    suite = changed(folder, lambda section: section.pop("readers"))
    run = business(suite=suite, answers="few.tsv")
    assert (run.verdict, run.code) == (Verdict.INCONCLUSIVE, 2)
    assert "rests on 2 observations, and 100 are needed" in run.sentence


def test_a_service_that_is_not_there_is_an_error_with_a_reason(cluster: Cluster) -> None:
    run = business(service="nobody")
    assert (run.verdict, run.code, run.report) == (None, 3, None)
    assert "nobody" in run.sentence

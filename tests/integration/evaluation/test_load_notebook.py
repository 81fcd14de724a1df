"""The load notebook, run for real on a service that keeps up, stalls, fails or is slow."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from calumma import running
from calumma.scoring.gates import Verdict

from .conftest import STABLE, Service, declare

EVALUATION = Path(__file__).parents[3] / "evaluation"

Cluster = Any  # a kserve.KServeClient, which has no types

LOAD: dict[str, Any] = {
    "pattern": [{"steps": {"rates": [20, 40, 20], "seconds": 1.5}}],
    "warm_up": [{"constant": {"rate": 20, "seconds": 1}}],
    "payloads": [{"name": "images", "dataset": "digits"}],
    "objective": {"latency_ms": 400, "quantile": 0.9, "failed": 0.05},
    "search": {
        **{"start": 20, "maximum": 40, "seconds": 1, "warm_up": 0.2, "settle": 0, "repeats": 2}
    },
    "tolerance": 0.5,  # other tests have these processors, too
    "gates": [
        {"metric": "failed requests", "at_most": 0.1, "minimum": 50},
        {"metric": "latency p50", "at_most": 400, "minimum": 50},
        {"metric": "highest rate under the objective", "at_least": 20, "minimum": 2},
    ],
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: reports go below it."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def load(service: Service, changes: dict[str, Any] | None = None, **given: Any) -> running.Run:
    suite = {"name": "digits", "service": "digits", "load": {**LOAD, **(changes or {})}}
    Path("suite.yaml").write_text(yaml.safe_dump(suite))
    given = {"suite": "suite.yaml", "namespace": service.namespace, **given}
    return running.execute(EVALUATION / "load.ipynb", Path("runs/load.ipynb"), given)


def content(run: running.Run) -> dict[str, Any]:
    assert run.report is not None, run.sentence
    return run.report


def found(run: running.Run) -> dict[str, dict[str, Any]]:
    """The metrics of a report, by name."""
    tables = content(run)["times"]["metrics"]
    return {metric["name"]: metric for table in tables for metric in table["metrics"]}


def test_a_service_that_keeps_up_passes_and_is_compared_with_its_last_run(
    cluster: Cluster, service: Service, folder: Path
) -> None:
    declare(cluster, service)
    first = load(service)
    assert (first.verdict, first.code) == (Verdict.PASS, 0), first.sentence
    metrics = found(first)
    offered = metrics["offered rate"]
    assert offered["value"] == pytest.approx(80 / 3, rel=0.4)
    assert offered["n"] == metrics["failed requests"]["n"] == metrics["sent on time"]["n"]
    assert metrics["latency p50"]["interval"]["low"] > 0
    assert "interval" not in metrics["latency p99.9"] and "interval" not in metrics["latency max"]
    assert metrics[f"latency p50 of {STABLE}"]["value"] == metrics["latency p50"]["value"]
    assert metrics["highest rate under the objective"]["value"] == 40
    assert metrics["Triton, queue"]["value"] is None, "nobody counted, which is not zero"
    lines = Path("runs/load/latency.hgrm").read_text().splitlines()
    assert lines[0].split() == ["Value", "Percentile", "TotalCount", "1/(1-Percentile)"]
    for figure in content(first)["figures"]:
        assert Path("runs/load", figure["file"]).stat().st_size > 1000
    shutil.copy("runs/load/report.json", "earlier.json")
    again = load(service, curve=False, baseline="earlier.json")
    changed = found(again)["change of latency p50"]
    assert abs(changed["value"]) < 300 and changed["interval"]["low"] < changed["value"]
    assert again.verdict is Verdict.INCONCLUSIVE, "the highest rate was not measured"
    another = load(
        service, {"pattern": [{"constant": {"rate": 5, "seconds": 1}}]}, baseline="earlier.json"
    )
    assert (another.verdict, another.code) == (None, 3)
    assert "was another load and is no comparison: pattern was" in another.sentence

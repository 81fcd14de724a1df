"""The load notebook, run for real on a service that keeps up, stalls, fails or is slow."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import prometheus_client
import pytest
import yaml

from calumma import running
from calumma.scoring.gates import Verdict

from .conftest import CANARY, STABLE, Metrics, Service, declare

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


@contextmanager
def counting(metrics: Metrics, service: Service) -> Iterator[None]:
    """Triton's and a transformer's counters, as a service would move them; each test its own.

    A request waits 2 ms in Triton's queue, computes for 3, and the transformer takes 4 before it.
    """
    names = ("namespace", "service", "component")
    increments = {
        ("nv_inference_request_success", "predictor"): 10,
        ("nv_inference_count", "predictor"): 10,
        ("nv_inference_exec_count", "predictor"): 5,
        ("nv_inference_queue_duration_us", "predictor"): 20_000,
        ("nv_inference_compute_infer_duration_us", "predictor"): 30_000,
        ("request_preprocess_seconds_sum", "transformer"): 0.04,
        ("request_preprocess_seconds_count", "transformer"): 10,
    }
    gauges = {
        name: prometheus_client.Gauge(name, "-", names, registry=metrics.registry)
        for name, _ in increments
    }
    done = threading.Event()

    def count() -> None:
        while not done.wait(0.2):
            for (name, component), by in increments.items():
                gauges[name].labels(service.namespace, "digits", component).inc(by)

    thread = threading.Thread(target=count)
    thread.start()
    yield
    done.set()
    thread.join()
    for gauge in gauges.values():
        metrics.registry.unregister(gauge)


def test_a_revision_that_fails_shows_and_the_server_says_where_the_time_goes(
    cluster: Cluster, service: Service, watching: str, metrics: Metrics
) -> None:
    service.weights = {STABLE: 70, CANARY: 30}
    service.failing = {CANARY}
    declare(cluster, service)
    pattern = [{"constant": {"rate": 30, "seconds": 6}}]
    with counting(metrics, service):
        run = load(service, {"pattern": pattern}, curve=False, prometheus=watching)
    assert (run.verdict, run.code) == (Verdict.FAIL, 1)
    assert run.sentence.startswith("fail: failed requests is 0.")
    rows = found(run)
    failed = rows["failed requests"]
    assert failed["value"] == pytest.approx(0.3, abs=0.15)
    assert rows["failed: status 503"]["count"] == failed["count"]
    assert rows["latency p50"]["n"] == failed["n"] - failed["count"]
    assert rows["Triton, queue"]["value"] == pytest.approx(2)
    assert rows["Triton, compute"]["value"] == pytest.approx(3)
    assert rows["Triton, input"]["value"] is None
    assert rows["transformer, before"]["value"] == pytest.approx(4)
    assert rows["batch size"]["value"] == pytest.approx(2)


def test_an_address_needs_no_cluster_and_one_that_is_dead_is_an_error(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    address = f"http://127.0.0.1:{service.port}"
    here = load(service, {"gates": LOAD["gates"][:2]}, url=address, host="a.b", curve=False)
    assert (here.verdict, here.code) == (Verdict.PASS, 0), here.sentence
    assert content(here)["subject"]["url"] == address
    dead = load(service, url="http://127.0.0.1:1")
    assert (dead.verdict, dead.code, dead.report) == (None, 3, None)
    assert "is not loaded, because its first 5 requests failed: refused" in dead.sentence

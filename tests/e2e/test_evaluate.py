"""``calumma evaluate`` as a person uses it: two versions, side by side, and in Prometheus."""

from __future__ import annotations

import json
import time
from pathlib import Path

import httpx

from support.cluster import Cluster


def test_two_versions_are_evaluated_compared_and_told_to_prometheus(
    digits_service: Cluster, tmp_path: Path
) -> None:
    cluster = digits_service
    into = ("--into", str(tmp_path))
    quick = ("evaluate", "digits", "--only", "offline", "--set", "offline.rate=150", *into)
    first = cluster.calumma(*quick)
    assert first.code == 0, first.error
    cluster.canary("v2", None)
    second = cluster.calumma(*quick, "--json")
    assert second.code == 0, second.error
    run = json.loads(second.output)
    assert run["sections"][0]["subject"]["judged"] == "digits-predictor-00002"
    compared = cluster.calumma("evaluate", "compare", "previous", "latest", "--json", *into)
    found = json.loads(compared.output)
    assert found["comparable"]
    rows = {row["name"]: row for row in found["sections"]["offline"]["metrics"]}
    assert 0 < rows["accuracy"]["change"]["low"] < rows["accuracy"]["change"]["value"] < 0.2
    query = 'calumma_evaluation_metric{metric="accuracy",service="digits",section="offline"}'
    url = f"http://127.0.0.1:{cluster.settings()['prometheus_port']}/api/v1/query"

    def told() -> bool:
        answer = httpx.get(url, params={"query": query}, timeout=5).json()["data"]["result"]
        revisions = {row["metric"]["revision"]: float(row["value"][1]) for row in answer}
        return revisions == {"digits-predictor-00002": rows["accuracy"]["second"]["value"]}

    cluster.until("the accuracy in Prometheus", told)


def test_the_whole_suite_runs_where_there_is_no_canary(
    digits_service: Cluster, tmp_path: Path
) -> None:
    """``online`` needs a canary, and only who names it wants to hear so."""
    cluster = digits_service
    quick = ("offline.rate=150", "offline.explain=1", "drift.rate=150", "drift.rehearsals=40")
    settings = [word for each in (*quick, "business.rate=150") for word in ("--set", each)]
    done = cluster.calumma("evaluate", "digits", *settings, "--json", "--into", str(tmp_path))
    run = json.loads(done.output)
    found = {each["name"]: (each["state"], each["verdict"]) for each in run["sections"]}
    expected = {name: ("ended", "pass") for name in ("offline", "load", "drift", "business")}
    assert found == {**expected, "online": ("skipped", None)}, done.error
    assert (done.code, run["verdict"]) == (0, "pass")
    (folder,) = (tmp_path / "digits").iterdir()
    for name in expected:
        assert (folder / name / "report.json").is_file()
        assert list((folder / name / "figures").glob("*.png"))
    asked = cluster.calumma("evaluate", "digits", "--only", "online", "--into", str(tmp_path))
    assert asked.code == 3
    assert "digits in namespace default has no canary" in asked.error


def test_a_service_that_is_not_there_is_a_failed_run_in_seconds(
    cluster: Cluster, tmp_path: Path
) -> None:
    began = time.monotonic()
    words = ("--service", "nobody", "--only", "offline,load", "--into", str(tmp_path))
    done = cluster.calumma("evaluate", "digits", *words)
    assert done.code == 3
    assert "nobody in namespace default cannot be evaluated: it does not exist" in done.error
    assert "load: error: not run, because offline found no service" in done.error
    (notebook,) = tmp_path.glob("digits/*/offline.html")
    assert "How this run ended" in notebook.read_text()
    assert time.monotonic() - began < 60  # 7 s on an idle machine

"""Past runs, read from folders in whatever state, and removed without harm."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from calumma import errors
from calumma.evaluation import figures, history, pages, publishing, record
from calumma.scoring import metrics

from .conftest import Keep


def test_runs_are_there_by_time_and_what_is_no_run_is_named(keep: Keep) -> None:
    keep("20260102-000000-000")
    keep("20260101-000000-000", verdict="fail")
    runs = keep.runs
    (runs / "s/half").mkdir()
    (runs / "s/torn").mkdir()
    (runs / "s/torn/run.json").write_text('{"format": 1, "id": "torn"')
    (runs / "s/moved").mkdir()
    text = (runs / "s/20260101-000000-000/run.json").read_text()
    (runs / "s/moved/run.json").write_text(text)
    (runs / "s/later").mkdir()
    (runs / "s/later/run.json").write_text(text.replace('"format":1', '"format":2'))
    (runs / "s/.removed-x").mkdir()
    (runs / "s/link").symlink_to(runs / "s/20260101-000000-000")
    (runs / "offline.ipynb").write_text("{}")
    found = history.read(runs)
    assert [each.run.id for each in found.runs] == ["20260101-000000-000", "20260102-000000-000"]
    assert [path.name for path in found.foreign] == ["half", "later", "moved", "torn"]


def test_a_suite_without_runs_is_a_sentence(keep: Keep) -> None:
    keep("20260101-000000-000")
    with pytest.raises(errors.EvaluationError, match=r"no runs of t in .*; there are runs of s"):
        history.read(keep.runs, "t")
    assert history.read(keep.runs / "nowhere").runs == ()


@pytest.mark.parametrize(
    ("text", "id"),
    [
        ("20260101-000000-000", "20260101-000000-000"),
        ("20260102", "20260102-000000-000"),
        ("s/20260102", "20260102-000000-000"),
        ("latest", "20260103-000000-000"),
        ("s/latest", "20260102-000000-000"),
        ("previous", "20260102-000000-000"),
    ],
)
def test_a_run_is_found_by_what_people_type(keep: Keep, text: str, id: str) -> None:
    keep("20260101-000000-000")
    keep("20260102-000000-000")
    keep("20260103-000000-000", suite="t")
    assert history.find(keep.runs, text).run.id == id
    folder = keep.runs / "s/20260101-000000-000"
    assert history.find(keep.runs, str(folder)).folder == folder


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("2026", "may be any of 2 runs: s/20260101-000000-000, s/20260102"),
        ("1999", "no run in .* is '1999'; the latest are 20260101-000000-000, 2026"),
        ("../s", "no runs of .. in"),
        ("", "no run in"),
    ],
)
def test_what_is_no_run_or_several_is_a_sentence(keep: Keep, text: str, said: str) -> None:
    keep("20260101-000000-000")
    keep("20260102-000000-000")
    with pytest.raises(errors.EvaluationError, match=said):
        history.find(keep.runs, text)


def test_the_oldest_go_but_never_what_passed_last_or_runs(keep: Keep) -> None:
    keep("20260101-000000-000", verdict="pass", service="other")
    keep("20260102-000000-000", verdict="pass")
    keep("20260103-000000-000", verdict="pass")
    keep("20260104-000000-000", verdict="fail")
    keep("20260105-000000-000", state="running")
    keep("20260106-000000-000", verdict="fail")
    suite = keep.runs / "s"
    (suite / "foreign").mkdir()
    (suite / ".removed-x").mkdir()
    with record.held(suite / "20260105-000000-000"):
        removed = history.prune(suite, 1)
        kept = sorted(path.name for path in suite.iterdir())
    assert [path.name for path in removed] == [
        "20260102-000000-000",
        "20260104-000000-000",
        "20260106-000000-000",
    ]
    assert kept == [
        "20260101-000000-000",
        "20260103-000000-000",
        "20260105-000000-000",
        "foreign",
    ]
    assert history.prune(suite, 3) == []


def test_a_run_whose_lock_nobody_holds_was_killed(keep: Keep) -> None:
    folder = keep("20260101-000000-000", state="running")
    with record.held(folder):
        found = record.read(folder)
        assert found is not None and found.state == "running"
    found = record.read(folder)
    assert found is not None and (found.state, found.verdict) == ("killed", "error")
    assert "was killed" in found.sentence


def test_a_thousand_runs_are_read_at_once(keep: Keep) -> None:
    first = keep("20260101-000000-000", document="x" * 3000)
    text = (first / "run.json").read_text()
    for number in range(1, 1000):
        id = f"20260101-{number:06}-000"
        (keep.runs / "s" / id).mkdir()
        (keep.runs / "s" / id / "run.json").write_text(text.replace(first.name, id))
    began = time.monotonic()
    found = history.read(keep.runs).runs
    text = pages.history_table(found, [])
    assert len(found) == 1000 and text.count("\n") == 1000
    assert time.monotonic() - began < 5  # 0.3 s on an idle machine


def test_the_table_shows_verdicts_and_what_gates_looked_at(keep: Keep) -> None:
    keep("20260101-000000-000", right=95)
    keep("20260102-000000-000", verdict="fail", right=50)
    past = history.read(keep.runs).runs
    lines = pages.history_table(past, []).splitlines()
    assert lines[0].split() == [
        *("RUN", "SUITE", "SERVICE", "REVISION", "VERDICT", "SECTIONS", "METRICS")
    ]
    assert "digits-2  pass     offline=pass  accuracy 0.950 (0.888 to 0.978)" in lines[1]
    assert "offline=fail  accuracy 0.500 (0.404 to 0.596)" in lines[2]
    assert "latency" not in pages.history_table(past, ["lat*"]).splitlines()[1]


def test_metrics_over_time_are_drawn_the_same_each_time(keep: Keep) -> None:
    keep("20260101-000000-000", right=95)
    keep("20260102-000000-000", verdict="fail", right=50, revision="digits-3")
    past = history.read(keep.runs).runs
    png = pages.over_time(past, [])
    assert png.startswith(b"\x89PNG") and png == pages.over_time(past, [])
    assert pages.over_time(past, ["latency*"]) != png
    with pytest.raises(errors.EvaluationError, match="none of the 2 runs has a metric speed"):
        pages.over_time(past, ["speed"])
    assert figures.over_time([]).startswith(b"\x89PNG")


def test_two_tables_with_the_same_metric_give_it_once(keep: Keep) -> None:
    report = keep.report(right=95)
    report["metrics"].append(report["metrics"][0])
    assert list(record.metrics_of(report)) == ["accuracy", "plain", "latency p50"]
    assert record.metrics_of({}) == {}


@pytest.mark.parametrize(
    ("verdicts", "worst"),
    [
        (["pass", "inconclusive", "fail", "error"], "error"),
        (["pass", "inconclusive", "fail"], "fail"),
        (["pass", "inconclusive"], "inconclusive"),
        (["pass"], "pass"),
        ([], None),
    ],
)
def test_the_worst_verdict_counts(verdicts: list[Any], worst: str | None) -> None:
    assert record.worst(verdicts) == worst


def test_what_prometheus_is_told(keep: Keep, tmp_path: Path) -> None:
    folder = keep("20260101-000000-000", right=95)
    run = record.read(folder)
    assert run is not None
    home = tmp_path / "home"
    assert list(publishing.publish(run, folder, home, None)) == []
    (path,) = (home / "metrics").iterdir()
    assert path.name == "evaluation+s+digits+default+offline.prom"
    text = path.read_text()
    labels = (
        'metric="accuracy",namespace="default",revision="digits-2",section="offline",'
        'service="digits",suite="s"'
    )
    assert f"calumma_evaluation_metric{{{labels}}} 0.95" in text
    assert f"calumma_evaluation_metric_n{{{labels}}} 100.0" in text
    assert f"calumma_evaluation_metric_low{{{labels}}} 0.88" in text
    assert 'calumma_evaluation_metric_low{metric="plain"' not in text
    assert 'suite="s",verdict="pass"} 1.0' in text and 'suite="s",verdict="fail"} 0.0' in text
    assert "calumma_evaluation_time_seconds{" in text and "duration_seconds{" in text
    # A run without a report takes the old numbers away.
    (folder / "offline/report.json").unlink()
    list(publishing.publish(run, folder, home, None))
    assert "calumma_evaluation_metric{" not in path.read_text()


def test_a_home_that_cannot_be_written_is_a_complaint_and_no_failure(
    keep: Keep, tmp_path: Path
) -> None:
    folder = keep("20260101-000000-000", right=95)
    run = record.read(folder)
    assert run is not None
    (tmp_path / "file").write_text("")
    (complaint,) = publishing.publish(run, folder, tmp_path / "file", None)
    assert "the metrics of offline cannot be written into" in complaint
    (complaint,) = publishing.publish(run, folder, None, "http://127.0.0.1:1")
    assert "the Pushgateway http://127.0.0.1:1 did not take offline" in complaint


def test_a_report_that_is_junk_has_no_metrics(keep: Keep) -> None:
    folder = keep("20260101-000000-000")
    for junk in ("{", "[]", json.dumps({"metrics": 3})):
        (folder / "offline/report.json").write_text(junk)
        (past,) = history.read(keep.runs).runs
        assert metrics_of(past) == {}


def metrics_of(past: history.Past) -> dict[str, metrics.Metric]:
    return record.metrics_of(history.reports(*past)["offline"])

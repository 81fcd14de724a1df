"""What Prometheus is told of schedules."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from prometheus_client import parser

from calumma.schedule import decision, metrics
from calumma.schedule.state import State
from support.schedules import at, name, schedule


def samples(text: str) -> dict[str, float]:
    found = {}
    for family in parser.text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(sample.labels.values())
            found[f"{sample.name.removeprefix('calumma_schedule_')} {labels}"] = sample.value
    return found


def after(*codes: int | None) -> State:
    """The state of an hourly schedule after runs at 01:00, 02:00, ... with these exit statuses."""
    asked = schedule()
    state = decision.first(asked, at("00:30"))
    for hour, code in enumerate(codes, 1):
        now = at(f"0{hour}:00")
        state = decision.decide(asked, asked.times, state, now, {}).state
        state = decision.ended(asked, state, name(f"0{hour}"), code, now + 60)
    return state


def test_a_schedule_that_has_not_run_yet() -> None:
    found = samples(metrics.exposition([(schedule(), after())]))
    assert "last_success_timestamp_seconds hourly" not in found
    # due at 01:00, and a run may take four hours
    assert found["success_expected_timestamp_seconds hourly"] == at("05:00")
    assert found["consecutive_failures hourly"] == found["active_runs hourly"] == 0


def test_what_has_happened() -> None:
    found = samples(metrics.exposition([(schedule(), after(0, 1, 3))]))
    assert found["last_success_timestamp_seconds hourly"] == at("01:01")
    assert found["success_expected_timestamp_seconds hourly"] == at("06:00")
    assert found["consecutive_failures hourly"] == 2
    assert found["failing hourly"] == 1
    assert found["last_outcome hourly,error"] == 1
    assert "last_outcome hourly,fail" not in found
    assert [found[f"runs_total hourly,{each}"] for each in ("pass", "fail", "error")] == [1, 1, 1]


def test_patience_is_what_the_document_says() -> None:
    patient = schedule(
        alerts={"afterFailures": 3, "webhook": {"environment": "URL"}},
        startingDeadlineSeconds=600,
        activeDeadlineSeconds=1200,
    )
    assert metrics.expected(patient, patient.times, after(0)) == at("04:30")
    assert samples(metrics.exposition([(patient, after(1, 1))]))["failing hourly"] == 0
    assert samples(metrics.exposition([(patient, after(1, 1, 3))]))["failing hourly"] == 1
    paused = schedule(suspend=True)
    assert metrics.expected(paused, paused.times, after(0)) is None
    found = samples(metrics.exposition([(paused, after(0))]))
    assert found["suspended hourly"] == 1


def test_the_text_is_what_prometheus_reads() -> None:
    other = schedule(name="other")
    text = metrics.exposition([(schedule(), after(0, 1, None)), (other, after())])
    assert text.count("# TYPE calumma_schedule_consecutive_failures gauge") == 1
    assert metrics.exposition([]) == ""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed")
    done = subprocess.run(
        [promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")

"""What Prometheus is told of rollouts."""

from __future__ import annotations

import math
import subprocess

import pytest
from prometheus_client import parser

from calumma import errors
from calumma.monitoring import prometheus
from calumma.rollout import metrics
from calumma.rollout.state import Phase, Verdict
from support.rollout_states import BEGAN, policy, reading, state


def samples(text: str) -> dict[str, float]:
    """The values by the name of the metric and its labels' values, without service and prefix."""
    found = {}
    for family in parser.text_string_to_metric_families(text):
        for sample in family.samples:
            assert (sample.labels.pop("namespace"), sample.labels.pop("service")) == (
                "team",
                "digits",
            )
            name = sample.name.removeprefix("calumma_rollout_")
            found[" ".join((name, *sample.labels.values()))] = sample.value
    return found


def test_a_rollout_under_way() -> None:
    found = samples(metrics.exposition([state()]))
    assert found == {
        "info digits-20270115T080000Z digits-predictor-00001 progressive digits-predictor-00002": 1,
        "phase Progressing": 1,
        "step": 1,
        "steps": 2,
        "weight_percent": 10,
        "began_timestamp_seconds": BEGAN,
        "look_expected_timestamp_seconds": BEGAN + 60 + 100,
        "traffic_expected_timestamp_seconds": BEGAN + 55 + 300,
        "metric_estimate errors ": 0.002,
        "metric_low errors ": -0.01,
        "metric_high errors ": 0.03,
        "metric_margin errors ": 0.01,
        "metric_observations errors  canary": 120,
        "metric_observations errors  stable": 900,
        "metric_value errors  canary": 0.004,
        "metric_value errors  stable": 0.002,
        "metric_verdict errors unclear": 1,
    }


def test_what_is_not_known_is_missing_and_not_zero() -> None:
    young = reading(estimate=None, low=-math.inf, high=math.inf, n=0, value=None)
    found = samples(metrics.exposition([state(readings=(young,), stepped=None, busy=None)]))
    told = {name.split()[0] for name in found if name.startswith("metric_")}
    assert told == {"metric_margin", "metric_observations", "metric_value", "metric_verdict"}
    assert "metric_value errors  canary" not in found
    assert "traffic_expected_timestamp_seconds" not in found


def test_one_that_has_ended_expects_nothing() -> None:
    ended = state(
        phase=Phase.ROLLED_BACK,
        ended=BEGAN + 90,
        readings=(reading(verdict=Verdict.WORSE),),
        weight=0,
    )
    found = samples(metrics.exposition([ended]))
    assert found["ended_timestamp_seconds"] == BEGAN + 90
    assert found["phase RolledBack"] == found["metric_verdict errors worse"] == 1
    assert not [name for name in found if "expected" in name or "Progressing" in name]


def test_traffic_is_expected_where_there_is_some_to_come() -> None:
    pairs = policy(sources={"pairs": {"dataset": "digits"}})
    assert metrics.traffic_expected(state(weight=0)) is None
    assert metrics.traffic_expected(state(weight=0, policy=pairs)) == BEGAN + 355
    assert metrics.traffic_expected(state(busy=None)) == BEGAN + 20 + 300
    assert metrics.traffic_expected(state(phase=Phase.PAUSED)) is None
    # a share that has just changed does not count as silence
    assert metrics.traffic_expected(state(stepped=BEGAN + 58)) == BEGAN + 358


def test_a_look_is_expected_until_the_end() -> None:
    assert metrics.look_expected(state(phase=Phase.PAUSED)) == BEGAN + 160
    assert metrics.look_expected(state(phase=Phase.PENDING, looked=None)) == BEGAN + 100
    assert metrics.look_expected(state(phase=Phase.PROMOTED, ended=BEGAN + 1)) is None


def test_the_text_is_what_prometheus_reads() -> None:
    troubled = state(
        policy=policy(
            service="faces", metrics=[{"kind": "errors", "name": 'a "b"\\', "margin": 0.1}]
        ),
        readings=(reading(name='a "b"\\', unit="ms"),),
        troubles={"prometheus": "it is away", "feedback": "no labels"},
    )
    text = metrics.exposition([state(), troubled])
    assert text.count("# TYPE calumma_rollout_phase gauge") == 1
    assert text.count("calumma_rollout_trouble{") == 2
    assert 'metric="a \\"b\\"\\\\"' in text
    assert metrics.exposition([]) == ""
    assert {family.name for family in metrics.FAMILIES} >= {
        line.split()[2].removeprefix("calumma_rollout_")
        for line in text.splitlines()
        if line.startswith("# TYPE")
    }
    try:
        program = prometheus.find("promtool")
    except errors.ProgramMissing as error:
        pytest.skip(str(error))
    done = subprocess.run(
        [program, "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")

"""Windows of load as metrics: whose latency counts, how sure it is, and when nothing is said."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from calumma import errors, inference
from calumma.load import comparison, histogram, measures
from calumma.load.generator import NOT_SENT, Outcome, Reply
from calumma.scoring import cases, gates, metrics
from calumma.statistics import intervals

PASSED = gates.Decision(gates.Verdict.PASS, ())


def outcome(
    intended: float,
    latency: float = 0.01,
    *,
    failure: str | None = None,
    behind: float = 0.0,
    waited: float = 0.0,
    revision: str = "r1",
    payload: str = "images",
) -> Outcome:
    case = cases.Case("1", b"", None, {"payload": payload})
    broken = inference.Failure(failure, "-") if failure else None
    reply: Reply | None = inference.Reply(
        200, latency, inference.Revisions(revision), None if broken else (), broken
    )
    if failure == NOT_SENT:
        reply = None
    due = intended + behind
    return Outcome(case, intended, due, due + waited, intended + latency, reply)


def test_latencies_are_of_answers_with_intervals_where_they_can_be() -> None:
    chance = np.random.default_rng(0)
    found = [outcome(number / 100, chance.exponential(0.01)) for number in range(1000)]
    found += [outcome(10.0, 99.0, failure="timeout")]
    rows = {each.name: each for each in measures.latencies(found, seed=1)}
    assert list(rows) == [
        *("latency p50", "latency p90", "latency p95", "latency p99", "latency p99.9"),
        "latency max",
    ]
    median = rows["latency p50"]
    assert median.n == 1000 and median.unit == "ms" and median.interval is not None
    assert median.interval.low < 1000 * 0.01 * np.log(2) < median.interval.high
    assert rows["latency p99"].interval is not None
    assert rows["latency p99.9"].interval is None, "of 1000 none need be beyond it"
    assert rows["latency max"].value is not None and rows["latency max"].value < 99_000
    assert measures.latencies(found, seed=1) == measures.latencies(found, seed=1)
    assert all(each.value is None for each in measures.latencies([], seed=1))


def test_so_many_values_are_needed_to_bound_a_quantile() -> None:
    assert measures.least(0.99) == 368 and 0.99**368 < 0.025 < 0.99**367
    assert measures.least(0.5) == 6


def test_windows_rates_and_groups() -> None:
    found = [outcome(number / 10, 0.5, revision=f"r{number % 2}") for number in range(20)]
    window = measures.within(found, 0.5, 1.5)
    assert [each.intended for each in window] == [number / 10 for number in range(5, 15)]
    assert measures.offered(found, 2.0).value == 10
    assert measures.achieved(found, 2.0, 2.0).value == 7.5, "the last five are answered too late"
    assert {name: len(each) for name, each in measures.of_revision(found).items()} == {
        "r0": 10,
        "r1": 10,
    }
    broken = [outcome(3.0, payload="junk", failure="status 500")]
    assert measures.of_payload([*found, *broken], {"junk"}) == broken


def test_failures_are_counted_by_class() -> None:
    kinds = ["timeout", "status 503", "status 503", NOT_SENT, None, None]
    found = [outcome(0.0, failure=kind) for kind in kinds]
    assert measures.failures(found).count == 4
    assert [(each.name, each.count) for each in measures.classes(found)] == [
        ("failed: status 503", 2),
        ("failed: not sent", 1),
        ("failed: timeout", 1),
    ]
    assert measures.waited(found, 0.01).count == 1


def test_a_generator_that_fell_behind_makes_every_verdict_inconclusive() -> None:
    late = measures.on_time([outcome(0.0, behind=0.02)] * 2 + [outcome(0.0)] * 98, 0.01)
    assert late.value == 0.98
    for verdict in gates.Verdict:
        found = measures.judged(gates.Decision(verdict, ()), late, None)
        assert found.verdict is gates.Verdict.INCONCLUSIVE
        assert "the generator fell behind (98.0% sent on time, 99% are needed)" in found.sentence
    waiting = measures.on_time([outcome(0.0, waited=5.0)] * 100, 0.01)
    assert measures.judged(PASSED, waiting, None) is PASSED, "the service's fault, not its own"
    nothing = measures.judged(PASSED, measures.on_time([], 0.01), None)
    assert "no request was sent" in nothing.sentence


def test_a_load_that_had_to_be_stopped_fails() -> None:
    punctual = measures.on_time([outcome(0.0)] * 100, 0.01)
    found = measures.judged(PASSED, punctual, "50 of 50 requests failed")
    assert found.verdict is gates.Verdict.FAIL and "50 of 50 requests failed" in found.sentence


def test_a_histogram_keeps_three_digits_and_its_text_has_the_known_form() -> None:
    latencies = np.random.default_rng(0).lognormal(-4, 1, 5000)
    recorded = histogram.recorded(latencies)
    for quantile in (0.5, 0.99, 0.999):
        value = recorded.get_value_at_percentile(100 * quantile) / 1e6
        assert value == pytest.approx(
            np.quantile(latencies, quantile, method="inverted_cdf"), rel=2e-3
        )
    points = histogram.curve(recorded)
    assert points[-1] == pytest.approx((1.0, latencies.max()), rel=2e-3)
    assert np.all(np.diff([latency for _, latency in points]) >= 0)
    text = histogram.text(recorded).splitlines()
    assert text[0].split() == ["Value", "Percentile", "TotalCount", "1/(1-Percentile)"]
    assert any(line.startswith("#[Max") and "5000" in line for line in text)
    assert histogram.curve(histogram.recorded([])) == []
    extreme = histogram.recorded([-1.0, 1e9])
    assert (extreme.get_min_value(), extreme.get_total_count()) == (1, 2)


def test_a_change_holds_both_runs_uncertainty_and_skips_what_has_none() -> None:
    now = [
        metrics.Metric("latency p99", 110.0, 1000, intervals.Interval(100, 130), "ms"),
        metrics.Metric("latency max", 400.0, 1000, None, "ms"),
        metrics.Metric("failed requests", 0.0, 1000, intervals.Interval(0, 0.004)),
    ]
    then = {
        "times": {
            "metrics": [
                {
                    "metrics": [
                        {
                            "name": "latency p99",
                            "value": 100.0,
                            "n": 500,
                            "interval": {"level": 0.95, "low": 97.0, "high": 107.5},
                        },
                        {"name": "latency max", "value": 300.0, "n": 500},
                    ]
                }
            ]
        }
    }
    (change,) = comparison.changes(now, then)
    assert (change.name, change.value, change.n) == ("change of latency p99", 10.0, 500)
    assert change.interval == pytest.approx((10 - 12.5, 10 + np.hypot(20, 3)))


def test_an_earlier_report_of_another_load_is_no_baseline(tmp_path: Path) -> None:
    ours = {"pattern": [{"constant": {"rate": 5.0, "seconds": 1.0}}], "scale": 1.0, "seed": 3}
    report = {"parameters": {**ours, "seed": 4}, "times": {"metrics": []}}
    (tmp_path / "report.json").write_text(json.dumps(report))
    assert comparison.read(tmp_path, ours) == comparison.read(tmp_path / "report.json", ours)
    with pytest.raises(errors.EvaluationError, match=r"no comparison: scale was 1.0 and is 2.0"):
        comparison.read(tmp_path, {**ours, "scale": 2.0})
    for text in ("{", "[]", '{"parameters": {}}'):
        (tmp_path / "bad.json").write_text(text)
        with pytest.raises(errors.EvaluationError, match=r"bad\.json is not a readable report"):
            comparison.read(tmp_path / "bad.json", ours)

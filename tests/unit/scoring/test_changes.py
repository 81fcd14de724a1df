"""Changes: in pairs against a revision, unpaired against an earlier report of the same data."""

from __future__ import annotations

import dataclasses
import json

import pytest

from calumma import errors
from calumma.scoring import cases, changes, metrics, sampling
from calumma.statistics import intervals, pairs

from .conftest import Make
from .test_sampling import PLAN, placed


def both(
    make: Make, *counts: int, origin: str = "random"
) -> tuple[list[cases.Answer], dict[str, cases.Answer]]:
    """Answers of a candidate and a baseline: both right, the first only, the second only, none."""
    ours, theirs = [], {}
    rights = ((True, True), (True, False), (False, True), (False, False))
    for (first, second), n in zip(rights, counts, strict=True):
        for _ in range(n):
            answer = placed(make("1", "1" if first else "2"), origin)
            ours.append(answer)
            theirs[answer.case.id] = dataclasses.replace(answer, label="1" if second else "2")
    return ours, theirs


def test_a_change_is_of_pairs(make: Make) -> None:
    ours, theirs = both(make, 80, 3, 11, 6)
    change, p = changes.share("accuracy", sampling.of(ours, sampling.Plan()), theirs)
    table = pairs.Table(80, 3, 11, 6)
    assert (change.name, change.n) == ("change of accuracy", 100)
    assert change.value == pytest.approx(-0.08)
    assert change.interval == pytest.approx(pairs.newcombe(table))
    assert p.name == "McNemar's p, change of accuracy"
    assert (p.value, p.n) == (pairs.mcnemar(table), 14)


def test_strata_are_weighted_and_probes_are_kept_apart(make: Make) -> None:
    random, one = both(make, 80, 0, 10, 10)
    hard, other = both(make, 10, 20, 0, 10, origin="low confidence")
    probe, third = both(make, 0, 7, 0, 0, origin="probe x")
    sample = sampling.of(random + hard + probe, PLAN)
    theirs = one | other | third
    change, _ = changes.share("accuracy", sample, theirs)
    assert change.value == pytest.approx(0.9 * -0.1 + 0.1 * 0.5)
    assert change.n == 140

    def probes(answer: cases.Answer) -> bool:
        return answer.case.metadata["origin"] == "probe x"

    assert changes.share("x", sample, theirs, probes)[0].value is None
    picked, _ = changes.share("x", sample, theirs, probes, picked=True)
    assert (picked.value, picked.n) == (1, 7)


def test_only_what_both_answered_is_compared(make: Make) -> None:
    ours, theirs = both(make, 5, 0, 0, 0)
    extra = make("1", "1")
    found, by_id = changes.pairs([*ours, extra, ours[0]], theirs.values())
    assert found == ours and by_id == theirs


def earlier(*measured: metrics.Metric, sha256: str = "a" * 64) -> dict[str, object]:
    entries = [
        {
            "name": each.name,
            "value": each.value,
            "n": each.n,
            **({"interval": each.interval._asdict()} if each.interval else {}),
        }
        for each in measured
    ]
    found: dict[str, object] = json.loads(
        json.dumps({"data": {"sha256": sha256}, "metrics": [{"metrics": entries}]})
    )
    return found


def test_an_earlier_report_is_compared_unpaired() -> None:
    now = [metrics.proportion("accuracy", 56, 70), metrics.Metric("new", 1.0, 5, None)]
    before = [metrics.proportion("accuracy", 48, 80), metrics.Metric("empty", None, 0, None)]
    (change,) = changes.since(now, earlier(*before), sha256="a" * 64)
    assert (change.name, change.n) == ("change of accuracy", 70)
    assert change.value == pytest.approx(0.8 - 0.6)
    assert change.interval == pytest.approx(intervals.newcombe(56, 70, 48, 80))
    (nothing,) = changes.since(
        [metrics.Metric("empty", 0.5, 5, None)], earlier(*before), sha256="a" * 64
    )
    assert (nothing.value, nothing.interval) == (None, None)


def test_a_report_about_other_data_is_refused() -> None:
    with pytest.raises(errors.EvaluationError, match=r"about other data .SHA-256 bbbb"):
        changes.since([], earlier(sha256="b" * 64), sha256="a" * 64)

"""Two runs side by side: changes with intervals, and what cannot be compared."""

from __future__ import annotations

import json
from typing import Any

import pytest

from calumma.evaluation import comparison, figures, history, pages
from calumma.statistics import intervals

from .conftest import Keep

FIRST, SECOND = "20260101-000000-000", "20260102-000000-000"


def compared(keep: Keep, **change: Any) -> comparison.Comparison:
    keep(FIRST, right=80)
    keep(SECOND, **{"right": 95, **change})
    return comparison.compare(*(history.find(keep.runs, each) for each in (FIRST, SECOND)))


def test_proportions_have_newcombes_interval_and_others_none(keep: Keep) -> None:
    found = compared(keep)
    assert found.is_sound and found.remarks == ()
    (section,) = found.sections
    rows = {row.name: row for row in section.rows}
    assert list(rows) == ["accuracy", "plain", "latency p50"]
    accuracy = rows["accuracy"].change
    assert accuracy is not None and accuracy.value == pytest.approx(0.15)
    assert accuracy.interval == intervals.newcombe(95, 100, 80, 100)
    assert rows["accuracy"].gates == ("inconclusive", "pass")
    plain = rows["plain"].change
    assert plain is not None and plain.value == pytest.approx(1.5) and plain.interval is None
    lines = pages.compared(found).splitlines()
    assert "offline: pass -> pass" in lines
    (line,) = [line for line in lines if line.startswith("accuracy")]
    assert "0.800 (0.711 to 0.867)  100  0.950 (0.888 to 0.978)  100  +0.150 (+0.059 to" in line
    assert line.endswith("inconclusive -> pass")
    assert figures.compared(found).startswith(b"\x89PNG")
    assert figures.compared(found) == figures.compared(found)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"data": {"name": "d", "sha256": "cd" * 32}},
            "the data differ: d (abababababab) against d (cdcdcdcdcdcd)",
        ),
        ({"parameters": {"seed": 1, "rate": 1.0}}, "the seeds differ: 0 against 1"),
    ],
)
def test_on_other_data_or_seeds_nothing_is_compared_and_that_is_said_loudly(
    keep: Keep, change: dict[str, Any], said: str
) -> None:
    found = compared(keep, **change)
    assert not found.is_sound
    assert all(row.change is None for row in found.sections[0].rows)
    assert f"NOT COMPARABLE: {said}" in pages.compared(found)
    assert json.loads(pages.as_json(found))["comparable"] is False
    assert figures.compared(found).startswith(b"\x89PNG")


def test_what_else_differs_is_noted(keep: Keep) -> None:
    change = {
        "parameters": {"seed": 0, "rate": {"per": 2.0}},
        "service": "other",
        "document": "longer text",
    }
    text = pages.compared(compared(keep, **change))
    assert "NOT COMPARABLE" not in text
    assert "note: rate was 1.0 and then None\nnote: rate.per was None and then 2.0" in text
    assert "note: the services are digits in default and other in default" in text
    assert "note: the suite's file was changed between the runs" in text


def test_a_metric_that_one_run_lacks_is_shown_without_a_change(keep: Keep) -> None:
    (row, *_) = compared(keep, metrics=[]).sections[0].rows
    assert row.name == "accuracy" and row.second is None and row.change is None


def test_a_section_without_a_report_is_no_comparison(keep: Keep) -> None:
    keep(FIRST)
    (keep(SECOND) / "offline/report.json").unlink()
    runs = [history.find(keep.runs, each) for each in (FIRST, SECOND)]
    text = pages.compared(comparison.compare(*runs))
    assert "NOT COMPARABLE: offline of one run left no report: pass: because" in text


def test_runs_without_a_common_section(keep: Keep) -> None:
    keep(FIRST)
    folder = keep(SECOND)
    record = folder / "run.json"
    record.write_text(record.read_text().replace('"offline"', '"drift"'))
    runs = [history.find(keep.runs, each) for each in (FIRST, SECOND)]
    found = comparison.compare(*runs)
    assert not found.is_sound and "NOT COMPARABLE: the runs have no" in pages.compared(found)
    assert found.remarks == (
        f"only {FIRST} has the section offline",
        f"only {SECOND} has the section drift",
    )
    assert figures.compared(found).startswith(b"\x89PNG")

"""What people are shown of runs: the history, a comparison, and where the pages are."""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from calumma import errors, evidence, running
from calumma.evaluation import comparison, figures, history, overview, record, terminal
from calumma.scoring import metrics
from calumma.statistics import intervals

_MOST_METRICS = 3
_MOST_DRAWN = 8


def history_table(past: Sequence[history.Past], names: Sequence[str]) -> str:
    """Runs as a table, the latest last; ``names`` are metrics, patterns allowed."""
    head = ("RUN", "SUITE", "SERVICE", "REVISION", "VERDICT", "SECTIONS", "METRICS")
    return terminal.table(head, [_row(each.run, names) for each in past])


def over_time(past: Sequence[history.Past], names: Sequence[str]) -> bytes:
    """A figure of metrics over the runs, by default of the first that gates look at.

    Raises :class:`~calumma.errors.EvaluationError` when no run has any of them.
    """
    series: dict[str, list[figures.Point]] = {}
    for each in past:
        reports = history.reports(*each) if names else {}
        for section in each.run.sections:
            metrics_ = record.metrics_of(reports.get(section.name, {})) if names else _keys(section)
            for metric in metrics_.values():
                if not names or _is_meant(metric.name, names):
                    time = datetime.fromisoformat(each.run.started)
                    point = figures.Point(time, metric, section.revision, section.verdict or "")
                    series.setdefault(f"{section.name}: {metric.name}", []).append(point)
    if not series:
        what = ", ".join(names) or "that a gate looked at"
        raise errors.EvaluationError(f"none of the {len(past)} runs has a metric {what} to draw")
    return figures.over_time(list(series.items())[:_MOST_DRAWN])


def compared(found: comparison.Comparison) -> str:
    """Two runs as tables, one for each section; what is not comparable is said first."""
    lines = [f"first   {_named(found.first)}", f"second  {_named(found.second)}"]
    lines += [f"note: {remark}" for remark in found.remarks]
    for section in found.sections:
        verdicts = " -> ".join(section.verdicts)
        lines += ["", f"{section.name}: {verdicts}"]
        lines += [f"NOT COMPARABLE: {objection}" for objection in section.objections]
        lines += [f"note: {remark}" for remark in section.remarks]
        rows = [_compared(row) for row in section.rows]
        head = ("METRIC", "FIRST", "N", "SECOND", "N", "CHANGE", "GATES")
        lines += [terminal.table(head, rows)] if rows else []
    if not found.sections:
        lines.append("NOT COMPARABLE: the runs have no section in common")
    lines += [
        "",
        "Values with 95% intervals. A change is the second minus the first; of proportions it has "
        "Newcombe's interval,\nwhich takes the answers of the two runs as independent: on the same "
        "images it is wider than need be.",
    ]
    return "\n".join(lines)


def as_json(found: comparison.Comparison) -> str:
    """A comparison for programs."""
    sections = {
        section.name: {
            "verdicts": section.verdicts,
            "comparable": not section.objections,
            "objections": section.objections,
            "remarks": section.remarks,
            "metrics": [
                {
                    "name": row.name,
                    "first": _plain(row.first),
                    "second": _plain(row.second),
                    "change": _plain(row.change),
                    "gates": row.gates,
                }
                for row in section.rows
            ],
        }
        for section in found.sections
    }
    content = {
        "first": found.first.id,
        "second": found.second.id,
        "comparable": found.is_sound,
        "remarks": found.remarks,
        "sections": sections,
    }
    return json.dumps(content, indent=1, ensure_ascii=False)


def complete(past: history.Past) -> list[Path]:
    """The pages of a run, its own first; those that a killed run could not write are written."""
    found = [past.folder / overview.FILE]
    for section in past.run.sections:
        notebook = past.folder / f"{section.name}.ipynb"
        page = notebook.with_suffix(".html")
        if notebook.exists() and not page.exists() and past.run.state != "running":
            page = running.write_page(notebook)
        candidates = (past.folder / section.name / evidence.PAGE, page)
        found += [path for path in candidates if path.exists()]
    if past.run.state != "running":
        overview.write(past.folder, past.run)
    return [path for path in found if path.exists()]


def _row(run: record.Run, names: Sequence[str]) -> tuple[str, ...]:
    keys = [(each, key) for each in run.sections for key in each.keys]
    if names:
        keys = [(each, key) for each, key in keys if _is_meant(key.name, names)]
    numbers = "; ".join(
        f"{key.name} {terminal.value(_metric(key))}"
        for _, key in keys[: None if names else _MOST_METRICS]
    )
    more = f"; {len(keys) - _MOST_METRICS} more" if not names and len(keys) > _MOST_METRICS else ""
    sections = " ".join(f"{each.name}={each.verdict or each.state}" for each in run.sections)
    verdict = run.state if run.state in ("running", "killed") else run.verdict or "-"
    service = f"{run.namespace}/{run.service}"
    return (
        run.id,
        run.suite,
        service,
        run.revisions or "-",
        verdict,
        sections,
        numbers + more or "-",
    )


def _keys(section: record.Section) -> dict[str, metrics.Metric]:
    return {key.name: _metric(key) for key in section.keys}


def _metric(key: record.Key) -> metrics.Metric:
    both = key.low is not None and key.high is not None
    interval = intervals.Interval(key.low or 0.0, key.high or 0.0) if both else None
    return metrics.Metric(key.name, key.value, key.n, interval, key.unit)


def _is_meant(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _named(run: record.Run) -> str:
    return f"{run.id}  {run.suite}  {run.namespace}/{run.service}  {run.revisions}  {run.verdict}"


def _compared(row: comparison.Row) -> tuple[str, ...]:
    counts = [("-" if each is None else str(each.n)) for each in (row.first, row.second)]
    gates = " -> ".join(each or "none" for each in row.gates) if any(row.gates) else "-"
    return (
        row.name,
        terminal.value(row.first),
        counts[0],
        terminal.value(row.second),
        counts[1],
        terminal.value(row.change, signed=True),
        row.gates[0] if row.gates[0] == row.gates[1] and row.gates[0] else gates,
    )


def _plain(metric: metrics.Metric | None) -> dict[str, Any] | None:
    if metric is None:
        return None
    interval = metric.interval
    return {
        "value": metric.value,
        "low": interval.low if interval else None,
        "high": interval.high if interval else None,
        "n": metric.n,
        "unit": metric.unit,
    }

"""The content of ``report.json``: what was asked, of what, with what, what was found, the verdict.

Everything that depends on when and how fast it ran (start, duration, latencies) is under ``times``;
the rest is the same, byte for byte, for the same parameters, data and answers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from calumma.scoring import gates, metrics

FORMAT = 1


@dataclass(frozen=True)
class Table:
    """Metrics that are read together, and a note on how to read them.

    ``remarks`` are what is to be read beside single metrics, by their names.
    """

    title: str
    note: str
    metrics: tuple[metrics.Metric, ...]
    remarks: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Figure:
    """A picture, the file name (without suffix) it gets, and what it shows."""

    name: str
    caption: str
    png: bytes


@dataclass(frozen=True)
class Times:
    """When it ran (UTC, ISO 8601), for how many seconds, and the metrics that are times.

    ``more`` are further tables of such metrics, ``counts`` plain records that depend on times, for
    programs.
    """

    started: str
    seconds: float
    table: Table
    more: tuple[Table, ...] = ()
    counts: Sequence[Mapping[str, Any]] = ()

    @property
    def tables(self) -> tuple[Table, ...]:
        """All of them, in their order."""
        return (self.table, *self.more)


@dataclass(frozen=True)
class Report:
    """An evaluation, complete: a reader needs nothing else to judge it.

    ``subject`` names the service and its revisions, ``data`` the cases (name, number, SHA-256),
    ``environment`` the code and machine (see :func:`calumma.evidence.environment`), and
    ``parameters`` are the notebook's own, seeds included. Their values go into JSON. ``counts`` are
    plain records of what was counted, for programs that add them up over reports.
    """

    title: str
    question: str
    decision: gates.Decision
    tables: tuple[Table, ...]
    figures: tuple[Figure, ...]
    subject: Mapping[str, Any]
    parameters: Mapping[str, Any]
    data: Mapping[str, Any]
    environment: Mapping[str, Any]
    times: Times
    counts: Sequence[Mapping[str, Any]] = ()


def document(report: Report) -> str:
    """The text of ``report.json``, with a newline at its end."""
    content = {
        "format": FORMAT,
        "title": report.title,
        "question": report.question,
        "verdict": report.decision.verdict,
        "sentence": report.decision.sentence,
        "gates": [_ruling(ruling) for ruling in report.decision.rulings],
        "subject": dict(report.subject),
        "parameters": dict(report.parameters),
        "data": dict(report.data),
        "environment": dict(report.environment),
        "metrics": [_table(table) for table in report.tables],
        **({"counts": list(report.counts)} if report.counts else {}),
        "figures": [
            {"file": f"figures/{figure.name}.png", "caption": figure.caption}
            for figure in report.figures
        ],
        "times": {
            "started": report.times.started,
            "seconds": report.times.seconds,
            "metrics": [_table(table) for table in report.times.tables],
            **({"counts": list(report.times.counts)} if report.times.counts else {}),
        },
    }
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _table(table: Table) -> dict[str, Any]:
    return {
        "title": table.title,
        "note": table.note,
        "metrics": [_metric(metric, table.remarks) for metric in table.metrics],
    }


def _metric(metric: metrics.Metric, remarks: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {"name": metric.name, "value": metric.value, "n": metric.n}
    if metric.name in remarks:
        found["remark"] = remarks[metric.name]
    if metric.count is not None:
        found["count"] = metric.count
    if metric.unit:
        found["unit"] = metric.unit
    if metric.interval is not None:
        found["interval"] = {"level": metric.level, **metric.interval._asdict()}
    return found


def _ruling(ruling: gates.Ruling) -> dict[str, Any]:
    by = {} if ruling.gate.by is gates.By.INTERVAL else {"by": ruling.gate.by}
    return {
        **by,
        "metric": ruling.gate.metric,
        "bound": ruling.gate.bound,
        "threshold": ruling.gate.threshold,
        "minimum": ruling.gate.minimum,
        "verdict": ruling.verdict,
        "reason": ruling.reason,
    }

"""Runs on disk, made without running anything."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from calumma import evidence
from calumma.evaluation import record
from calumma.scoring import gates, metrics, report


class Keep:
    """Writes runs of one section into a folder."""

    def __init__(self, runs: Path) -> None:
        self.runs = runs

    def report(self, right: int, **change: Any) -> dict[str, Any]:
        """A report with this many of a hundred right."""
        found = (
            metrics.proportion("accuracy", right, 100),
            metrics.Metric("plain", right / 10, 5, None, "u"),
        )
        decision = gates.judge([gates.Gate("accuracy", gates.Bound.AT_LEAST, 0.8)], found)
        latency = report.Table("l", "", (metrics.Metric("latency p50", 5.0, 100, None, "ms"),))
        text = report.document(
            report.Report(
                title="t",
                question="?",
                decision=decision,
                tables=(report.Table("t", "", found),),
                figures=(),
                subject={"judged": "digits-2"},
                parameters={"seed": 0, "rate": 1.0},
                data={"name": "d", "sha256": "ab" * 32},
                environment={},
                times=report.Times("2026-01-01T00:00:00+00:00", 1.0, latency),
            )
        )
        return {**json.loads(text), **change}

    def __call__(
        self,
        id: str,
        *,
        suite: str = "s",
        service: str = "digits",
        state: record.State = "ended",
        verdict: record.Verdict = "pass",
        revision: str = "digits-2",
        right: int = 95,
        document: str = "name: s",
        **change: Any,
    ) -> Path:
        """Keep a run; its folder. ``change`` is changed in its report."""
        folder = self.runs / suite / id
        content = self.report(right, **change)
        (folder / "offline").mkdir(parents=True)
        (folder / "offline" / evidence.REPORT).write_text(json.dumps(content))
        section = record.Section(
            name="offline",
            notebook="evaluation/offline.ipynb",
            parameters={},
            state=state,
            verdict=verdict,
            sentence=f"{verdict}: because",
            subject={"judged": revision},
            keys=record.keys_of(content),
        )
        run = record.Run(
            id=id,
            suite=suite,
            service=service,
            namespace="default",
            state=state,
            started=f"2026-01-01T00:00:00.{len(list(self.runs.glob('*/*'))):03}+00:00",
            verdict=None if state == "running" else verdict,
            sentence=section.sentence,
            parameters={},
            document={"path": "s.yaml", "sha256": f"{len(document):064}", "text": document},
            code={"commit": None, "changed": None},
            environment={},
            process={},
            sections=(section,),
        )
        record.write(folder, run)
        return folder


@pytest.fixture
def keep(tmp_path: Path) -> Keep:
    return Keep(tmp_path / "runs")

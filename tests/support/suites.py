"""A project with a suite of small notebooks: quick to run, with reports as the real ones write."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

PARAMETERS = """\
service: str = ""  # the service
revision: str = "latest"  # which revision
right: int = 95  # how many answers of a hundred are right
data: str = "d1"  # which data
seed: int = 0  # the seed
out: str = "runs/t"  # the folder for the report"""

REPORT = """\
from calumma import evidence
from calumma.scoring import gates, metrics, report
found = (metrics.proportion("accuracy", right, 100), metrics.Metric("plain", 2.0, 5, None, "u"))
decision = gates.judge([gates.Gate("accuracy", gates.Bound.AT_LEAST, 0.8)], found)
latency = report.Table("Latency", "", (metrics.Metric("latency p50", 5.0, 100, None, "ms"),))
evidence.write(
    report.Report(
        title="t", question="?", decision=decision, tables=(report.Table("t", "", found),),
        figures=(), subject={"service": service, "judged": f"{service}-{revision}"},
        parameters={"service": service, "revision": revision, "right": right, "seed": seed},
        data={"name": data, "sha256": data * 32}, environment={},
        times=report.Times("2026-01-01T00:00:00+00:00", 1.0, latency),
    ),
    out,
)"""

VERDICT = "evidence.require_pass(decision)"
SO_FAR = "import os\nprint('kernel', os.getpid(), 'so far')"
HUNG = "import time\ntime.sleep(600)"
UNREACHABLE = """\
from calumma import errors
raise errors.ServiceUnavailable("nobody answers")"""


def notebook(path: Path, *sources: str, parameters: str = PARAMETERS) -> None:
    """Write a notebook of these code cells after the parameters."""
    tagged: list[tuple[str, list[str]]] = [(parameters, ["parameters"])]
    cells: list[dict[str, Any]] = [
        {
            "cell_type": "code",
            "execution_count": None,
            "metadata": {"tags": tags},
            "outputs": [],
            "source": source,
        }
        for source, tags in [*tagged, *((each, list[str]()) for each in sources)]
    ]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    content = {
        "cells": cells,
        "metadata": {"kernelspec": kernel, "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 4,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def project(folder: Path, *sections: str, name: str = "small", more: str = "") -> Path:
    """A suite whose sections report 95 of 100; its file."""
    for each in sections:
        notebook(folder / f"evaluation/{each}.ipynb", REPORT, VERDICT)
    suite = folder / f"evaluation/suites/{name}.yaml"
    suite.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"name: {name}", "service: digits", *(f"{each}: {{{more}}}" for each in sections)]
    suite.write_text("\n".join(lines) + "\n")
    return suite

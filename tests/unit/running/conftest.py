"""Notebooks of a few cells, in a folder of the test's own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PARAMETERS = """\
service: str = "digits"  # the InferenceService to evaluate
rate: float = 5.0  # requests a second
count: int = 3  # how many
quick: bool = False  # less of everything
out: str = "runs/t"  # the folder of the report"""

REPORT = """\
import json, pathlib
pathlib.Path(out).mkdir(parents=True, exist_ok=True)
report = {"verdict": service, "sentence": f"{service}: because"}
pathlib.Path(out, "report.json").write_text(json.dumps(report))"""

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """A notebook of these code cells after the parameters; the working directory is its folder."""
    monkeypatch.chdir(tmp_path)

    def notebook(*sources: str, parameters: str = PARAMETERS) -> Path:
        def cell(source: str, tags: list[str]) -> dict[str, Any]:
            return {
                "cell_type": "code",
                "execution_count": None,
                "metadata": {"tags": tags},
                "outputs": [],
                "source": source,
            }

        cells = [cell(parameters, ["parameters"]), *(cell(source, []) for source in sources)]
        content = {
            "cells": cells,
            "metadata": {
                "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
                "language_info": {"name": "python"},
            },
            "nbformat": 4,
            "nbformat_minor": 4,
        }
        path = tmp_path / "t.ipynb"
        path.write_text(json.dumps(content))
        return path

    return notebook


def outputs(notebook: Path) -> str:
    return json.dumps(json.loads(notebook.read_text())["cells"])

"""The rules for notebooks: small, typed, stripped, and without programs in them.

A notebook is read more often than it is run, reviewed as a difference of text, and run by machines
with parameters. What is worth a function is worth a test, and lives in ``src/calumma``.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from calumma import running

ROOT = Path(__file__).parents[2]
PATHS = sorted(
    path
    for folder in ("evaluation", "notebooks")
    for path in (ROOT / folder).rglob("*.ipynb")
    if not {"runs", ".ipynb_checkpoints"} & set(path.parts)
)
NAMES = [str(path.relative_to(ROOT)) for path in PATHS]
MOST_CODE_CELLS = 15
TYPES = {"str": str, "int": int, "float": float, "bool": bool}


@pytest.fixture(params=PATHS, ids=NAMES)
def path(request: pytest.FixtureRequest) -> Path:
    found: Path = request.param
    return found


@pytest.fixture
def notebook(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def code(notebook: dict[str, Any]) -> list[dict[str, Any]]:
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def parsed(cell: dict[str, Any]) -> ast.Module:
    """The syntax tree; a notebook may await at top level, and magic is no Python."""
    flags = ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    tree = compile("".join(cell["source"]), cell["id"], "exec", flags=flags)
    assert isinstance(tree, ast.Module)
    return tree


def test_the_notebooks_are_found() -> None:
    assert {"evaluation/offline.ipynb", "evaluation/online.ipynb"} <= set(NAMES)


def test_it_has_few_code_cells_and_no_program(notebook: dict[str, Any]) -> None:
    cells = code(notebook)
    assert len(cells) <= MOST_CODE_CELLS
    programs = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    for cell in cells:
        assert not [node for node in ast.walk(parsed(cell)) if isinstance(node, programs)]


def test_it_begins_with_a_title_and_explains_its_steps(notebook: dict[str, Any]) -> None:
    kinds = [cell["cell_type"] for cell in notebook["cells"]]
    assert kinds[0] == "markdown"
    assert "".join(notebook["cells"][0]["source"]).startswith("# ")
    assert kinds.count("markdown") >= kinds.count("code") / 2


def test_it_is_stripped(notebook: dict[str, Any]) -> None:
    for cell in code(notebook):
        assert cell["outputs"] == [] and cell["execution_count"] is None
    for number, cell in enumerate(notebook["cells"]):
        assert cell["id"] == str(number)
        assert set(cell["metadata"]) <= {"tags"}
    assert notebook["metadata"]["language_info"]["name"] == "python"
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    assert set(notebook["metadata"]) == {"kernelspec", "language_info"}


def test_its_parameters_are_typed_and_explained_one_a_line(
    path: Path, notebook: dict[str, Any]
) -> None:
    tagged = [cell for cell in code(notebook) if "parameters" in cell["metadata"].get("tags", [])]
    assert len(tagged) == 1
    declared = {}
    for line, statement in zip(tagged[0]["source"], parsed(tagged[0]).body, strict=True):
        assert isinstance(statement, ast.AnnAssign), line
        assert isinstance(statement.target, ast.Name) and isinstance(statement.annotation, ast.Name)
        assert statement.value is not None
        assert type(ast.literal_eval(statement.value)) is TYPES[statement.annotation.id], line
        assert "  # " in line and line.split("  # ")[1].strip(), line
        declared[statement.target.id] = statement.annotation.id
    found = running.parameters(path)
    assert {name: entry.type for name, entry in found.items()} == declared
    assert all(entry.help for entry in found.values())


def test_its_code_is_as_clean_as_the_rest(path: Path) -> None:
    ruff = [sys.executable, "-m", "ruff"]
    options = ["--isolated", "--no-cache", "--config", "line-length=100"]
    for command in (["format", "--check"], ["check", "--select", "B,C4,E,F,I,PERF,SIM,UP,W"]):
        done = subprocess.run(
            [*ruff, *command, *options, str(path)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr

"""The sizes that keep every room readable, and the few words that may not be in them."""

from __future__ import annotations

import ast
import re
import statistics
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted((ROOT / "src").rglob("*.py"))
NAMES = [str(path.relative_to(ROOT / "src")) for path in MODULES]

LARGEST_MODULE, MEDIAN_MODULE = 400, 150
LARGEST_FUNCTION, LARGE_FUNCTION = 60, 30
SHELVES = {"utils", "util", "helpers", "helper", "common", "manager", "base", "misc"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """Each function of a module and its lines, without its docstring."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, Function):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if ast.get_docstring(node) is not None:
                docstring = node.body[0]
                lines -= (docstring.end_lineno or docstring.lineno) - docstring.lineno + 1
            yield f"{path.relative_to(ROOT)}:{node.lineno} {node.name}", lines


@pytest.mark.parametrize("path", MODULES, ids=NAMES)
def test_a_module_says_why_it_exists_and_is_small(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(text)), f"{path} has no docstring"
    assert len(text.splitlines()) <= LARGEST_MODULE
    assert not SHELVES & set(path.relative_to(ROOT).with_suffix("").parts)


@pytest.mark.parametrize("path", MODULES, ids=NAMES)
def test_a_function_is_small(path: Path) -> None:
    too_large = [f"{name}: {lines}" for name, lines in functions(path) if lines > LARGEST_FUNCTION]
    assert not too_large


def test_most_are_far_smaller_than_the_ceiling() -> None:
    modules = [len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES]
    assert statistics.median(modules) <= MEDIAN_MODULE
    lines = [size for path in MODULES for _, size in functions(path)]
    assert statistics.quantiles(lines, n=10)[-1] <= LARGE_FUNCTION


@pytest.mark.parametrize("folder", ["src", "tests", "dashboards", "evaluation"])
def test_nothing_is_left_for_later_in_a_comment(folder: str) -> None:
    word = re.compile(r"\b(?:TO" + "DO|FIX" + "ME|XX" + "X)\b")
    marked = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in (ROOT / folder).rglob("*")
        if path.suffix in (".py", ".ipynb")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if word.search(line)
    ]
    assert not marked

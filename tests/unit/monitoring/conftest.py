"""promtool, with a folder of the test's own."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import pytest

from support import promtool as program

Promtool = Callable[..., None]


@pytest.fixture
def promtool(tmp_path: Path) -> Promtool:
    """Run ``promtool <command> <file>`` with this content; it must find nothing wrong."""
    return functools.partial(program.run, tmp_path)

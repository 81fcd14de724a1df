"""promtool, which knows PromQL better than any test could."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from calumma import errors
from calumma.monitoring import prometheus


def run(folder: Path, *command: str, content: Any) -> None:
    """Run ``promtool <command> <file>`` with this content; it must find nothing wrong."""
    try:
        program = prometheus.find("promtool")
    except errors.ProgramMissing as error:
        pytest.skip(str(error))
    path = folder / "content.yaml"
    path.write_text(yaml.safe_dump(content))
    done = subprocess.run(
        [program, *command, str(path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr

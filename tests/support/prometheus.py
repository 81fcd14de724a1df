"""A real Prometheus that scrapes and evaluates the vocabulary's rules four times a second."""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from calumma import errors
from calumma.monitoring import prometheus, vocabulary

from .pods import free_port


@contextmanager
def running(folder: Path, target: str, history: str | None = None) -> Iterator[str]:
    """The address of a Prometheus that scrapes one target; it takes five seconds to begin.

    ``history`` is what it remembers already, samples with their times in OpenMetrics' format.
    """
    try:
        program = prometheus.find()
    except errors.ProgramMissing as error:
        pytest.skip(str(error))
    if history is not None:
        (folder / "history").write_text(history)
        blocks = ("tsdb", "create-blocks-from", "openmetrics", folder / "history", folder / "data")
        subprocess.run([prometheus.find("promtool"), *blocks], check=True, capture_output=True)
    rules = folder / vocabulary.FILE
    rules.write_text(vocabulary.rules())
    configuration = {
        "global": {
            "scrape_interval": "250ms",
            "scrape_timeout": "250ms",
            "evaluation_interval": "250ms",
        },
        "rule_files": [str(rules)],
        "scrape_configs": [{"job_name": "envoy", "static_configs": [{"targets": [target]}]}],
    }
    (folder / "config.yml").write_text(yaml.safe_dump(configuration))
    address = f"127.0.0.1:{free_port()}"
    arguments = [
        f"--config.file={folder / 'config.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={address}",
        "--log.level=error",
    ]
    with subprocess.Popen([program, *arguments]) as process:
        try:
            _wait(process, f"http://{address}/api/v1/query?query=sum(up)==1")
            yield f"http://{address}"
        finally:
            process.terminate()


def _wait(process: subprocess.Popen[bytes], query: str) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        assert process.poll() is None, "Prometheus ended"
        with (
            contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError),
            urllib.request.urlopen(query, timeout=2) as response,
        ):
            if json.load(response)["data"]["result"]:
                return
        time.sleep(0.1)
    raise AssertionError("Prometheus did not become ready")

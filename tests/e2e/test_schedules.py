"""Schedules on a cluster: its supervisor keeps the scheduler, and what was under way is noticed."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from support import cluster as support

HANGING = "import pathlib, time; pathlib.Path('begun').touch(); time.sleep(600)"


def prometheus(cluster: support.Cluster, path: str) -> Any:
    port = cluster.settings()["prometheus_port"]
    if port is None:
        pytest.skip("Prometheus is not installed")
    return httpx.get(f"http://127.0.0.1:{port}/api/v1/{path}").json()["data"]


def test_a_schedule_lives_as_long_as_its_cluster(tmp_path: Path) -> None:
    project = tmp_path / "project"
    (project / "suites").mkdir(parents=True)
    suite = {"name": "digits", "service": "digits", "offline": {}}
    (project / "suites/digits.yaml").write_text(yaml.safe_dump(suite))
    document = {"name": "yearly", "schedule": "0 0 1 1 *", "suite": "suites/digits.yaml"}
    file = project / "schedule.yaml"

    def apply(*command: str) -> str:
        file.write_text(yaml.safe_dump({**document, "command": list(command)}))
        words = ("schedule", "apply", str(file), "--project", str(project))
        answer = cluster.calumma(*words)
        assert answer.code == 0, answer.error
        return answer.output

    def outcomes() -> list[str]:
        state = cluster.home.schedules / "yearly/state.json"
        runs = json.loads(state.read_text())["runs"] if state.exists() else []
        return [str(run["outcome"]) for run in runs]

    with support.running(tmp_path / "home") as cluster:
        assert "scheduler" not in cluster.programs()
        assert "calumma up" not in apply("true")
        cluster.until("a scheduler", lambda: "scheduler" in cluster.programs())
        assert cluster.calumma("schedule", "run", "yearly").code == 0
        cluster.until("a pass", lambda: outcomes() == ["pass"])
        assert " pass" in cluster.calumma("schedule", "show", "yearly").output

        apply("python", "-c", HANGING)
        cluster.calumma("schedule", "run", "yearly")
        cluster.until("a run", lambda: (project / "begun").exists())
        killed = cluster.programs()["scheduler"]
        os.kill(killed, signal.SIGKILL)
        cluster.until("noticed", lambda: outcomes() == ["pass", "interrupted"])
        assert cluster.programs()["scheduler"] != killed

        rules = prometheus(cluster, "rules")["groups"]
        names = {"calumma-vocabulary", "schedules", "cronjobs", "rollouts"}
        assert {group["name"] for group in rules} == names

        assert cluster.calumma("down").code == 0
        assert not cluster.processes()
        assert cluster.up().code == 0
        assert "scheduler" in cluster.programs()
        apply("true")
        cluster.calumma("schedule", "run", "yearly")
        cluster.until("another pass", lambda: outcomes()[-1] == "pass")
        assert cluster.calumma("schedule", "delete", "yearly").code == 0
        assert "No schedules" in cluster.calumma("schedule", "list").output

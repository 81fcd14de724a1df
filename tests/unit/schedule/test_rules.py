"""The alert rules, judged by Prometheus' own tools on series as they come."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from calumma.schedule import metrics

RULES = Path(__file__).parents[3] / "dashboards/schedules.rules.yaml"
PROMTOOL = shutil.which("promtool")
pytestmark = pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed")


def promtool(*words: str) -> str:
    done = subprocess.run([str(PROMTOOL), *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_prometheus_takes_them() -> None:
    assert "4 rules found" in promtool("check", "rules", str(RULES))


def test_they_ask_for_metrics_that_there_are() -> None:
    asked = set(re.findall(r"calumma_schedule_(\w+)", RULES.read_text()))
    assert asked
    assert asked <= {family.name for family in metrics.FAMILIES}


ALERTS = ("ScheduleFailing", "ScheduleOverdue", "EvaluationFailing", "EvaluationOverdue")


def story(series: dict[str, str], minute: int, firing: list[str], folder: Path) -> None:
    """Series as they come, a value a minute, and which alerts there are after so many."""
    checks = [
        {
            "expr": f'count(ALERTS{{alertname="{alert}", alertstate="firing"}})',
            "eval_time": f"{minute}m",
            "exp_samples": [{"labels": "{}", "value": 1}] if alert in firing else [],
        }
        for alert in ALERTS
    ]
    test: dict[str, Any] = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": checks,
    }
    path = folder / "test.yaml"
    path.write_text(yaml.safe_dump({"rule_files": [str(RULES)], "tests": [test]}))
    promtool("test", "rules", str(path))


@pytest.mark.parametrize(
    ("series", "minute", "firing"),
    [
        ({"failing": "0x20"}, 20, []),
        ({"failing": "0x9 1x10"}, 12, ["ScheduleFailing"]),
        ({"failing": "1x9 0x10"}, 12, []),  # it recovers
        ({"success_expected_timestamp_seconds": "600x30"}, 9, []),
        # nobody writes any more: the file stays as it is, and time goes on
        ({"success_expected_timestamp_seconds": "600x30"}, 11, ["ScheduleOverdue"]),
        ({"success_expected_timestamp_seconds": "600x10 4200x20"}, 20, []),
    ],
)
def test_schedules(series: dict[str, str], minute: int, firing: list[str], tmp_path: Path) -> None:
    named = {f'calumma_schedule_{name}{{schedule="a"}}': each for name, each in series.items()}
    story(named, minute, firing, tmp_path)


@pytest.mark.parametrize(
    ("last", "succeeded", "following", "active", "suspended", "minute", "firing"),
    [
        # begun at 10 min, passed at 12, next at 70
        ("600", "720", "4200", "0", "0", 30, []),
        ("600", "720", "4200", "0", "0", 131, []),
        ("600", "720", "4200", "0", "0", 135, ["EvaluationOverdue"]),
        ("600", "720", "4200", "0", "1", 135, []),  # suspended
        # the last one, begun at 70 min, did not pass
        ("4200", "720", "7800", "1", "0", 75, []),  # it is under way
        ("4200", "720", "7800", "0", "0", 75, ["EvaluationFailing"]),
        ("4200", None, "7800", "0", "0", 75, ["EvaluationFailing"]),  # none ever did
        ("600", None, "4200", "1", "0", 15, []),
    ],
)
def test_cron_jobs(
    last: str,
    succeeded: str | None,
    following: str,
    active: str,
    suspended: str,
    minute: int,
    firing: list[str],
    tmp_path: Path,
) -> None:
    values = {
        "status_last_schedule_time": last,
        "status_last_successful_time": succeeded,
        "next_schedule_time": following,
        "status_active": active,
        "spec_suspend": suspended,
    }
    series = {
        f'kube_cronjob_{name}{{namespace="team", cronjob="{cronjob}"}}': f"{value}x200"
        for name, value in values.items()
        for cronjob in ("evaluation-nightly", "backup")  # somebody else's says nothing
        if value is not None
    }
    story(series, minute, firing, tmp_path)

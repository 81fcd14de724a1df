"""The alert rules of rollouts, judged by Prometheus' own tools on series as they come."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from calumma.rollout import metrics
from support import promtool

RULES = Path(__file__).parents[3] / "dashboards/rollouts.rules.yaml"
ALERTS = tuple(
    rule["alert"]
    for group in yaml.safe_load(RULES.read_text())["groups"]
    for rule in group["rules"]
)


def test_prometheus_takes_them(tmp_path: Path) -> None:
    promtool.run(
        tmp_path, "check", "rules", "--lint-fatal", content=yaml.safe_load(RULES.read_text())
    )


def test_they_ask_for_metrics_that_there_are() -> None:
    asked = set(re.findall(r"calumma_rollout_(\w+)", RULES.read_text()))
    assert len(asked) >= 5
    assert asked <= {family.name for family in metrics.FAMILIES}


def phase(name: str) -> str:
    return f'phase{{phase="{name}"}}'


LOOK = "look_expected_timestamp_seconds"
TRAFFIC = "traffic_expected_timestamp_seconds"
TROUBLE = 'trouble{source="prometheus"}'


@pytest.mark.parametrize(
    ("series", "minute", "firing"),
    [
        # as it should be: each look moves the times on
        ({phase("Progressing"): "1x60", LOOK: "120+60x60", TRAFFIC: "300+60x60"}, 20, []),
        ({phase("Progressing"): "1x9", phase("Paused"): "_x10 1x50"}, 12, ["RolloutWaits"]),
        ({phase("Paused"): "1x9", phase("Progressing"): "_x10 1x50"}, 16, []),  # somebody went on
        ({phase("Progressing"): "1x60", TRAFFIC: "600x60"}, 9, []),
        ({phase("Progressing"): "1x60", TRAFFIC: "600x60"}, 11, ["RolloutWithoutTraffic"]),
        ({phase("Progressing"): "1x60", TRAFFIC: "600x10 stale"}, 20, []),  # none is expected
        # nobody writes any more: the file stays as it is, and time goes on
        ({phase("Progressing"): "1x60", LOOK: "600x60"}, 10, []),
        ({phase("Progressing"): "1x60", LOOK: "600x60"}, 13, ["RolloutAbandoned"]),
        # told for an hour, however long the file stays
        (
            {phase("RolledBack"): "1x200", "ended_timestamp_seconds": "600x200"},
            60,
            ["RolloutRolledBack"],
        ),
        ({phase("RolledBack"): "1x200", "ended_timestamp_seconds": "600x200"}, 71, []),
        ({phase("Promoted"): "1x200", "ended_timestamp_seconds": "600x200"}, 12, []),
        ({phase("Progressing"): "1x60", TROUBLE: "1x60"}, 3, []),
        ({phase("Progressing"): "1x60", TROUBLE: "1x60"}, 6, ["RolloutInTheDark"]),
        (
            {phase("Promoted"): "1x60", TROUBLE: "1x60", "ended_timestamp_seconds": "60x60"},
            9,
            [],
        ),
    ],
)
def test_alerts(series: dict[str, str], minute: int, firing: list[str], tmp_path: Path) -> None:
    """Series as they come, a value a minute, and which alerts there are after so many."""
    named = {}
    for name, values in series.items():
        family, _, labels = name.rstrip("}").partition("{")
        about = 'namespace="team",service="digits"' + (labels and f",{labels}")
        named[f"calumma_rollout_{family}{{{about}}}"] = values
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
        "input_series": [{"series": name, "values": values} for name, values in named.items()],
        "promql_expr_test": checks,
    }
    promtool.run(tmp_path, "test", "rules", content={"rule_files": [str(RULES)], "tests": [test]})

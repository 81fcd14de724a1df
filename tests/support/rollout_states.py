"""Rollouts as they lie in the ConfigMap, for what is said of them."""

from __future__ import annotations

from typing import Any

from calumma.rollout.policy import Policy
from calumma.rollout.state import Phase, Reading, State, Verdict

BEGAN = 1_800_000_000.0


def policy(**given: Any) -> Policy:
    """Two steps, errors and slow requests, a look every ten seconds."""
    content = {
        "service": "digits",
        "namespace": "team",
        "steps": [{"weight": 10}, {"weight": 50}],
        "metrics": [
            {"kind": "errors", "name": "errors", "margin": 0.01},
            {"kind": "slow", "name": "slow", "margin": 0.05, "milliseconds": 100.0},
        ],
        **given,
    }
    return Policy.model_validate(content, strict=False)


def reading(name: str = "errors", **given: Any) -> Reading:
    """A reading that is not clear yet."""
    content = {
        "name": name,
        "verdict": Verdict.UNCLEAR,
        "estimate": 0.002,
        "low": -0.01,
        "high": 0.03,
        "margin": 0.01,
        "alpha": 0.05,
        "n": 120,
        "other_n": 900,
        "value": 0.004,
        "other_value": 0.002,
        **given,
    }
    return Reading.model_validate(content)


def state(**given: Any) -> State:
    """A rollout in its first step, which was looked at a minute after it began."""
    content = {
        "id": "digits-20270115T080000Z",
        "policy": policy(),
        "phase": Phase.PROGRESSING,
        "began": BEGAN,
        "stable": "digits-predictor-00001",
        "canary": "digits-predictor-00002",
        "weight": 10,
        "stepped": BEGAN + 20,
        "looked": BEGAN + 60,
        "busy": BEGAN + 55,
        "readings": (reading(),),
        **given,
    }
    return State.model_validate(content)

"""Pictures of bounds and rules: PNG, the same for the same."""

from __future__ import annotations

from calumma.rollout import illustrations
from calumma.rollout.illustrations import Point


def test_pictures_are_drawn() -> None:
    closing = [Point(100 * k, 0.01, 0.01 - 0.1 / k, 0.01 + 0.1 / k) for k in range(1, 20)]
    drawn = illustrations.bounds({"one": closing, "other": closing[:2]}, 0.03, "difference")
    assert drawn.startswith(b"\x89PNG")
    assert drawn == illustrations.bounds({"one": closing, "other": closing[:2]}, 0.03, "difference")
    rules = {str(k): [0.0, 0.1 * k] for k in range(6)}
    assert illustrations.rollbacks(rules, 0.05, "share").startswith(b"\x89PNG")

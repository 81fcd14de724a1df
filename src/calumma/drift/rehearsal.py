"""How often a detector alarms when nothing has changed: tried on the reference itself.

The reference is divided into halves at random, many times. Between such halves there is no drift,
so every alarm is false; how many there are is counted for each detector, for all of them together,
and for the rules of thumb: on the user's own data, not on somebody's simulation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from calumma.drift import battery, thumb
from calumma.drift.battery import Settings
from calumma.drift.sides import Side
from calumma.scoring import metrics
from calumma.scoring.metrics import Metric

ANY = "any detector"


def rehearse(
    side: Side,
    settings: Settings,
    *,
    runs: int,
    progress: Callable[[int], None] = lambda run: None,
) -> tuple[tuple[Metric, ...], tuple[Metric, ...]]:
    """The false alarms of the detectors and of the rules of thumb in so many random halvings.

    The detectors' rates are at their shares of alpha; ``any detector`` is the rate of the report as
    a whole, which is promised to be at most alpha.
    """
    found: Counter[str] = Counter()
    n = len(side.answers)
    for run in range(runs):
        order = np.random.default_rng([settings.seed, run]).permutation(n)
        before, now = side.some(order[: n // 2]), side.some(order[n // 2 :])
        found.update(alarms(before, now, replace(settings, seed=settings.seed + run)))
        progress(run)
    return (
        tuple(
            metrics.proportion(f"false alarms of {name}", found[name], runs)
            for name in (*settings.detectors, ANY)
        ),
        tuple(
            metrics.proportion(f"false alarms of rule: {name}", found[name], runs)
            for name in thumb.RULES
        ),
    )


def alarms(before: Side, now: Side, settings: Settings) -> set[str]:
    """Which detectors, at their shares of alpha, and which rules of thumb alarm."""
    detected = {
        each.name for each in battery.detect(before, now, settings).detections if each.alarm
    }
    by_thumb = {name for name, rule in thumb.RULES.items() if rule(before, now, settings.seed)}
    return detected | by_thumb | ({ANY} if detected else set())

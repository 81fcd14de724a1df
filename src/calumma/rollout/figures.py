"""Pictures of a rollout, as PNG bytes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from calumma.rollout.course import Look
from calumma.rollout.policy import Agreement, Metric
from calumma.scoring import figures


def bounds(metrics: Sequence[Metric], courses: Mapping[str, Sequence[Look]]) -> bytes:
    """Each metric's estimate and bounds as observations came, closing in on what is demanded.

    The dashed line is what must be shown: all of the band on its good side. The plain line is no
    difference: all of the band above it shows that the canary is worse. A dotted line is a step.
    """
    with figures.drawing(6.4, 0.4 + 1.9 * len(metrics)) as figure:
        places = np.ravel(figure.subplots(len(metrics), 1, squeeze=False))
        for axes, metric in zip(places, metrics, strict=True):
            _course(axes, metric, courses.get(metric.name, ()))
        return figures.png(figure)


def _course(axes: Any, metric: Metric, looks: Sequence[Look]) -> None:
    """One metric's picture."""
    agreement = isinstance(metric, Agreement)
    known = [look for look in looks if look.reading.estimate is not None]
    what = "pairs answered alike" if agreement else "canary minus stable"
    axes.set_title(f"{metric.name}: {what}", fontsize=9, loc="left")
    axes.grid(color="#d9dee3", linewidth=0.6)
    axes.set_xlabel("observations of the canary")
    if not known:
        axes.text(0.5, 0.5, "nothing is known yet", ha="center", transform=axes.transAxes)
        return
    last = known[-1].reading
    axes.axhline(last.margin, color=figures.INK, linewidth=1, linestyle="--")
    if not agreement:
        axes.axhline(0, color=figures.INK, linewidth=1)
    axes.set_ylabel(last.unit)
    marker = "o" if len(known) == 1 else None
    colour = figures.WARNING if last.verdict == "worse" else figures.ACCENT
    times = [look.reading.n for look in known]
    estimates = [look.reading.estimate or 0.0 for look in known]
    axes.plot(times, estimates, color=colour, marker=marker)
    low, high = _limits(known, agreement=agreement)
    lows = [max(look.reading.low, low) for look in known]
    highs = [min(look.reading.high, high) for look in known]
    if marker:
        axes.vlines(times, lows, highs, color=colour, linewidth=3, alpha=0.4)
    axes.fill_between(times, lows, highs, color=colour, alpha=0.2, linewidth=0)
    axes.set_ylim(low, high)
    axes.set_xlim(0, 1.03 * times[-1] or 1)
    for before, after in itertools.pairwise(known):
        if before.step != after.step:
            axes.axvline(before.reading.n, color=figures.INK, linewidth=0.8, linestyle=":")


def _limits(known: Sequence[Look], *, agreement: bool) -> tuple[float, float]:
    """From where to where the picture goes: what matters in the end, and some of the beginning."""
    last = known[-1].reading
    shown = [
        last.margin if agreement else 0.0,
        last.margin,
        *(look.reading.estimate or 0.0 for look in known[len(known) // 4 :]),
    ]
    shown += [each for each in (last.low, last.high) if math.isfinite(each)]
    room = 0.35 * (max(shown) - min(shown)) or 0.1
    return min(shown) - room, max(shown) + room

"""Pictures for people who learn how rollouts decide: bounds that close in, rules side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from calumma.scoring.figures import ACCENT, INK, PALETTE, WARNING, drawing, png

_GRID = "#d9dee3"


class Point(NamedTuple):
    """What was known of a difference after ``n`` observations of the canary."""

    n: int
    estimate: float
    low: float
    high: float


def bounds(paths: Mapping[str, Sequence[Point]], margin: float, label: str) -> bytes:
    """Bounds that close in, one panel for each canary, with zero and the margin as lines.

    ``label`` says what the difference is, with its unit. A cross marks the first look at which the
    whole interval is above zero, a circle the one at which it is below the margin.
    """
    with drawing(3.0 * len(paths) + 0.6, 2.9) as figure:
        panels = figure.subplots(1, len(paths), sharey=True, squeeze=False)[0]
        for axes, (name, points) in zip(panels, paths.items(), strict=True):
            n = [each.n for each in points]
            low, high = [each.low for each in points], [each.high for each in points]
            axes.fill_between(n, low, high, color=ACCENT, alpha=0.2, linewidth=0)
            axes.plot(n, [each.estimate for each in points], color=ACCENT)
            axes.axhline(0.0, color=INK, linewidth=1)
            axes.axhline(margin, color=WARNING, linewidth=1, linestyle="--")
            fine = next((each for each in points if each.high < margin), None)
            worse = next((each for each in points if each.low > 0), None)
            if fine:
                axes.plot([fine.n], [fine.high], "o", color=ACCENT)
            if worse:
                axes.plot([worse.n], [worse.low], "X", color=WARNING)
            axes.set_title(name, fontsize=9)
            axes.set_xlabel("observations of the canary")
            axes.set_ylim(-5 * margin, 5 * margin)
            axes.grid(color=_GRID, linewidth=0.6)
        panels[0].set_ylabel(label)
        return png(figure)


def rollbacks(curves: Mapping[str, Sequence[float]], alpha: float, label: str) -> bytes:
    """For each rule, the share of canaries that it has rolled back by each look."""
    lines = ("-", "--", "-.", ":", (0, (1, 1)), (0, (5, 1, 1, 1)))
    colours = (*PALETTE, INK, "#8a5a00")
    with drawing(6.4, 3.0) as figure:
        axes = figure.subplots()
        for colour, line, (name, shares) in zip(colours, lines, curves.items(), strict=False):
            axes.plot(range(1, len(shares) + 1), shares, linestyle=line, color=colour, label=name)
        axes.axhline(alpha, color=WARNING, linewidth=1, linestyle="--")
        axes.set_xlabel("looks")
        axes.set_ylabel(label)
        axes.set_ylim(0, 1.02)
        axes.grid(color=_GRID, linewidth=0.6)
        figure.legend(frameon=False, fontsize=8, loc="outside right upper")
        return png(figure)

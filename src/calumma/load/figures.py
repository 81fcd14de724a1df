"""Pictures of a load test, in the look of :mod:`calumma.scoring.figures`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import ticker
from matplotlib.axes import Axes

from calumma.load import curve, histogram, split
from calumma.load.generator import Outcome
from calumma.scoring.figures import ACCENT, INK, PALETTE, WARNING, drawing, png

_GRID: Any = {"color": "#d9dee3", "linewidth": 0.6}
_PARTS = ("#1b6ca8", "#b3411e", "#e0a458", "#4f7a28", "#6b4c9a", "#7fb2d6", "#c3c9cf")


def rates(outcomes: Sequence[Outcome], seconds: float) -> bytes:
    """Requests a second over time: meant to be sent, and answered."""
    width = max(1.0, seconds / 120)
    edges = np.arange(0, seconds + width, width)
    answered = [each.finished for each in outcomes if each.failure is None]
    failed = [each.finished for each in outcomes if each.failure is not None]
    lines = (
        ("offered", [each.intended for each in outcomes], INK, "--"),
        ("answered", answered, ACCENT, "-"),
        ("failed", failed, WARNING, "-"),
    )
    with drawing(6.4, 2.4) as figure:
        axes = figure.subplots()
        for name, times, colour, style in lines:
            if times:
                counts = np.histogram(times, edges)[0] / width
                axes.stairs(counts, edges, baseline=None, color=colour, linestyle=style, label=name)
        axes.set_xlabel("seconds from the start of the measured window")
        axes.set_ylabel("requests a second")
        axes.set_ylim(bottom=0)
        axes.grid(**_GRID)
        axes.legend(frameon=False, loc="upper right")
        return png(figure)


def percentiles(groups: Mapping[str, Sequence[Outcome]]) -> bytes:
    """The HDR percentile plot: latency by quantile, each tenth of what is left as wide as the last.

    ``groups`` are requests by a name, of which the answered ones are drawn.
    """
    with drawing(6.4, 3.0) as figure:
        axes = figure.subplots()
        for colour, (name, outcomes) in zip(PALETTE, groups.items(), strict=False):
            answered = [each.latency for each in outcomes if each.failure is None]
            points = [
                (1 / (1 - quantile), 1000 * latency)
                for quantile, latency in histogram.curve(histogram.recorded(answered))
                if 1 / max(1 - quantile, 1e-12) <= 2 * len(answered)
            ]
            if points:
                axes.plot(*zip(*points, strict=True), color=colour, label=name)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.xaxis.set_major_locator(ticker.LogLocator(subs=(1.0, 2.0)))
        axes.xaxis.set_major_formatter(ticker.FuncFormatter(_as_percentile))
        axes.yaxis.set_major_formatter(ticker.FormatStrFormatter("%g"))
        axes.set_xlabel("percentile of the requests")
        axes.set_ylabel("latency in ms")
        axes.grid(which="both", **_GRID)
        if len(groups) > 1:
            axes.legend(frameon=False, loc="upper left")
        return png(figure)


def spread(outcomes: Sequence[Outcome]) -> bytes:
    """How many requests had which latency, and each latency at its time."""
    answered = [each for each in outcomes if each.failure is None]
    latencies = 1000 * np.array([each.latency for each in answered])
    with drawing(6.4, 2.6) as figure:
        left, right = figure.subplots(1, 2, sharey=True, width_ratios=(3, 1))
        left.plot([each.intended for each in answered], latencies, ".", color=ACCENT, markersize=2)
        if latencies.size:
            low, high = max(latencies.min(), 1e-3), max(latencies.max(), 2e-3)
            bins = np.geomspace(low, high * 1.001, 40)
            right.hist(latencies, bins, orientation="horizontal", color=ACCENT)
            left.set_yscale("log")
            left.yaxis.set_major_formatter(ticker.FormatStrFormatter("%g"))
        left.set_xlabel("seconds from the start of the measured window")
        left.set_ylabel("latency in ms")
        right.set_xlabel("requests")
        left.grid(**_GRID)
        return png(figure)


def stacked(splits: Mapping[str, split.Split], means: Mapping[str, float | None]) -> bytes:
    """Where the mean latency goes, a bar for each name; ``means`` are the caller's, in ms."""
    with drawing(6.4, 1.1 + 0.35 * max(len(splits), 1)) as figure:
        axes = figure.subplots()
        left = np.zeros(len(splits))
        for colour, part in zip(_PARTS, (*split.PARTS, split.REST), strict=True):
            widths = np.array(
                [
                    split.rest(each, means.get(name)) or 0.0
                    if part == split.REST
                    else each.parts.get(part, 0.0)
                    for name, each in splits.items()
                ]
            )
            axes.barh(range(len(splits)), widths, left=left, color=colour, label=part)
            left += widths
        axes.set_yticks(range(len(splits)), list(splits))
        axes.invert_yaxis()
        axes.set_xlabel("mean ms of a request")
        axes.grid(axis="x", **_GRID)
        axes.set_axisbelow(True)
        figure.legend(
            *axes.get_legend_handles_labels(),
            loc="outside lower center",
            ncols=3,
            frameon=False,
            fontsize=8,
        )
        return png(figure)


def throughput(found: curve.Curve, objective: curve.Objective) -> bytes:
    """Latency and answered rate by offered rate, with the objective, the knee and the limit."""
    steps = [step for step in curve.shown(found.steps) if step.mean is not None]
    with drawing(6.4, 4.2) as figure:
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
        name = f"p{100 * objective.quantile:g}"
        _line(above, steps, lambda step: (step.latency.value or 0.0) / 1000, ACCENT, name)
        _line(above, steps, lambda step: step.mean or 0.0, "#6b4c9a", "mean")
        above.axhline(objective.latency_ms, color=WARNING, linestyle="--", linewidth=1)
        above.set_yscale("log")
        above.yaxis.set_major_formatter(ticker.FormatStrFormatter("%g"))
        above.set_ylabel("latency in ms")
        _line(below, steps, lambda step: step.achieved / 1000, ACCENT, "answered")
        offered = [step.rate for step in steps]
        sent = [step.offered for step in steps]
        below.plot(offered, sent, color=INK, linestyle=":", linewidth=1, label="offered")
        below.set_ylabel("requests a second")
        below.set_xlabel("offered requests a second")
        below.set_xscale("log")
        below.xaxis.set_major_locator(ticker.LogLocator(subs=(1.0, 2.0, 5.0)))
        below.xaxis.set_major_formatter(ticker.FormatStrFormatter("%g"))
        below.xaxis.set_minor_formatter(ticker.NullFormatter())
        limit, knee = found.limit, found.knee
        for axes in (above, below):
            axes.grid(**_GRID)
            if limit.interval is not None:
                axes.axvspan(*limit.interval, color=WARNING, alpha=0.12, label="limit")
            if knee is not None:
                axes.axvline(knee.rate, color=INK, linestyle="--", linewidth=1, label="knee")
            axes.legend(frameon=False, fontsize=8)
        return png(figure)


def _line(
    axes: Axes,
    steps: Sequence[curve.Step],
    value: Callable[[curve.Step], float],
    colour: str,
    label: str,
) -> None:
    """A line through the medians of each rate in ms, each measurement as a point."""
    points = [(step.rate, 1000 * value(step)) for step in steps]
    axes.plot(*zip(*points, strict=True), "o", color=colour, markersize=3) if points else None
    medians = {
        rate: float(np.median([found for each, found in points if each == rate]))
        for rate in sorted({rate for rate, _ in points})
    }
    axes.plot(list(medians), list(medians.values()), color=colour, label=label)


def _as_percentile(share: float, _: object) -> str:
    return f"{100 * (1 - 1 / share):.6g}"

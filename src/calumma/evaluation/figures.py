"""Runs as pictures: two side by side, and many over time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from matplotlib import dates, ticker

from calumma.evaluation import comparison
from calumma.scoring import figures, metrics

_MARKS = "osD^v"


class Point(NamedTuple):
    """A metric of one run: when, of which revision, and with which verdict."""

    time: datetime
    metric: metrics.Metric
    revision: str
    verdict: str


def compared(found: comparison.Comparison) -> bytes:
    """Each metric of two runs with both intervals, in a panel for each section and unit."""
    panels = _panels(found)
    heights = [0.7 + 0.32 * len(rows) for _, _, rows in panels] or [1.0]
    with figures.drawing(7.2, sum(heights) + 0.5) as figure:
        grid = figure.subplots(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0]
        for axes, (section, unit, rows) in zip(grid, panels, strict=False):
            _pairs(axes, rows)
            objected = " (not comparable)" if section.objections else ""
            axes.set_title(f"{section.name}{objected}", loc="left", fontsize=9)
            axes.set_xlabel(unit or "share or plain number", fontsize=8)
        runs = (found.first, found.second)
        labels = [f"{run.id} {run.revisions}".strip() for run in runs]
        marks = [
            grid[0].plot([], [], marker, color=colour, label=label)[0]
            for marker, colour, label in zip(_MARKS, figures.PALETTE, labels, strict=False)
        ]
        figure.legend(handles=marks, loc="outside lower center", frameon=False, ncols=2)
        return figures.png(figure)


def over_time(points: Sequence[tuple[str, Sequence[Point]]]) -> bytes:
    """Metrics over the runs of a suite, each with its interval; a colour for each revision."""
    with figures.drawing(7.2, 2.1 * max(len(points), 1) + 0.4) as figure:
        grid = figure.subplots(max(len(points), 1), 1, squeeze=False, sharex=True)[:, 0]
        revisions = dict.fromkeys(each.revision for _, found in points for each in found)
        styles = {
            name: (figures.PALETTE[place % len(figures.PALETTE)], _MARKS[place % len(_MARKS)])
            for place, name in enumerate(revisions)
        }
        for axes, (title, found) in zip(grid, points, strict=False):
            unit = next((each.metric.unit for each in found if each.metric.unit), "")
            axes.set_title(title, loc="left", fontsize=9)
            axes.set_ylabel(unit)
            axes.grid(axis="y", color="#d9dee3", linewidth=0.6)
            for each in found:
                _point(axes, each, *styles[each.revision])
        locator: Any = dates.AutoDateLocator(maxticks=7)  # type: ignore[no-untyped-call]
        grid[-1].xaxis.set_major_locator(locator)
        concise = dates.ConciseDateFormatter(locator)  # type: ignore[no-untyped-call]
        grid[-1].xaxis.set_major_formatter(concise)
        grid[-1].set_xlabel("time of the run (UTC); hollow where the section did not pass")
        marks = [
            grid[0].plot([], [], mark, color=colour, label=name or "service as a whole")[0]
            for name, (colour, mark) in list(styles.items())[:8]
        ]
        figure.legend(handles=marks, loc="outside lower center", frameon=False, ncols=2)
        return figures.png(figure)


Panel = tuple[comparison.Section, str, list[comparison.Row]]


def _panels(found: comparison.Comparison) -> list[Panel]:
    panels: list[Panel] = []
    for section in found.sections:
        units: dict[str, list[comparison.Row]] = {}
        for row in section.rows:
            metric = row.first or row.second
            if metric is not None:
                units.setdefault(metric.unit, []).append(row)
        panels += [(section, unit, rows) for unit, rows in units.items()]
    return panels


def _pairs(axes: Any, rows: Sequence[comparison.Row]) -> None:
    for place, row in enumerate(rows):
        for side, metric in enumerate((row.first, row.second)):
            if metric is None or metric.value is None:
                continue
            colour, height = figures.PALETTE[side], place - 0.14 + 0.28 * side
            if metric.interval is not None:
                axes.plot(metric.interval, [height, height], color=colour, linewidth=2)
            axes.plot([metric.value], [height], _MARKS[side], color=colour, markersize=5)
    axes.set_yticks(range(len(rows)), [row.name for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(axis="x", color="#d9dee3", linewidth=0.6)
    axes.xaxis.set_major_formatter(ticker.FormatStrFormatter("%g"))


def _point(axes: Any, point: Point, colour: str, mark: str) -> None:
    if point.metric.value is None:
        return
    time = dates.date2num(point.time)  # type: ignore[no-untyped-call]
    if point.metric.interval is not None:
        axes.plot([time, time], point.metric.interval, color=colour, linewidth=1.2)
    filled = colour if point.verdict == "pass" else "white"
    axes.plot([time], [point.metric.value], mark, color=colour, markerfacecolor=filled)

"""Pictures of value: the tornado, break-even, the threshold of acceptance, policies, usage."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from calumma.business import consequences, sensitivity
from calumma.business.estimate import Estimate, Inputs
from calumma.business.policies import Policy
from calumma.scoring import metrics
from calumma.scoring.figures import ACCENT, INK, PALETTE, WARNING, drawing, png

_GRID = "#d9dee3"
_POINTS = 101


def tornado(bars: Sequence[sensitivity.Bar], effect: float, unit: str) -> bytes:
    """The effect at the low (dark) and high (light) end of each assumption, the widest on top."""
    shown = [bar for bar in bars if bar.swing > 0][:15]
    with drawing(7.2, 1.1 + 0.34 * max(len(shown), 1)) as figure:
        axes = figure.subplots()
        for row, bar in enumerate(shown):
            for end, words, colour in (
                (bar.at_low, bar.low, ACCENT),
                (bar.at_high, bar.high, "#8fbce0"),
            ):
                axes.barh(row, end - effect, left=effect, color=colour, height=0.62)
                side = "left" if end >= effect else "right"
                gap = 3 if end >= effect else -3
                axes.annotate(
                    words,
                    (end, row),
                    (gap, 0),
                    textcoords="offset points",
                    fontsize=7,
                    ha=side,
                    va="center",
                )
        axes.axvline(effect, color=INK, linewidth=1)
        axes.axvline(0, color=WARNING, linewidth=1, linestyle="--")
        axes.set_yticks(range(len(shown)), [bar.name for bar in shown], fontsize=8)
        axes.set_ylim(max(len(shown), 1) - 0.4, -0.6)
        axes.margins(x=0.22)
        axes.set_xlabel(f"economic effect in {unit}; dashed: no effect")
        return png(figure)


def break_even(found: Estimate) -> bytes:
    """The effect over accuracy and over the price of a minute, with 95% of what is plausible."""
    currency, price = found.model.currency, found.model.price_of_a_minute
    wrong = consequences.wrong_share(found.best.shares, found.model, found.best.given)
    accuracy = 1 - float(wrong)
    with drawing(7.2, 3.0) as figure:
        left, right = figure.subplots(1, 2)
        _line(left, found, sensitivity.over_accuracy, (max(0.0, accuracy - 0.3), 1.0), accuracy)
        left.set_xlabel("accuracy of the answers\n(dotted: now)")
        reach = 0.0, 2 * price.range[1] or 1.0
        _line(right, found, sensitivity.over_price, reach, price.value)
        right.set_xlabel(f"price of a minute in {currency}\n(dotted: now)")
        for axes in (left, right):
            axes.set_ylabel(f"economic effect in {currency}/day")
        return png(figure)


def _line(
    axes: Any,
    found: Estimate,
    over: Callable[[Estimate, Inputs], sensitivity.Line],
    reach: tuple[float, float],
    now: float,
) -> None:
    """The effect over one quantity; the median of the draws where nothing was seen to go by."""
    axes.axhline(0, color=WARNING, linewidth=1, linestyle="--")
    axes.axvline(now, color=INK, linewidth=1, linestyle=":")
    axes.grid(color=_GRID, linewidth=0.6)
    if not found.tally.n:
        return
    best, both = over(found, found.best), over(found, found.both)
    x = np.linspace(*reach, _POINTS)
    low, middle, high = np.array([np.quantile(both.at(each), [0.025, 0.5, 0.975]) for each in x]).T
    line = np.array([float(best.at(each)) for each in x])
    axes.fill_between(x, low, high, color=ACCENT, alpha=0.18, linewidth=0)
    axes.plot(x, np.where(np.isfinite(line), line, middle), color=ACCENT)


def thresholds(found: Sequence[sensitivity.Tried], now: float | None) -> bytes:
    """The effect and the missed findings over the confidence from which proposals are accepted."""
    with drawing(7.2, 2.8) as figure:
        left, right = figure.subplots(1, 2)
        _band(left, [(tried.threshold, tried.effect) for tried in found], ACCENT, now)
        _band(right, [(tried.threshold, tried.missed) for tried in found], WARNING, now)
        return png(figure)


def _band(
    axes: Any, points: Sequence[tuple[float, metrics.Metric]], colour: str, now: float | None
) -> None:
    known = [(x, each.value, *each.interval) for x, each in points if each.interval is not None]
    if known:
        x, value, low, high = zip(*known, strict=True)
        axes.fill_between(x, low, high, color=colour, alpha=0.18, linewidth=0)
        axes.plot(x, value, "o-", color=colour, markersize=3)
    if now is not None:
        axes.axvline(now, color=INK, linewidth=1, linestyle=":")
    for _, metric in points[:1]:
        axes.set_ylabel(f"{metric.name}, {metric.unit}".removesuffix(", "))
    axes.set_xlabel("accepted from this confidence on\n(dotted: now)")
    axes.grid(color=_GRID, linewidth=0.6)


def policies(by_class: Sequence[metrics.Metric]) -> bytes:
    """The share of each finding that is missed under each policy, with intervals."""
    names = list(dict.fromkeys(metric.name.split(", ")[0] for metric in by_class))
    with drawing(7.2, 1.2 + 0.62 * max(len(names), 1)) as figure:
        axes = figure.subplots()
        for place, (policy, colour) in enumerate(zip(Policy, PALETTE, strict=False)):
            rows = [m for m in by_class if m.name.endswith(f", {policy}")]
            for row, metric in enumerate(rows):
                if metric.value is None or metric.interval is None:
                    continue
                y = row + 0.24 * (place - 1)
                axes.plot(metric.interval, [y, y], color=colour, linewidth=2)
                axes.plot(
                    [metric.value],
                    [y],
                    "os^"[place],
                    color=colour,
                    label=str(policy) if row == 0 else None,
                )
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(max(len(names), 1) - 0.5, -0.5)
        axes.set_xlim(left=0)
        axes.set_xlabel("share of the findings that is missed")
        axes.grid(axis="x", color=_GRID, linewidth=0.6)
        if by_class:
            figure.legend(frameon=False, loc="outside upper center", ncols=3, fontsize=8)
        return png(figure)


def hours(by_hour: Sequence[int]) -> bytes:
    """Uses in each hour of the day."""
    with drawing(6.4, 2.4) as figure:
        axes = figure.subplots()
        axes.bar(range(24), by_hour, color=ACCENT, width=0.8)
        axes.set_xticks(range(0, 24, 3))
        axes.set_xlabel("hour of the day, UTC")
        axes.set_ylabel("requests")
        return png(figure)

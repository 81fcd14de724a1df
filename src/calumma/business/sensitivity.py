"""What the economic effect hangs on: one assumption at a time, and where it changes its sign."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from calumma.business import consequences, tally
from calumma.business import estimate as estimates
from calumma.business.assumptions import Values
from calumma.business.estimate import Estimate, Inputs
from calumma.business.valuemodel import ValueModel
from calumma.scoring import cases, metrics

THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98, 0.99, 0.999, 1.0)
"""Confidences from which proposals might be accepted."""

BREAK_EVEN_ACCURACY = "break-even accuracy"
BREAK_EVEN_PRICE = "break-even price of a minute"


class Bar(NamedTuple):
    """A bar of the tornado: the effect at the low and the high end of one assumption."""

    name: str
    low: str
    high: str
    at_low: float
    at_high: float

    @property
    def swing(self) -> float:
        """By how much this alone moves the effect."""
        return abs(self.at_high - self.at_low)


def tornado(found: Estimate) -> list[Bar]:
    """Each assumption at the ends of its range, the others at their values; the widest first.

    Sampling error is a bar as well: its central 95%, with all assumptions at their values.
    """
    bars = []
    for name, each in found.model.described():
        low, high = each.assumption.range
        ends = [
            float(found.follow(Inputs(found.best.shares, {**found.best.given, name: end})).effect)
            for end in (low, high)
        ]
        unit = f" {each.unit}".rstrip()
        bars.append(Bar(each.meaning, f"{low:g}{unit}", f"{high:g}{unit}", *ends))
    sampled = np.quantile(found.follow(found.sampling).effect, [0.025, 0.975])
    words = f"sampling error ({found.tally.n} labelled cases)"
    bars.append(Bar(words, "2.5%", "97.5%", *map(float, sampled)))
    return sorted(bars, key=lambda bar: (-bar.swing, bar.name))


class Line(NamedTuple):
    """The effect as a line over one quantity x: ``at_zero + slope x``, for each draw."""

    at_zero: Values
    slope: Values

    def at(self, x: float) -> Values:
        """The effect at x."""
        return self.at_zero + self.slope * x


def over_accuracy(found: Estimate, inputs: Inputs) -> Line:
    """The effect over the model's accuracy, its mistakes kept of the same kinds.

    Mistakes are made more or less often in proportion, and as sure of themselves as now; the
    effect is then a straight line through what it is now and what it would be without mistakes.
    """
    perfect = Inputs(consequences.without_errors(inputs.shares), inputs.given)
    without, now = found.follow(perfect).effect, found.follow(inputs).effect
    wrong = consequences.wrong_share(inputs.shares, found.model, inputs.given)
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = np.where(wrong > 0, (without - now) / wrong, np.nan)
    return Line(without - slope, slope)


def over_price(found: Estimate, inputs: Inputs) -> Line:
    """The effect over the price of a person's minute: its slope is the minutes saved in a day."""
    now = found.follow(inputs)
    price = np.asarray(inputs.given["price_of_a_minute"])
    return Line(now.effect - price * now.minutes_saved, now.minutes_saved)


def break_even(found: Estimate) -> tuple[metrics.Metric, ...]:
    """The accuracy, and the price of a minute, from which on the service pays.

    An accuracy of 0 means that it pays however often the model errs, 1 that it does not even
    without mistakes. A price of 0 means that it pays at any; there is none when no time is saved.
    """
    roots = [
        (_root(over_accuracy(found, each), 1.0), _root(over_price(found, each), np.inf))
        for each in (found.best, found.both)
    ]
    (accuracy, price), (accuracies, prices) = roots
    n, currency = found.tally.n, found.model.currency
    return (
        estimates.metric(BREAK_EVEN_ACCURACY, accuracy, accuracies, n),
        estimates.metric(BREAK_EVEN_PRICE, price, prices, n, currency),
    )


class Tried(NamedTuple):
    """What another threshold of acceptance would bring."""

    threshold: float
    effect: metrics.Metric
    missed: metrics.Metric


def by_threshold(
    answers: Sequence[cases.Answer],
    model: ValueModel,
    thresholds: Iterable[float],
    *,
    seed: int,
    draws: int = 1000,
) -> list[Tried]:
    """For each confidence from which proposals are accepted: the effect, and missed findings."""
    found = []
    for threshold in thresholds:
        tried = model.model_copy(update={"accept_from": threshold})
        each = estimates.of(tally.of_answers(answers, tried), tried, seed=seed, draws=draws)
        by_name = {metric.name: metric for metric in estimates.value(each)}
        found.append(Tried(threshold, by_name[estimates.EFFECT], by_name[estimates.MISSED]))
    return found


def _root(line: Line, never: float) -> Values:
    """Where the effect becomes positive, at least 0 and at most ``never``."""
    at_zero, slope = np.broadcast_arrays(line.at_zero, line.slope)
    root = np.full(at_zero.shape, never)
    rising = slope > 0
    root[rising] = -at_zero[rising] / slope[rising]
    root[~rising & (at_zero >= 0)] = 0.0
    root[np.isnan(slope)] = np.nan
    return np.clip(root, 0.0, never)

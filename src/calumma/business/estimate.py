"""The Monte Carlo over what was measured and what is assumed, and the metrics that come of it.

Each quantity is computed at the counted shares and the declared values, and then again for many
draws: of the shares from their posterior (*sampling error*), of the assumptions from their ranges,
and of both together. The interval of a metric is of both; a table shows the two parts apart, for
labelling more images narrows the first and asking somebody who knows narrows the second.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from calumma import errors
from calumma.business import consequences, tally
from calumma.business.assumptions import Values
from calumma.business.valuemodel import ValueModel
from calumma.scoring import metrics
from calumma.statistics.intervals import Interval

DRAWS = 4000
LEVEL = 0.95

EFFECT = "economic effect per day"
HOURS = "hours saved per day"
MISSED = "missed findings per 1000"
FALSE_ALARMS = "false alarms per 1000"


class Inputs(NamedTuple):
    """What a quantity is computed from: shares, and a value of each assumption."""

    shares: Values
    given: Mapping[str, Any]


@dataclass(frozen=True)
class Estimate:
    """A tally under a value model: the best guess, and draws of each kind of uncertainty."""

    model: ValueModel
    tally: tally.Tally
    best: Inputs
    both: Inputs
    sampling: Inputs
    assumed: Inputs

    def follow(self, inputs: Inputs) -> consequences.Consequences:
        """The consequences of one of the inputs."""
        return consequences.follow(inputs.shares, self.model, inputs.given)

    @property
    def findings(self) -> int:
        """How many labelled cases are findings."""
        return int(self.tally.counts[self.model.findings].sum())


def of(found: tally.Tally, model: ValueModel, *, seed: int, draws: int = DRAWS) -> Estimate:
    """Draw what is plausible; the same tally, model and seed give the same.

    Raises :class:`~calumma.errors.EvaluationError` when a class of the declared mix has no labelled
    case, so that nothing is known of it.
    """
    if model.mix is not None and found.n:
        unseen = [
            name
            for name, count in zip(model.classes, found.counts.sum(axis=(1, 2)), strict=True)
            if not count and model.mix[name].range[1] > 0
        ]
        if unseen:
            raise errors.EvaluationError(
                f"the mix has the classes {', '.join(unseen)}, and no labelled case is one: "
                "add some, or give them the weight 0"
            )
    shares = tally.plausible(found, model, seed, draws)
    given = {name: each.assumption.draw(name, seed, draws) for name, each in model.described()}
    best = model.best_guess()
    return Estimate(
        model,
        found,
        Inputs(found.shares, best),
        Inputs(shares, given),
        Inputs(shares, best),
        Inputs(found.shares, given),
    )


def metric(
    name: str, value: Any, drawn: Values, n: int, unit: str = "", level: float = LEVEL
) -> metrics.Metric:
    """A quantity with the central interval of its draws, stretched to hold the value itself.

    The value can be at the edge of what is plausible: no mistake was seen, so 0 is the best guess.
    Without a case, or when the interval has no end, there is no value or no interval.
    """
    if n == 0 or not np.isfinite(value):
        return metrics.Metric(name, None, n, None, unit)
    tail = (1 - level) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail], method="inverted_cdf")
    if not (np.isfinite(low) and np.isfinite(high)):
        return metrics.Metric(name, float(value), n, None, unit, level=level)
    interval = Interval(min(float(low), float(value)), max(float(high), float(value)))
    return metrics.Metric(name, float(value), n, interval, unit, level=level)


def _quantities(found: consequences.Consequences, currency: str) -> dict[str, tuple[Values, str]]:
    """Every quantity that is reported, with its unit."""
    per_day = f"{currency}/day"
    return {
        EFFECT: (found.effect, per_day),
        HOURS: (found.minutes_saved / 60, "h/day"),
        MISSED: (1000 * found.missed_assisted, ""),
        f"{MISSED}, person alone": (1000 * found.missed_alone, ""),
        f"{MISSED}, assisted minus alone": (
            1000 * (found.missed_assisted - found.missed_alone),
            "",
        ),
        FALSE_ALARMS: (1000 * found.false_alarms_assisted, ""),
        f"{FALSE_ALARMS}, person alone": (1000 * found.false_alarms_alone, ""),
        "cost per day": (found.cost_assisted, per_day),
        "cost per day, person alone": (found.cost_alone, per_day),
    }


def value(found: Estimate) -> tuple[metrics.Metric, ...]:
    """Effect, time, misses, false alarms and cost, each with the interval of both parts."""
    return _measured(found, found.both, "")


def parts(found: Estimate) -> tuple[metrics.Metric, ...]:
    """The same for effect, time and misses, by sampling error alone and by assumptions alone."""
    kinds = {"sampling error alone": found.sampling, "assumptions alone": found.assumed}
    return tuple(
        each
        for words, inputs in kinds.items()
        for each in _measured(found, inputs, f", {words}")
        if each.name.removesuffix(f", {words}") in (EFFECT, HOURS, MISSED)
    )


def change(candidate: Estimate, baseline: Estimate) -> tuple[metrics.Metric, ...]:
    """What changed against a baseline's tally, both under the same assumptions.

    The same draws of the assumptions are on both sides, so that only what differs remains. The
    tallies are taken as independent: where both are of the same images, the interval is too wide
    rather than too narrow. Both estimates must be of one model and seed; baselines draw their
    shares with another seed.
    """
    currency, n = candidate.model.currency, min(candidate.tally.n, baseline.tally.n)
    names = (EFFECT, HOURS, MISSED, FALSE_ALARMS)
    best, drawn = (
        [_quantities(each.follow(inputs), currency) for each, inputs in sides]
        for sides in (
            ((candidate, candidate.best), (baseline, baseline.best)),
            ((candidate, candidate.both), (baseline, baseline.both)),
        )
    )
    return tuple(
        metric(
            f"change of {name}",
            best[0][name][0] - best[1][name][0],
            drawn[0][name][0] - drawn[1][name][0],
            n,
            best[0][name][1],
        )
        for name in names
    )


def against(baseline: tally.Tally, candidate: Estimate, *, seed: int) -> Estimate:
    """A baseline's tally under the candidate's model and with its draws of the assumptions."""
    draws = len(candidate.both.shares)
    theirs = of(baseline, candidate.model, seed=seed + 1, draws=draws)
    given = candidate.both.given
    return Estimate(
        candidate.model,
        baseline,
        theirs.best,
        Inputs(theirs.both.shares, given),
        theirs.sampling,
        Inputs(theirs.assumed.shares, given),
    )


def _measured(found: Estimate, inputs: Inputs, suffix: str) -> tuple[metrics.Metric, ...]:
    currency = found.model.currency
    best = _quantities(found.follow(found.best), currency)
    drawn = _quantities(found.follow(inputs), currency)
    # A person's own misses are assumed; what they depend on here is the mix of classes.
    counted = {MISSED: found.findings}
    return tuple(
        metric(name + suffix, at, drawn[name][0], counted.get(name, found.tally.n), unit)
        for name, (at, unit) in best.items()
    )

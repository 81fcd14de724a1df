"""How latency grows with the rate, where it begins to hurt, and the highest rate that is kept up.

The search climbs from rate to rate by a factor until the objective is missed, then halves the gap
between what held and what did not (on a logarithmic scale, as rates compare by ratios). Then it
finds the limit again, as often as asked, by going up or down from there: how far these lie apart
says how sure the limit is. One look at a noisy machine proves little, so a rate that misses the
objective is tried once more before it counts as missed.

The search never goes on at a service in distress: after each step it waits until the service is
quiet, and it ends where the service does not come back. Where the generator cannot send faster, it
goes no higher: then the limit is at least what held.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, NamedTuple, Self

import pydantic

from calumma.evaluation import document
from calumma.scoring import metrics
from calumma.statistics import intervals

LIMIT = "highest rate under the objective"

_MOST_STEPS = 8
"""Up or down in one repetition: beyond, the limit has moved and a repetition says nothing."""

Positive = Annotated[float, pydantic.Field(gt=0, allow_inf_nan=False)]


class Objective(document.Part):
    """What a service promises (an SLO): a latency that a share of the requests keeps to."""

    latency_ms: Positive
    quantile: Annotated[float, pydantic.Field(gt=0, lt=1)] = 0.99
    """The share of the requests that must be answered within it."""
    failed: Annotated[float, pydantic.Field(ge=0, lt=1)] = 0.001
    """The share of the requests that may fail."""

    def is_met(self, latency_ms: float | None, failed: float | None) -> bool:
        """Whether a latency at the quantile and a share of failures keep to it; unknown do not."""
        if latency_ms is None or failed is None:
            return False
        return latency_ms <= self.latency_ms and failed <= self.failed

    def __str__(self) -> str:
        return (
            f"p{100 * self.quantile:g} at most {self.latency_ms:g} ms and at most "
            f"{100 * self.failed:g}% failed"
        )


class Search(document.Part):
    """How the highest rate is looked for."""

    start: Positive
    """Requests a second to begin with."""
    maximum: Positive
    """The rate beyond which nobody wants to know."""
    factor: Annotated[float, pydantic.Field(gt=1)] = 2.0
    precision: Annotated[float, pydantic.Field(gt=1)] = 1.1
    """How far apart the highest rate that held and the lowest that did not may be."""
    seconds: Positive = 10.0
    """How long a rate is measured."""
    warm_up: Annotated[float, pydantic.Field(ge=0)] = 2.0
    """Seconds at that rate before, which do not count."""
    settle: Annotated[float, pydantic.Field(ge=0)] = 5.0
    """Seconds of silence after a rate; of two scrapes, the server's own times are known as well."""
    repeats: Annotated[int, pydantic.Field(ge=1, le=20)] = 3

    @pydantic.model_validator(mode="after")
    def _upwards(self) -> Self:
        if self.maximum < self.start:
            raise ValueError(f"the maximum {self.maximum:g} is below the start {self.start:g}")
        return self


class Step(NamedTuple):
    """A rate that was measured; times in seconds, rates in requests a second.

    ``offered`` is what chance made of the rate.
    ``began`` and ``ended`` are Unix times around it, with warm-up and silence. ``latency`` is the
    objective's quantile, in milliseconds, and ``mean`` the mean in seconds, None without answers;
    ``failed`` is the share of requests that failed. ``holds`` says whether the objective was met,
    ``sound`` whether the generator kept its times, ``alive`` whether the service answered quickly
    again afterwards.
    """

    rate: float
    requests: int
    offered: float
    achieved: float
    mean: float | None
    latency: metrics.Metric
    failed: float
    holds: bool
    sound: bool
    alive: bool
    began: float
    ended: float


class Limit(NamedTuple):
    """One repetition's result: the highest rate that held, 0 for none, and the lowest that missed.

    ``missed`` is None where none was seen to miss.
    """

    held: float
    missed: float | None


@dataclass
class Curve:
    """All steps in their order, the limit as often as it was found, and what ended it early."""

    steps: list[Step] = field(default_factory=list)
    limits: list[Limit] = field(default_factory=list)
    ended: str = ""

    @property
    def limit(self) -> metrics.Metric:
        """The median of the limits; n are the repetitions.

        The interval reaches from the lowest rate at which one repetition still held to the highest
        at which one missed. So the true median of repetitions is outside of it with probability
        ``2 ** (1 - n)``, whatever their distribution (the sign test's interval).
        """
        n = len(self.limits)
        alive = all(step.alive for step in self.steps)
        if not n or not alive:
            return metrics.Metric(LIMIT, None, 0, None, "/s")
        value = statistics.median(each.held for each in self.limits)
        low = min(each.held for each in self.limits)
        high = max(each.missed or each.held for each in self.limits)
        interval = intervals.Interval(low, max(high, value)) if n > 1 else None
        return metrics.Metric(LIMIT, value, n, interval, "/s", level=1 - 2.0 ** (1 - n))

    @property
    def knee(self) -> Step | None:
        """The step of most power, which is throughput over mean latency; None when not reached.

        Below it more load buys more answers than it costs in waiting, above it the other way
        round. Source: L. Kleinrock, Proc. ICC (1979) 43.1.1-10; R. Jain, The Art of Computer
        Systems Performance Analysis (1991), section 3.3. At the highest measured rate it is not
        known to be the knee.
        """
        powers = {
            step: step.achieved / step.mean for step in self.steps if step.sound and step.mean
        }
        if not powers:
            return None
        best = max(powers, key=lambda step: powers[step])
        return best if best.rate < max(step.rate for step in powers) else None


Measure = Callable[[float], Awaitable[Step]]


async def explore(measure: Measure, search: Search) -> Curve:
    """Search the highest rate at which the objective holds; ``measure`` measures one rate."""
    found = Curve()
    explorer = _Explorer(measure, search, found)
    await explorer.climb()
    while found.limits and len(found.limits) < search.repeats and not explorer.is_over:
        await explorer.repeat(found.limits[0])
    return found


class _Explorer:
    """One search; ``is_over`` once nothing more may be sent."""

    def __init__(self, measure: Measure, search: Search, curve: Curve) -> None:
        self.is_over = False
        self._maximum = search.maximum
        self._measure, self._search, self._curve = measure, search, curve

    async def climb(self) -> None:
        """Up by the factor until a rate misses, then between the last two."""
        held, missed, rate = 0.0, math.inf, self._search.start
        while held < self._maximum:
            holds = await self._holds(rate)
            if holds is None:
                break
            held, missed = (rate, missed) if holds else (held, rate)
            if missed < math.inf:
                break
            rate = min(rate * self._search.factor, self._maximum)
        while held and missed < math.inf and missed / held > self._search.precision:
            middle = math.sqrt(held * missed)
            holds = await self._holds(middle)
            if holds is None:
                break
            held, missed = (middle, missed) if holds else (held, middle)
        if missed == math.inf:
            self._maximum = held
        self._take(held, missed)

    async def repeat(self, first: Limit) -> None:
        """Up or down from the limit until it is found again."""
        held, missed = 0.0, math.inf
        rate = first.held or self._search.start
        for _ in range(_MOST_STEPS):
            holds = await self._holds(rate)
            if holds is None:
                self.is_over = True
                break
            held, missed = (max(held, rate), missed) if holds else (held, min(missed, rate))
            if (held and missed < math.inf) or (holds and rate >= self._maximum):
                break
            step = self._search.precision if holds else 1 / self._search.precision
            rate = min(rate * step, self._maximum)
        self._take(held, missed)

    async def _holds(self, rate: float) -> bool | None:
        """Whether a rate holds, at the second try if need be; None when that cannot be known."""
        for _ in range(2):
            step = await self._measure(rate)
            self._curve.steps.append(step)
            if not step.alive:
                self.is_over = True
                self._curve.ended = f"after {rate:.4g}/s the service did not come back"
                return None
            if step.holds:
                return True
            if not step.sound:
                self._curve.ended = f"the generator could not send {rate:.4g}/s on time"
                return None
        return False

    def _take(self, held: float, missed: float) -> None:
        if held or missed < math.inf:
            self._curve.limits.append(Limit(held, None if missed == math.inf else missed))


def table(found: Curve) -> list[metrics.Metric]:
    """The objective's quantile at each rate as it was measured; repetitions are numbered."""
    rows = []
    seen: Counter[str] = Counter()
    for step in found.steps:
        name = f"{step.latency.name} at {step.rate:.4g}/s"
        seen[name] += 1
        number = f" ({seen[name]})" if seen[name] > 1 else ""
        rows.append(replace(step.latency, name=name + number))
    return rows


def shown(steps: Sequence[Step]) -> list[Step]:
    """The steps by rate, for a figure; of a rate that was measured often, all."""
    return sorted(steps, key=lambda step: (step.rate, step.began))

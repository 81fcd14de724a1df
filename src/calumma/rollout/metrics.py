"""What Prometheus is told of rollouts, as text that the node serves with its own metrics.

The file stays when the process ends, and that is its point: ``look_expected`` says until when the
next look should have been, so that a rule notices a rollout that nobody carries out any more (a
dead man's switch), and ``traffic_expected`` until when the canary should have had a request. A
bound that is not known yet is missing. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from calumma.monitoring import textfile
from calumma.monitoring.textfile import Family, Sample
from calumma.rollout.state import Phase, Reading, State

FILE = "rollouts.prom"
PREFIX = "calumma_rollout"
PATIENCE = 10
"""Looks in a row that may be missing."""

INFO = Family("info", "gauge", "1 for what is rolled out, with its revisions and its strategy.")
PHASE = Family("phase", "gauge", "1 for the phase that the rollout is in.")
STEP = Family("step", "gauge", "The step that it is in, from 1.")
STEPS = Family("steps", "gauge", "How many steps there are.")
WEIGHT = Family("weight_percent", "gauge", "The canary's share that was set last, in percent.")
BEGAN = Family("began_timestamp_seconds", "gauge", "When it began.")
ENDED = Family("ended_timestamp_seconds", "gauge", "When it ended.")
LOOK = Family(
    "look_expected_timestamp_seconds", "gauge", "When the next look is overdue, unless it ended."
)
TRAFFIC = Family(
    "traffic_expected_timestamp_seconds",
    "gauge",
    "When a request to the canary is overdue, while some are expected.",
)
TROUBLE = Family("trouble", "gauge", "1 for what keeps it from knowing, by where.")
ESTIMATE = Family(
    "metric_estimate", "gauge", "The canary's value minus stable's: positive is worse."
)
LOW = Family("metric_low", "gauge", "The estimate's lower bound, at all looks at once.")
HIGH = Family("metric_high", "gauge", "The estimate's upper bound, at all looks at once.")
MARGIN = Family("metric_margin", "gauge", "By how much the canary may be worse.")
OBSERVATIONS = Family("metric_observations", "gauge", "What the estimate rests on, by arm.")
VALUE = Family("metric_value", "gauge", "The value itself, by arm.")
VERDICT = Family("metric_verdict", "gauge", "1 for what the counts say.")

FAMILIES = (
    *(INFO, PHASE, STEP, STEPS, WEIGHT, BEGAN, ENDED, LOOK, TRAFFIC, TROUBLE),
    *(ESTIMATE, LOW, HIGH, MARGIN, OBSERVATIONS, VALUE, VERDICT),
)


def exposition(states: Iterable[State]) -> str:
    """The metrics of rollouts, of each service the last one, in Prometheus' text format."""
    samples = (sample for state in states for sample in _samples(state))
    return textfile.text(PREFIX, FAMILIES, samples)


def look_expected(state: State) -> float | None:
    """When the next look is overdue; None once the rollout has ended."""
    if state.phase.ended:
        return None
    return (state.looked or state.began) + PATIENCE * state.policy.interval


def traffic_expected(state: State) -> float | None:
    """When a request to the canary is overdue; None while none is expected."""
    asked = state.weight > 0 or state.policy.sources.pairs is not None
    since = max(state.busy or 0.0, state.stepped or 0.0)
    if state.phase is not Phase.PROGRESSING or not since or not asked:
        return None
    return since + state.policy.quiet


def _samples(state: State) -> Iterator[Sample]:
    policy = state.policy
    service = {"namespace": policy.namespace, "service": policy.service}

    def sample(family: Family, value: float, **more: str) -> Sample:
        return Sample(family, value, {**service, **more})

    about = {"rollout": state.id, "stable": state.stable, "strategy": policy.strategy}
    yield sample(INFO, 1, **about, canary=state.canary or "")
    yield sample(PHASE, 1, phase=state.phase)
    yield sample(STEP, state.step + 1)
    yield sample(STEPS, len(policy.steps))
    yield sample(WEIGHT, state.weight)
    yield sample(BEGAN, state.began)
    for family, time in (
        (ENDED, state.ended),
        (LOOK, look_expected(state)),
        (TRAFFIC, traffic_expected(state)),
    ):
        if time is not None:
            yield sample(family, time)
    for where in sorted(state.troubles):
        yield sample(TROUBLE, 1, source=where)
    for reading in state.readings:
        for each in _reading(reading):
            yield sample(each.family, each.value, **each.labels)


def _reading(reading: Reading) -> Iterator[Sample]:
    named = {"metric": reading.name, "unit": reading.unit}
    canary, stable = {**named, "arm": "canary"}, {**named, "arm": "stable"}
    for family, value, labels in (
        (ESTIMATE, reading.estimate, named),
        (LOW, reading.low, named),
        (HIGH, reading.high, named),
        (MARGIN, reading.margin, named),
        (OBSERVATIONS, reading.n, canary),
        (OBSERVATIONS, reading.other_n, stable),
        (VALUE, reading.value, canary),
        (VALUE, reading.other_value, stable),
    ):
        if value is not None and math.isfinite(value):
            yield Sample(family, value, labels)
    yield Sample(VERDICT, 1, {"metric": reading.name, "verdict": reading.verdict})

"""What was counted, as increments of the metrics that it says something of. No I/O.

A request that failed is a wrong answer, agrees with nothing, and has no latency.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from calumma.canary.counts import Sides
from calumma.load.pairs import Pair
from calumma.monitoring.counting import Counts
from calumma.rollout import disagreements, policy, state
from calumma.scoring import cases


class Judged(NamedTuple):
    """An answer of which somebody knows what would have been right; None: it failed."""

    truth: str
    label: str | None


def of_requests(
    metrics: Iterable[policy.Metric], found: Sides[Sequence[Counts]], step: int
) -> dict[str, state.Tally]:
    """Increments by Prometheus' counts of both sides' components, by the metrics' names."""
    tallies = {}
    for metric in metrics:
        if isinstance(metric, policy.Errors):
            counts = [
                (sum(c.requests for c in side), sum(c.errors for c in side)) for side in found
            ]
        elif isinstance(metric, policy.Slow):
            slow = [[c.slower(metric.milliseconds) for c in side] for side in found]
            counts = [(sum(n for _, _, n in side), sum(k for _, k, _ in side)) for side in slow]
        else:
            continue
        tallies[metric.name] = _windows(step, Sides(*counts))
    return _something(tallies)


def of_pairs(
    metrics: Iterable[policy.Metric], found: Sequence[Pair], step: int
) -> dict[str, state.Tally]:
    """Increments by pairs, by the metrics' names."""
    judged = [list(map(_judged, side)) for side in _sides(found)]
    tallies = {}
    for metric in metrics:
        match metric:
            case policy.Correct(source="pairs"):
                tallies[metric.name] = state.Tally(pairs=_both_right(found, metric.labels))
            case policy.Value(source="pairs"):
                tallies[metric.name] = _moments(metric, step, judged)
            case policy.Agreement():
                alike = sum(disagreements.agree(each) for each in found)
                tallies[metric.name] = state.Tally(agreed=(alike, len(found)))
            case policy.Latency():
                stable, canary = (_times(side) for side in _sides(found))
                tallies[metric.name] = state.Tally(times=canary, other_times=stable)
    return _something(tallies)


def of_feedback(
    metrics: Iterable[policy.Metric], found: Mapping[int, Sides[list[Judged]]]
) -> dict[str, state.Tally]:
    """Increments by feedback by the step in which users were answered, by the metrics' names."""
    tallies = {}
    for metric in metrics:
        parts = []
        for step, sides in sorted(found.items()):
            if isinstance(metric, policy.Correct) and metric.source == "feedback":
                counts = (_wrong(side, metric.labels) for side in sides)
                parts.append(_windows(step, Sides(*counts)))
            elif isinstance(metric, policy.Value) and metric.source == "feedback":
                parts.append(_moments(metric, step, sides))
        tallies[metric.name] = state.Tally(
            windows=tuple(each for part in parts for each in part.windows),
            moments=tuple(each for part in parts for each in part.moments),
        )
    return _something(tallies)


def cost(metric: policy.Value, found: Judged) -> float:
    """What an answer costs: missing what is right, and saying what is wrong."""
    if found.label == found.truth:
        return 0.0
    if found.label is None:
        return metric.other
    parts = (metric.missed.get(found.truth), metric.falseAlarm.get(found.label))
    known = [each for each in parts if each is not None]
    return sum(known) if known else metric.other


def _something(tallies: Mapping[str, state.Tally]) -> dict[str, state.Tally]:
    """Those in which there is anything."""
    return {name: each for name, each in tallies.items() if each != state.Tally()}


def _windows(step: int, counts: Sides[tuple[int, int]]) -> state.Tally:
    """One window by observations and bad ones of each side, if there are any."""
    (other_n, other_events), (n, events) = counts
    if not n + other_n:
        return state.Tally()
    window = state.Window(step=step, n=n, events=events, other_n=other_n, other_events=other_events)
    return state.Tally(windows=(window,))


def _wrong(found: Iterable[Judged], labels: Sequence[str]) -> tuple[int, int]:
    """How many of a slice there are, and how many of them are wrong."""
    inside = [each for each in found if not labels or each.truth in labels]
    return len(inside), sum(each.label != each.truth for each in inside)


def _both_right(found: Iterable[Pair], labels: Sequence[str]) -> tuple[int, int, int, int]:
    """Pairs of a slice: both right, only the canary, only stable, neither."""
    right = Counter(
        (pair.canary.correct, pair.stable.correct)
        for pair in found
        if pair.stable.case.label is not None and (not labels or pair.stable.case.label in labels)
    )
    return right[True, True], right[True, False], right[False, True], right[False, False]


def _moments(
    metric: policy.Value, step: int, sides: Iterable[Sequence[Judged | None]]
) -> state.Tally:
    """The costs of both sides' answers, if there are any."""
    (other_n, other_total, other_squares), (n, total, squares) = (
        _costs(metric, side) for side in sides
    )
    if not n + other_n:
        return state.Tally()
    moments = state.Moments(
        step=step,
        n=n,
        total=total,
        squares=squares,
        other_n=other_n,
        other_total=other_total,
        other_squares=other_squares,
    )
    return state.Tally(moments=(moments,))


def _costs(metric: policy.Value, found: Iterable[Judged | None]) -> tuple[int, float, float]:
    """How many answers, the sum of their costs, and that of the squares."""
    values = [cost(metric, each) for each in found if each is not None]
    return len(values), sum(values), sum(value * value for value in values)


def _times(answers: Iterable[cases.Answer]) -> dict[str, int]:
    """How often each latency in milliseconds, to two significant digits."""
    return Counter(
        f"{float(f'{1000 * each.seconds:.2g}'):.10g}" for each in answers if each.failure is None
    )


def _judged(answer: cases.Answer) -> Judged | None:
    return None if answer.case.label is None else Judged(answer.case.label, answer.label)


def _sides(found: Sequence[Pair]) -> Sides[Sequence[cases.Answer]]:
    return Sides([pair.stable for pair in found], [pair.canary for pair in found])

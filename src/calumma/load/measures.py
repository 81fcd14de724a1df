"""What a window of load amounts to, as metrics with their intervals.

Latencies are those of requests that were meant to be answered and were, from the time they were
meant to be sent. Their intervals come from a bootstrap of blocks, since requests that meet the same
stall are slow together. A quantile that the window cannot bound from above (the 99.9th percentile
of a thousand requests) has no interval, so that no gate passes on it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Sequence
from functools import partial

import numpy as np

from calumma.load.generator import NOT_SENT, Outcome
from calumma.scoring import gates, metrics
from calumma.statistics import blocks, intervals

QUANTILES = (0.5, 0.9, 0.95, 0.99, 0.999)

ON_TIME = "sent on time"
PUNCTUAL = 0.99
"""The share of requests that the generator must send on time, or the run says nothing."""


def within(outcomes: Sequence[Outcome], start: float, end: float) -> list[Outcome]:
    """The requests that were meant to be sent from ``start`` until before ``end``."""
    return [each for each in outcomes if start <= each.intended < end]


def of_revision(outcomes: Sequence[Outcome]) -> dict[str, list[Outcome]]:
    """The requests by the predictor revision that answered, in order of their names."""
    found: dict[str, list[Outcome]] = {}
    for each in outcomes:
        if each.reply is not None and each.reply.revisions.predictor is not None:
            found.setdefault(each.reply.revisions.predictor, []).append(each)
    return dict(sorted(found.items()))


def of_payload(outcomes: Sequence[Outcome], names: Collection[str]) -> list[Outcome]:
    """The requests with these payloads."""
    return [each for each in outcomes if each.case.metadata.get("payload") in names]


def latencies(
    outcomes: Sequence[Outcome], *, seed: int, of: str = "", quantiles: Sequence[float] = QUANTILES
) -> list[metrics.Metric]:
    """``latency p50`` and so on, and ``latency max``, of the answered requests, in milliseconds.

    ``of`` says whose, behind the name. The maximum has no interval: the next could be anything.
    """
    found = np.array([1000 * each.latency for each in outcomes if each.failure is None])
    suffix = f" of {of}" if of else ""
    names = [f"latency p{100 * q:g}{suffix}" for q in quantiles]
    longest = f"latency max{suffix}"
    if not found.size:
        return [metrics.Metric(name, None, 0, None, "ms") for name in (*names, longest)]
    values = np.quantile(found, quantiles)
    bounds = blocks.intervals(partial(np.quantile, q=quantiles, axis=-1), found, seed=seed)
    return [
        *(
            metrics.Metric(
                name, float(value), found.size, bound if found.size >= least(q) else None, "ms"
            )
            for name, value, bound, q in zip(names, values, bounds, quantiles, strict=True)
        ),
        metrics.Metric(longest, float(found.max()), found.size, None, "ms"),
    ]


def least(quantile: float, confidence: float = 0.95) -> int:
    """How many values there must be for one to lie above a quantile, with this confidence.

    Of n independent values all are below it with probability ``quantile ** n``. Source: W. Conover,
    Practical Nonparametric Statistics (1999), section 3.2.
    """
    return math.ceil(math.log((1 - confidence) / 2) / math.log(quantile))


def failures(outcomes: Sequence[Outcome], name: str = "failed requests") -> metrics.Metric:
    """The share of requests that got another answer than they were meant to get, or none.

    Wilson's interval takes failures for independent; where they come in bunches it is too narrow.
    """
    return metrics.proportion(
        name, sum(each.failure is not None for each in outcomes), len(outcomes)
    )


def classes(outcomes: Sequence[Outcome]) -> list[metrics.Metric]:
    """The share of requests that failed in each way, the most frequent first."""
    found = Counter(each.failure for each in outcomes if each.failure is not None)
    ordered = sorted(found.items(), key=lambda item: (-item[1], item[0]))
    return [metrics.proportion(f"failed: {kind}", n, len(outcomes)) for kind, n in ordered]


def on_time(outcomes: Sequence[Outcome], tolerance: float) -> metrics.Metric:
    """The share of requests that the generator came to within ``tolerance`` seconds of their time.

    Waiting for a free connection is not its fault, and does not count here.
    """
    punctual = sum(each.behind <= tolerance for each in outcomes)
    return metrics.proportion(ON_TIME, punctual, len(outcomes))


def waited(outcomes: Sequence[Outcome], tolerance: float) -> metrics.Metric:
    """The share of requests that waited for a free connection; the wait is in their latency."""
    count = sum(each.sent - each.due > tolerance or each.failure == NOT_SENT for each in outcomes)
    return metrics.proportion("waited for a connection", count, len(outcomes))


def offered(outcomes: Sequence[Outcome], seconds: float) -> metrics.Metric:
    """Requests a second that were meant to be sent: counted, so without a width."""
    return _rate("offered rate", len(outcomes), len(outcomes), seconds)


def achieved(outcomes: Sequence[Outcome], end: float, seconds: float) -> metrics.Metric:
    """Requests a second that were answered before the window's ``end``."""
    count = sum(each.failure is None and each.finished < end for each in outcomes)
    return _rate("achieved rate", count, len(outcomes), seconds)


def is_sound(punctual: metrics.Metric) -> bool:
    """Whether the generator kept its times, so that the run says something of the service."""
    return punctual.value is not None and punctual.value >= PUNCTUAL


def judged(
    decision: gates.Decision, punctual: metrics.Metric, stopped: str | None
) -> gates.Decision:
    """The decision, or what the run itself decides.

    A load that had to be stopped is a fail. Where the generator fell behind, latencies are partly
    its own, so that neither a pass nor a fail would be the service's: inconclusive.
    """
    if stopped is not None:
        gate = gates.Gate("share of the pattern that was sent", gates.Bound.AT_LEAST, 1.0)
        ruling = gates.Ruling(gate, gates.Verdict.FAIL, stopped)
        return gates.Decision(gates.Verdict.FAIL, (ruling, *decision.rulings))
    if is_sound(punctual):
        return decision
    gate = gates.Gate(ON_TIME, gates.Bound.AT_LEAST, PUNCTUAL)
    found = "no request was sent" if punctual.value is None else f"{100 * punctual.value:.1f}%"
    reason = (
        f"the generator fell behind ({found} {ON_TIME}, {100 * PUNCTUAL:g}% are needed), so the "
        "latencies are partly its own"
    )
    ruling = gates.Ruling(gate, gates.Verdict.INCONCLUSIVE, reason)
    return gates.Decision(gates.Verdict.INCONCLUSIVE, (ruling, *decision.rulings))


def _rate(name: str, count: int, n: int, seconds: float) -> metrics.Metric:
    value = count / seconds
    return metrics.Metric(name, value, n, intervals.Interval(value, value), "/s")

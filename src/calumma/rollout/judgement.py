"""What the counts say of each metric at any look: worse, not worse by the margin, or unclear.

All errors of all looks together stay below the policy's alpha, which is divided evenly among its
metrics: with a chance of at most alpha a canary that is no worse is ever called worse. The same
holds on the other side: for each metric, a canary that is worse by the margin or more is called
fine with a chance of at most that metric's alpha. Of no data nothing is said.

Pure. The statistics are those of :mod:`calumma.statistics.designs`; next:
:mod:`~calumma.rollout.decision`, which acts on readings.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from calumma import errors
from calumma.rollout import policy as policies
from calumma.rollout import wording
from calumma.rollout.state import Moments, Reading, Tally, Verdict, Window
from calumma.statistics import groups, means, pairs, proportions, quantiles, splits, windows
from calumma.statistics.designs import Design, Finding

Counted = TypeVar("Counted", Window, Moments)

TIGHT = 1000
"""Observations for which a sequence is tightest where a metric plans nothing."""


@dataclass(frozen=True)
class Split:
    """Whether the canary got its declared share of the requests; shares are from 0 to 1."""

    declared: float | None
    """Over all steps; None before the first request, and where a share was 0 or 100 percent."""
    share: float | None
    n: int
    p_value: float
    mismatch: bool
    sentence: str


def alphas(policy: policies.Policy) -> dict[str, float]:
    """The chance of a false rollback that each metric may have, by its name."""
    return {metric.name: policy.alpha / len(policy.metrics) for metric in policy.metrics}


def division(policy: policies.Policy) -> str:
    """For reports: how alpha is divided."""
    return wording.division(policy.alpha, [metric.name for metric in policy.metrics])


def read(metric: policies.Metric, tally: Tally, alpha: float) -> Reading:
    """What is known of a metric now.

    Where a canary is shown to be worse, but by less than the margin, it is fine: the margin says
    what is tolerated. Raises :class:`~calumma.errors.EvaluationError` for an alpha or prices with
    which nothing can be judged.
    """
    found = _read(metric, tally, alpha)
    return found.model_copy(update={"sentence": wording.sentence(metric, found)})


def verdict(found: Finding, margin: float) -> Verdict:
    """What is said of two arms' means."""
    if found.high < margin:
        return Verdict.FINE
    return Verdict.WORSE if found.worse else Verdict.UNCLEAR


def impossible(metric: policies.Metric, alpha: float) -> str | None:
    """Why nothing can show a metric's margin within its plan, in a sentence; None if it can.

    The bound that is looked at is that of a canary without a single bad observation.
    """
    if isinstance(metric, policies.Agreement | policies.Latency) or metric.planned is None:
        return None
    square = groups.spent([1.0], _design(metric, alpha).early, one_sided=True)[0] ** 2
    least = square / (metric.planned + square)
    if least < metric.margin:
        return None
    needed = math.ceil(square * (1 - metric.margin) / metric.margin) + 1
    return (
        f"the metric {metric.name} has a margin of {metric.margin:g} and plans {metric.planned} "
        f"observations, of which even a perfect canary is only shown to be within {least:.2g}; "
        f"plan at least {needed}, and many more for one that is like stable, or widen the margin"
    )


def better(reading: Reading) -> bool:
    """Whether the canary is shown to be better than stable; never of an agreement."""
    return bool(reading.n and reading.other_n) and reading.high < 0


def split(requests: Sequence[tuple[int, int, int]], alpha: float = 0.001) -> Split:
    """Whether requests were divided as declared, at any look.

    ``requests`` are each step's declared weight in percent, the canary's requests and stable's.
    """
    told = [
        splits.Step(weight / 100, ours, theirs)
        for weight, ours, theirs in requests
        if 0 < weight < 100 and ours + theirs
    ]
    n = sum(each.ours + each.theirs for each in told)
    if not n:
        return Split(None, None, 0, 1.0, False, "no request has been divided yet")
    p_value = splits.p_value(told, alpha=alpha)
    declared = sum(each.share * (each.ours + each.theirs) for each in told) / n
    found = Split(declared, sum(each.ours for each in told) / n, n, p_value, p_value <= alpha, "")
    return replace(found, sentence=wording.split(found.declared, found.share, n, found.mismatch))


def add(tally: Tally, more: Tally) -> Tally:
    """All that was counted, with what came since the last look; without anything new, the same.

    A window to which one arm has not contributed yet stays open for what comes next in its step,
    as rare labels may not reach both arms between two looks.
    """
    pair_looks = tally.pair_looks
    if any(more.pairs):
        pair_looks = (*pair_looks, more.pairs)
    return Tally(
        windows=_appended(tally.windows, more.windows),
        moments=_appended(tally.moments, more.moments),
        pairs=pairs.Table(*map(sum, zip(tally.pairs, more.pairs, strict=True))),
        pair_looks=pair_looks,
        agreed=(tally.agreed[0] + more.agreed[0], tally.agreed[1] + more.agreed[1]),
        times=_merged(tally.times, more.times),
        other_times=_merged(tally.other_times, more.other_times),
    )


def _read(metric: policies.Metric, tally: Tally, alpha: float) -> Reading:
    match metric:
        case policies.Agreement():
            return _agreement(metric, tally, alpha)
        case policies.Latency():
            return _latency(metric, tally, alpha)
        case policies.Value():
            return _value(metric, tally, alpha)
        case policies.Correct(source="pairs"):
            return _pairs(metric, tally, alpha)
        case _:
            return _rates(metric, tally, alpha)


def _rates(
    metric: policies.Errors | policies.Slow | policies.Correct, tally: Tally, alpha: float
) -> Reading:
    """The share of bad ones in two arms, window by window."""
    looks = [
        windows.Window(each.n, each.events, each.other_n, each.other_events)
        for each in tally.windows
    ]
    found = windows.follow(looks, _design(metric, alpha))
    n, other_n = sum(each.n for each in looks), sum(each.other_n for each in looks)
    return _compared(metric, found, alpha, (n, other_n))


def _pairs(metric: policies.Correct, tally: Tally, alpha: float) -> Reading:
    """The share of wrong answers of both to the same requests."""
    looks = [pairs.Table(*each) for each in tally.pair_looks]
    found = pairs.follow(looks, _design(metric, alpha))
    n = sum(tally.pairs)
    return _compared(metric, found, alpha, (n, n))


def _value(metric: policies.Value, tally: Tally, alpha: float) -> Reading:
    """What an answer costs on average."""
    most = max([*metric.missed.values(), *metric.falseAlarm.values(), metric.other])
    if most <= 0:
        raise errors.EvaluationError(
            f"all mistakes of the metric {metric.name} cost nothing, so that no canary can be "
            "worse; give missed, falseAlarm or other a price above 0"
        )
    looks = [
        means.Window(*(getattr(each, name) for name in means.Window._fields))
        for each in tally.moments
    ]
    found = means.follow(looks, _design(metric, alpha), most=most)
    n, other_n = sum(each.n for each in looks), sum(each.other_n for each in looks)
    return _compared(metric, found, alpha, (n, other_n), most, metric.currency)


def _compared(
    metric: policies.Errors | policies.Slow | policies.Correct | policies.Value,
    found: Sequence[Finding],
    alpha: float,
    counts: tuple[int, int],
    most: float = 1.0,
    unit: str = "share",
) -> Reading:
    """The reading of two arms' means, each from 0 to ``most``, by the last of what was found."""
    margin = most * metric.margin
    last = found[-1] if found else None
    low, high = (last.low, last.high) if last else (-most, most)
    return Reading(
        name=metric.name,
        verdict=verdict(last, margin) if last else Verdict.UNCLEAR,
        estimate=last.estimate if last else None,
        low=low,
        high=high,
        margin=margin,
        alpha=alpha,
        n=counts[0],
        other_n=counts[1],
        value=last.ours if last else None,
        other_value=last.theirs if last else None,
        unit=unit,
    )


def _agreement(metric: policies.Agreement, tally: Tally, alpha: float) -> Reading:
    """The share of pairs that both answer alike."""
    same, n = tally.agreed
    low, high = proportions.sequential(same, n, alpha=_design(metric, alpha).late, n_opt=TIGHT)
    said = Verdict.UNCLEAR
    if n and low >= metric.at_least:
        said = Verdict.FINE
    elif n and high < metric.at_least:
        said = Verdict.WORSE
    share = same / n if n else None
    return Reading(
        name=metric.name,
        verdict=said,
        estimate=share,
        low=low,
        high=high,
        margin=metric.at_least,
        alpha=alpha,
        n=n,
        other_n=n,
        value=share,
        unit="share",
    )


def _latency(metric: policies.Latency, tally: Tally, alpha: float) -> Reading:
    """A quantile of the latencies of both; each arm's interval has half of alpha."""
    design = _design(metric, alpha)
    n_opt = design.planned or design.tight
    ours, theirs = _times(tally.times), _times(tally.other_times)
    estimate, low, high, margin = None, -wording.LONGEST, wording.LONGEST, 0.0
    value, other_value, said = None, None, Verdict.UNCLEAR
    if ours.size and theirs.size:
        value, other_value = (_quantile(each, metric.quantile) for each in (ours, theirs))
        estimate = value - other_value
        first, second = (
            quantiles.interval(each, metric.quantile, alpha=alpha / 2, n_opt=n_opt)
            for each in (ours, theirs)
        )
        margin = metric.margin * max(second.low, 0.0)
        low = max(first.low, 0.0) - min(second.high, wording.LONGEST)
        high = min(first.high, wording.LONGEST) - max(second.low, 0.0)
        p_value = quantiles.p_value(ours, theirs, metric.quantile, alpha=alpha, n_opt=n_opt)
        worse = low > 0 or (estimate > 0 and p_value <= alpha)
        low = max(low, 0.0) if worse else min(low, 0.0)
        said = verdict(Finding(value, other_value, low, high, worse), margin)
    return Reading(
        name=metric.name,
        verdict=said,
        estimate=estimate,
        low=low,
        high=high,
        margin=margin,
        alpha=alpha,
        n=int(ours.size),
        other_n=int(theirs.size),
        value=value,
        other_value=other_value,
        unit="ms",
    )


def _design(metric: policies.Metric, alpha: float) -> Design:
    planned = None if isinstance(metric, policies.Agreement) else metric.planned
    try:
        return Design(alpha, planned, TIGHT)
    except errors.EvaluationError as error:
        raise errors.EvaluationError(f"the metric {metric.name}: {error}") from error


def _times(counts: Mapping[str, int]) -> quantiles.Sample:
    """Latencies in milliseconds from how often there was each."""
    values = np.array([float(key) for key in counts], dtype=np.float64)
    return np.repeat(values, np.array(list(counts.values()), dtype=np.int64))


def _quantile(sample: quantiles.Sample, p: float) -> float:
    return float(np.quantile(sample, p, method="inverted_cdf"))


def _appended(seen: tuple[Counted, ...], more: tuple[Counted, ...]) -> tuple[Counted, ...]:
    found = list(seen)
    for each in more:
        if not (each.n or each.other_n):
            continue
        last = found[-1] if found else None
        if last and last.step == each.step and not (last.n and last.other_n):
            sums = {name: getattr(last, name) + value for name, value in each if name != "step"}
            found[-1] = last.model_copy(update=sums)
        else:
            found.append(each)
    return tuple(found)


def _merged(seen: dict[str, int], more: dict[str, int]) -> dict[str, int]:
    return {key: seen.get(key, 0) + more.get(key, 0) for key in {**seen, **more}}

"""What changed against a baseline: another revision on the same images, or an earlier report.

Two revisions that answered the same images are compared in pairs: an image that both get right, or
both wrong, says nothing about which is better, and the interval is several times narrower for it.
An earlier report holds no single answers, so that its numbers are compared as if they came from
other images: that is honest only about the same data, and then too careful rather than too bold.
Each change is a metric of its own, ``change of <metric>``, which gates judge like any other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from calumma import errors
from calumma.scoring import cases, metrics, sampling, slices
from calumma.statistics import intervals, weighted
from calumma.statistics import pairs as tests

PREFIX = "change of "


def pairs(
    candidate: Iterable[cases.Answer], baseline: Iterable[cases.Answer]
) -> tuple[list[cases.Answer], dict[str, cases.Answer]]:
    """The candidate's answers to cases that the baseline answered too, and the baseline's by id."""
    theirs = {answer.case.id: answer for answer in cases.distinct(baseline)}
    return [each for each in cases.distinct(candidate) if each.case.id in theirs], theirs


def share(
    name: str,
    sample: sampling.Sample,
    baseline: Mapping[str, cases.Answer],
    among: sampling.Selects = sampling.everything,
    *,
    picked: bool = False,
) -> tuple[metrics.Metric, metrics.Metric]:
    """The change of a share of right answers, and McNemar's p-value of "no change".

    ``sample`` holds the candidate's answers and ``baseline`` the others by the case's id, for each
    case of the sample; ``picked`` is that of :meth:`.sampling.Sample.share`. The p-value is of all
    cases as they come, without weights; its n is the number of cases on which the two differ.
    """
    counts: dict[str, Counter[tuple[bool, bool]]] = {}
    for answer, stratum in zip(sample.answers, sample.strata, strict=True):
        if among(answer):
            both = sampling.right(answer), sampling.right(baseline[answer.case.id])
            counts.setdefault(stratum, Counter())[both] += 1
    counted = {each: found for each, found in counts.items() if each in sample.weights}
    of = counts if picked and not counted else counted
    total = _pairs(sum(of.values(), Counter()))
    found = _change(total)
    if counted:
        parts = {each: _pairs(pairs) for each, pairs in counted.items()}
        found = sample.combine(
            {each: _change(part) for each, part in parts.items()},
            {each: part.n for each, part in parts.items()},
        )
    value = found.value if total.n else None
    return (
        metrics.Metric(PREFIX + name, value, total.n, found.interval),
        metrics.Metric(
            f"McNemar's p, {PREFIX}{name}", tests.mcnemar(total), total.discordant, None
        ),
    )


def shares(
    sample: sampling.Sample,
    baseline: Mapping[str, cases.Answer],
    classes: Iterable[str],
    groups: Iterable[tuple[slices.Slice, sampling.Selects, metrics.Metric]],
) -> list[metrics.Metric]:
    """The changes of the accuracy, of each class's recall and of each slice's accuracy."""
    wanted: list[tuple[str, sampling.Selects, bool]] = [
        ("accuracy", sampling.everything, False),
        *((f"recall of {name}", partial(sampling.is_of, name), False) for name in classes),
        *((metric.name, inside, True) for _, inside, metric in groups),
    ]
    return [
        each
        for name, among, picked in wanted
        for each in share(name, sample, baseline, among, picked=picked)
    ]


def since(
    measured: Sequence[metrics.Metric], report: Mapping[str, Any], *, sha256: str
) -> list[metrics.Metric]:
    """The changes of all metrics that an earlier ``report.json`` has as well.

    Raises :class:`~calumma.errors.EvaluationError` when that report is about other data.
    """
    earlier = report.get("data", {}).get("sha256")
    if earlier != sha256:
        raise errors.EvaluationError(
            f"the baseline's report is about other data (SHA-256 {str(earlier)[:12]}, here "
            f"{sha256[:12]}), so that a change of the numbers may be one of the data; evaluate "
            "both on the same data set"
        )
    theirs = {entry["name"]: entry for table in report["metrics"] for entry in table["metrics"]}
    return [_since(ours, theirs[ours.name]) for ours in measured if ours.name in theirs]


def _since(ours: metrics.Metric, theirs: Mapping[str, Any]) -> metrics.Metric:
    n = min(ours.n, theirs["n"])
    limits = theirs.get("interval")
    if ours.value is None or ours.interval is None or theirs["value"] is None or not limits:
        return metrics.Metric(PREFIX + ours.name, None, n, None, ours.unit)
    earlier = intervals.Interval(limits["low"], limits["high"])
    interval = intervals.difference(ours.value, ours.interval, theirs["value"], earlier)
    change = ours.value - theirs["value"]
    return metrics.Metric(PREFIX + ours.name, change, n, interval, ours.unit)


def _change(found: tests.Table) -> weighted.Estimate:
    return weighted.Estimate(found.difference or 0.0, tests.newcombe(found))


def _pairs(counts: Mapping[tuple[bool, bool], int]) -> tests.Table:
    keys = ((True, True), (True, False), (False, True), (False, False))
    return tests.Table(*(counts.get(key, 0) for key in keys))

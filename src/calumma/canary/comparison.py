"""Answers of both revisions compared: accuracy, agreement, classes, confidence, the split. No I/O.

Every difference is the canary's value minus the stable one's. A p-value stands in the tables as a
metric without an interval; it says how often chance alone would differ as much, and decides
nothing by itself: with enough traffic every difference has a small one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from calumma.canary.counts import Counts, Sides, of_answers
from calumma.inference import Target
from calumma.load.pairs import Pair
from calumma.scoring import cases, metrics, report
from calumma.statistics import bootstrap, categories, exact, intervals, pairs

Answers = Sequence[cases.Answer]


class Quality(NamedTuple):
    """The table, and the difference in accuracy that is judged."""

    table: report.Table
    change: metrics.Metric


def of(answers: Answers, stable: str, canary: str) -> Sides[Answers]:
    """The answers of each of the two revisions."""
    return Sides(cases.of_revision(answers, stable), cases.of_revision(answers, canary))


def coinciding(sides: Sides[Answers]) -> list[Pair]:
    """Pairs that happen where both revisions answered the same case, the first answer of each."""
    stable = {each.case.id: each for each in cases.distinct(sides.stable)}
    canary = {each.case.id: each for each in cases.distinct(sides.canary)}
    return [Pair(stable[name], canary[name]) for name in sorted(stable.keys() & canary.keys())]


def quality(sides: Sides[Answers], *, paired: Sequence[Pair] | None, name: str) -> Quality:
    """Accuracy of both, and their difference, called ``name``; of pairs where there are."""
    both = Sides(*(cases.distinct(each) for each in sides))
    stable = metrics.accuracy(both.stable, "accuracy of stable")
    canary = metrics.accuracy(both.canary, "accuracy of canary")
    if paired is None:
        change = metrics.difference(name, canary, stable)
        how = "Distinct images that each revision answered, not the same ones for both."
    else:
        table = discordance(paired)
        change = metrics.Metric(name, table.difference, table.n, pairs.newcombe(table))
        how = "Both revisions answered the same images; the interval of the difference knows it."
    note = f"{how} Images without a known label count for nothing, a failed request as wrong."
    return Quality(report.Table("Accuracy", note, (stable, canary, change)), change)


def discordance(paired: Sequence[Pair]) -> pairs.Table:
    """How many labelled pairs both got right, only the canary, only the stable one, and neither."""
    found = Counter(
        (bool(pair.canary.correct), bool(pair.stable.correct))
        for pair in paired
        if pair.stable.correct is not None
    )
    return pairs.Table(
        found[True, True], found[True, False], found[False, True], found[False, False]
    )


def agreement(paired: Sequence[Pair]) -> report.Table:
    """How often both say the same, and who is right where they do not."""
    answered = [p for p in paired if p.stable.label is not None and p.canary.label is not None]
    same = sum(pair.stable.label == pair.canary.label for pair in answered)
    found = discordance(paired)
    return report.Table(
        "Agreement on the same images",
        "A failed request agrees with nothing and is left out of the first row only. The last row "
        "is McNemar's exact test: how often chance would part the images that only one got right "
        "as unevenly, were both equally good.",
        (
            metrics.proportion("agreement of canary and stable", same, len(answered)),
            metrics.proportion("only canary is right", found.only_first, found.n),
            metrics.proportion("only stable is right", found.only_second, found.n),
            p_value("p of equally good", pairs.mcnemar(found), found.n),
        ),
    )


def disagreements(paired: Sequence[Pair], limit: int) -> list[Pair]:
    """Pairs of different labels, those first about which the two are surest together."""
    found = [
        pair
        for pair in paired
        if pair.stable.label is not None
        and pair.canary.label is not None
        and pair.stable.label != pair.canary.label
    ]

    def order(pair: Pair) -> tuple[float, str]:
        return -sum(each.confidence or 0.0 for each in pair), pair.stable.case.id

    return sorted(found, key=order)[:limit]


def classes(answers: Answers) -> Counter[str]:
    """How often each label was answered."""
    return Counter(each.label for each in answers if each.label is not None)


def mix(
    title: str, sides: Sides[Mapping[str, int]], *, seed: int, prefix: str = ""
) -> report.Table:
    """Whether both answer the classes equally often, and by how much they do not."""
    stable, canary = sides
    n = min(sum(stable.values()), sum(canary.values()))
    name = f"{prefix}distance of the class mixes"
    rows = [metrics.Metric(name, None, n, None)]
    if n:
        value = categories.distance(canary, stable)
        interval = categories.distance_interval(canary, stable)
        p = categories.permutation(canary, stable, seed=seed)
        level = 1 - 0.05 / len({*canary, *stable})
        rows = [
            metrics.Metric(name, value, n, interval),
            p_value(f"{prefix}p of equal class mixes", p, n),
            *_shares(sides, n, level, prefix),
        ]
    return report.Table(
        title,
        "The distance is the share of the canary's answers that would have to be of another class "
        "to be like the stable one's. The p-value is of a permutation test. Classes follow with "
        "intervals that all hold together. Different images make different mixes: only pairs have "
        "exactly the same.",
        tuple(rows),
    )


def confidence(sides: Sides[Answers], *, seed: int, prefix: str = "") -> report.Table:
    """What each thinks of its own answers."""
    return report.Table(
        f"{prefix}confidence".capitalize(),
        "The mean probability of the answered class. A change of it without one of accuracy is "
        "worth a look, but decides nothing.",
        (
            metrics.mean_confidence(
                sides.stable, seed=seed, name=f"{prefix}mean confidence of stable"
            ),
            metrics.mean_confidence(
                sides.canary, seed=seed, name=f"{prefix}mean confidence of canary"
            ),
            metrics.confidence_difference(
                f"{prefix}mean confidence, canary minus stable",
                sides.canary,
                sides.stable,
                seed=seed,
            ),
        ),
    )


def latency(sides: Sides[Answers], *, seed: int) -> list[metrics.Metric]:
    """Median and 95th percentile of both, and the differences, in milliseconds."""
    found = []
    for quantile in (0.5, 0.95):
        name = f"p{100 * quantile:g}"
        found += [
            metrics.latency(each, quantile, seed=seed, name=f"{name} of {role}")
            for role, each in zip(Sides._fields, sides, strict=True)
        ]
        found.append(_latency_difference(sides, quantile, seed, f"{name}, canary minus stable"))
    return found


def share(name: str, sides: Sides[int], percent: int) -> tuple[metrics.Metric, metrics.Metric]:
    """The canary's share of the requests, and how often chance makes one that is as far off.

    The interval is at 99.9% and exact: it leaves out the declared share where a binomial test does
    at one in a thousand. Traffic that is not split as declared is not comparable either.
    """
    n = sum(sides)
    metric = metrics.Metric(
        name,
        sides.canary / n if n else None,
        n,
        exact.clopper_pearson(sides.canary, n, 0.999),
        count=sides.canary,
        level=0.999,
    )
    p = exact.binomial(sides.canary, n, percent / 100)
    return metric, p_value(f"p of {name}", p, n)


def seconds(sides: Sides[Answers]) -> dict[str, list[float]]:
    """The latencies in seconds of what was answered, by role."""
    return {
        role: [each.seconds for each in side if each.failure is None]
        for role, side in zip(Sides._fields, sides, strict=True)
    }


def counted(sides: Sides[Answers], targets: Sides[Target]) -> list[Counts]:
    """What was sent to both as plain records."""
    return [
        of_answers(side, role, target.revision, target.percent)
        for role, side, target in zip(Sides._fields, sides, targets, strict=True)
    ]


def p_value(name: str, value: float, n: int) -> metrics.Metric:
    """A p-value as a row of a table; nothing can be demanded of it."""
    return metrics.Metric(name, value, n, None)


def _shares(
    sides: Sides[Mapping[str, int]], n: int, level: float, prefix: str
) -> list[metrics.Metric]:
    stable, canary = sides
    found = categories.share_differences(canary, stable, level)
    return [
        metrics.Metric(
            f"{prefix}share of {label}, canary minus stable",
            canary.get(label, 0) / sum(canary.values())
            - stable.get(label, 0) / sum(stable.values()),
            n,
            interval,
            level=round(level, 4),
        )
        for label, interval in found.items()
    ]


def _latency_difference(
    sides: Sides[Answers], quantile: float, seed: int, name: str
) -> metrics.Metric:
    stable, canary = (
        np.array([1000 * each.seconds for each in side if each.failure is None]) for side in sides
    )
    n = min(stable.size, canary.size)
    if n == 0:
        return metrics.Metric(name, None, 0, None, "ms")

    def difference(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
        first, second = (np.quantile(each, quantile, axis=-1) for each in (ours, theirs))
        return np.asarray(first - second)

    interval: intervals.Interval = bootstrap.percentile(difference, canary, stable, seed=seed)
    return metrics.Metric(name, float(difference(canary, stable)), n, interval, "ms")

"""Which answers stand for the population, and how much each of them counts.

Random images stand for what users send; hard ones (low confidence, flagged, a known failure mode)
were picked because they are hard. Averaging both as they come measures the picking. So each case
has a stratum, by a piece of its metadata, and each stratum has a weight: the share of the
population that it stands for. The overall numbers are weighted sums over the strata, and a stratum
of weight zero stands for nobody: its cases count in slices and tests only.
"""

from __future__ import annotations

import fnmatch
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from calumma import errors
from calumma.scoring import cases, metrics
from calumma.statistics import intervals, weighted

ALL = "all"
"""The one stratum of a sample that is not divided."""

Selects = Callable[[cases.Answer], bool]


@dataclass(frozen=True)
class Plan:
    """How cases are divided: the metadata's key, and the weight of each value.

    Values are patterns (``templates/*``), of which the first that fits counts; the cases of one
    pattern are one stratum. Without a key all cases are one.
    """

    by: str | None = None
    weights: Mapping[str, float] = field(default_factory=lambda: {ALL: 1.0})

    def stratum(self, case: cases.Case) -> str:
        """The stratum of a case.

        Raises :class:`~calumma.errors.DatasetInvalid` for a case that none of the patterns fits:
        nobody said what it stands for.
        """
        if self.by is None:
            return ALL
        value = case.metadata.get(self.by, "")
        for pattern in self.weights:
            if fnmatch.fnmatchcase(value, pattern):
                return pattern
        raise errors.DatasetInvalid(
            f"{case.id} has the {self.by} {value!r}, and no stratum of the suite has it; "
            f"there are {', '.join(self.weights)}"
        )


@dataclass(frozen=True)
class Sample:
    """Labelled answers, in order of their cases, each with its stratum.

    ``weights`` are those of the strata that have a weight above zero, with the sum 1.
    """

    answers: tuple[cases.Answer, ...]
    strata: tuple[str, ...]
    weights: Mapping[str, float]

    @property
    def representative(self) -> tuple[cases.Answer, ...]:
        """The answers that stand for the population."""
        paired = zip(self.answers, self.strata, strict=True)
        return tuple(answer for answer, stratum in paired if stratum in self.weights)

    def numbers(self) -> NDArray[np.intp]:
        """The number of the stratum of each representative answer."""
        order = {name: number for number, name in enumerate(self.weights)}
        return np.array([order[each] for each in self.strata if each in order], dtype=np.intp)

    def case_weights(self) -> NDArray[np.float64]:
        """How much each representative answer counts; the sum is 1."""
        sizes = Counter(self.strata)
        return np.array(
            [self.weights[each] / sizes[each] for each in self.strata if each in self.weights]
        )

    def share(
        self, name: str, among: Selects, hit: Selects, *, picked: bool = False
    ) -> metrics.Metric:
        """The share of hits among the answers that ``among`` selects.

        It rests on the representative ones, weighted. Where there are none of them it has no value;
        with ``picked`` it then is of the others, which stand for themselves. With one stratum the
        interval is Wilson's.
        """
        chosen: defaultdict[str, list[bool]] = defaultdict(list)
        for answer, stratum in zip(self.answers, self.strata, strict=True):
            if among(answer):
                chosen[stratum].append(hit(answer))
        counted = {each: chosen[each] for each in self.weights if chosen[each]}
        if not counted:
            others = [each for hits in chosen.values() for each in hits if picked]
            return metrics.proportion(name, sum(others), len(others))
        hits = [each for part in counted.values() for each in part]
        if len(counted) == 1:
            return metrics.proportion(name, sum(hits), len(hits))
        found = self.combine(
            {
                each: (
                    weighted.Estimate(sum(part) / len(part), intervals.wilson(sum(part), len(part)))
                )
                for each, part in counted.items()
            },
            {each: len(part) for each, part in counted.items()},
        )
        return metrics.Metric(name, found.value, len(hits), found.interval)

    def combine(
        self, estimates: Mapping[str, weighted.Estimate], counts: Mapping[str, int]
    ) -> weighted.Estimate:
        """The weighted sum of estimates, each on ``counts`` cases of its stratum."""
        sizes = Counter(self.strata)
        names = list(estimates)
        stands = [self.weights[each] * counts[each] / sizes[each] for each in names]
        parts = zip(weighted.shares(stands), (estimates[each] for each in names), strict=True)
        return weighted.total(list(parts))


def of(answers: Iterable[cases.Answer], plan: Plan) -> Sample:
    """The labelled answers as a sample, divided by the plan.

    Raises :class:`~calumma.errors.DatasetInvalid` for a case without a stratum, and for a stratum
    with a weight and without a case: nobody knows how that part of the population fares.
    """
    labelled = [answer for answer in answers if answer.case.label is not None]
    labelled.sort(key=lambda answer: answer.case.id)
    strata = tuple(plan.stratum(answer.case) for answer in labelled)
    positive = {name: weight for name, weight in plan.weights.items() if weight > 0}
    weights = dict(zip(positive, weighted.shares(list(positive.values())), strict=True))
    empty = [name for name in weights if name not in strata]
    if plan.by is not None and empty:
        raise errors.DatasetInvalid(
            f"no labelled image has the {plan.by} {', '.join(empty)}, which stands for "
            f"{sum(weights[name] for name in empty):.0%} of the population"
        )
    return Sample(tuple(labelled), strata, weights)


def everything(_: cases.Answer) -> bool:
    """Selects every answer."""
    return True


def right(answer: cases.Answer) -> bool:
    """Whether the caller got the true label."""
    return answer.correct is True


def is_of(label: str, answer: cases.Answer) -> bool:
    """Whether this is the case's true label."""
    return answer.case.label == label


def accuracy(sample: Sample, name: str = "accuracy") -> metrics.Metric:
    """The share of the population whose right label came back; a failure is not right."""
    return sample.share(name, everything, right)


def strata(sample: Sample) -> list[metrics.Metric]:
    """The accuracy within each stratum on its own, those of weight zero included."""
    found = dict.fromkeys([*sample.weights, *sorted(set(sample.strata))])
    result = []
    for each in found:
        inside = [
            answer
            for answer, stratum in zip(sample.answers, sample.strata, strict=True)
            if stratum == each
        ]
        weight = sample.weights.get(each, 0.0)
        result.append(metrics.accuracy(inside, f"accuracy of stratum {each} (weight {weight:g})"))
    return result

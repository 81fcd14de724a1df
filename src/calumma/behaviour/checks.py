"""The tests: which images each needs, and what the answers to them mean.

A test goes through images of the data set. An image counts as passed when *all* that was made of it
was answered as it should be, so that images are what is counted, and a request that failed is a
failed image. The rates for each severity are beside it: they show where a model begins to fail.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from calumma.behaviour import perturbations, templates
from calumma.scoring import calibration, cases, metrics
from calumma.statistics import clusters


class Kind(StrEnum):
    """CheckList's three kinds; the value begins the name of a test's metric."""

    MINIMUM_FUNCTIONALITY = "minimum functionality"
    INVARIANCE = "invariance"
    DIRECTIONAL = "direction"


class Trend(StrEnum):
    """What the probability of the true label must not do as the severity grows."""

    RISE = "rise"
    FALL = "fall"


@dataclass(frozen=True)
class Test:
    """One test that perturbs images, or that asks about simple ones.

    ``severities`` are in the order of growing severity. ``images`` are drawn at random and no side
    sent is longer than ``side`` pixels. ``must_not`` and ``tolerance`` (a probability) are those of
    a directional test: by so much a step may go the wrong way.
    """

    __test__ = False  # not a test of ours, says pytest

    name: str
    kind: Kind
    perturbation: str = ""
    severities: tuple[float, ...] = ()
    images: int = 100
    side: int = 512
    must_not: Trend = Trend.RISE
    tolerance: float = 0.0

    @property
    def metric(self) -> str:
        """The name of its metric."""
        return f"{self.kind}: {self.name}"


@dataclass(frozen=True)
class Chain:
    """What is made of one image: as it is, then one image for each severity."""

    source: cases.Case
    reference: cases.Case
    variants: tuple[cases.Case, ...]


@dataclass(frozen=True)
class Failure:
    """An image that was answered as it should not be, and the one that it was made of."""

    reference: cases.Answer
    variant: cases.Answer
    severity: float


@dataclass(frozen=True)
class Result:
    """What a test found: its metric, the rate for each severity, and each failed image once."""

    test: Test
    metric: metrics.Metric
    curve: tuple[tuple[float, metrics.Metric], ...]
    failures: tuple[Failure, ...]
    groups: tuple[metrics.Metric, ...] = field(default=())


def chains(test: Test, population: Sequence[cases.Case], *, seed: int) -> list[Chain]:
    """The images of an invariance or directional test; the same for the same seed.

    Raises :class:`~calumma.errors.EvaluationError` for a perturbation that is not known.
    """
    if test.kind is Kind.DIRECTIONAL:
        population = [case for case in population if case.label is not None]
    ordered = sorted(population, key=lambda case: case.id)
    drawn = random.Random(f"{seed} {test.name}").sample(ordered, min(test.images, len(ordered)))
    return [_chain(test, case, seed) for case in drawn]


def judge(
    test: Test,
    made: Sequence[Chain],
    answers: Mapping[str, cases.Answer],
    classes: Sequence[str] = (),
) -> Result:
    """What the answers, by the case's id, say about a test; ``classes`` are for directional ones.

    An image that chance kept from the revision, or a variant of it, is not counted.
    Raises :class:`~calumma.errors.EvaluationError` when the answers are of other classes.
    """
    wrong: list[list[bool]] = []
    failures = []
    for chain in made:
        if any(case.id not in answers for case in (chain.reference, *chain.variants)):
            continue
        reference = answers[chain.reference.id]
        replies = [answers[case.id] for case in chain.variants]
        marks = _marks(test, reference, replies, classes)
        wrong.append(marks)
        if any(marks):
            first = marks.index(True)
            failures.append(Failure(reference, replies[first], test.severities[first]))
    passed = sum(not any(marks) for marks in wrong)
    curve = tuple(
        (severity, metrics.proportion(test.metric, sum(not m for m in column), len(wrong)))
        for severity, column in zip(test.severities, zip(*wrong, strict=True), strict=False)
    )
    return Result(test, metrics.proportion(test.metric, passed, len(wrong)), curve, tuple(failures))


def simple(test: Test, asked: Iterable[cases.Case], answers: Mapping[str, cases.Answer]) -> Result:
    """What the answers to simple or composed images say: how many are right, also by label.

    Composed images of one subject go right or wrong together, and the interval knows it.
    """
    found = [answers[case.id] for case in asked if case.id in answers]
    labelled = [answer for answer in found if answer.case.label is not None]
    labels = sorted({str(answer.case.label) for answer in labelled})
    groups = [
        _clustered(
            f"{test.metric}, {label}", [each for each in labelled if each.case.label == label]
        )
        for label in labels
    ]
    wrong = [answer for answer in labelled if not answer.correct]
    return Result(
        test,
        _clustered(test.metric, labelled),
        (),
        tuple(Failure(answer, answer, 0.0) for answer in wrong),
        tuple(groups) if len(groups) > 1 else (),
    )


def images(
    made: Iterable[Iterable[Chain]], simple: Iterable[Iterable[cases.Case]] = ()
) -> list[cases.Case]:
    """All that must be sent, each image once, in a fixed order."""
    chained = itertools.chain.from_iterable(made)
    parts = ((chain.reference, *chain.variants) for chain in chained)
    every = itertools.chain.from_iterable((*simple, *parts))
    return list({case.id: case for case in every}.values())


def _chain(test: Test, source: cases.Case, seed: int) -> Chain:
    size = f"{source.id}, at most {test.side} pixels"
    reference = cases.Case(
        size, perturbations.unperturbed(source.image, side=test.side), source.label
    )
    variants = tuple(
        cases.Case(
            f"{size}, {test.perturbation} {severity:g}",
            perturbations.variant(
                source.image,
                test.perturbation,
                severity,
                side=test.side,
                key=f"{seed} {source.id}",
            ),
            source.label,
        )
        for severity in test.severities
    )
    return Chain(source, reference, variants)


def _marks(
    test: Test,
    reference: cases.Answer,
    replies: Sequence[cases.Answer],
    classes: Sequence[str],
) -> list[bool]:
    """For each severity, whether the answer is wrong by the test."""
    if test.kind is Kind.INVARIANCE:
        return [reply.label is None or reply.label != reference.label for reply in replies]
    values = [probability(answer, classes) for answer in (reference, *replies)]
    marks = []
    for before, after in itertools.pairwise(values):
        if before is None or after is None:
            marks.append(True)
            continue
        step = after - before if test.must_not is Trend.RISE else before - after
        marks.append(step > test.tolerance)
    return marks


def probability(answer: cases.Answer, classes: Sequence[str]) -> float | None:
    """The probability that an answer gave the true label; None when it has no probabilities.

    Raises :class:`~calumma.errors.EvaluationError` when they are of other classes.
    """
    if not answer.probabilities or answer.case.label is None:
        return None
    calibration.require_classes(answer.label, answer.probabilities, classes)
    return answer.probabilities[classes.index(answer.case.label)]


def _clustered(name: str, answers: Sequence[cases.Answer]) -> metrics.Metric:
    groups: dict[str, list[bool]] = {}
    for answer in answers:
        subject = answer.case.metadata.get(templates.SOURCE, answer.case.id)
        groups.setdefault(subject, []).append(answer.correct is True)
    hits = [sum(group) for group in groups.values()]
    sizes = [len(group) for group in groups.values()]
    n = sum(sizes)
    interval = clusters.interval(hits, sizes)
    return metrics.Metric(name, sum(hits) / n if n else None, n, interval, count=sum(hits))

"""Reference against current: every detector, the estimates without labels, and the flags, at once.

It takes what a served model answered to both sets of images, so that everything the detectors look
at went through the same preprocessing. Nothing is decided here: what it finds are metrics, and
:mod:`calumma.scoring.gates` judges them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from calumma import errors
from calumma.drift import (
    categories,
    classifier,
    detection,
    features,
    kernel,
    kolmogorov,
    label_shift,
    martingale,
    novelty,
    performance,
)
from calumma.drift.detection import Detection, Values
from calumma.scoring import cases, metrics


@dataclass(frozen=True)
class Settings:
    """How to look: which detectors share ``alpha``, and how large a window of current images is."""

    detectors: tuple[str, ...]
    alpha: float
    window: int
    permutations: int
    seed: int


class Side(NamedTuple):
    """One side as far as it was answered and can be read, in the order of its images.

    ``probabilities`` has shape [n, classes]; ``failed`` counts requests without an answer or with
    one that has no probabilities, ``unreadable`` images that cannot be decoded.
    """

    answers: tuple[cases.Answer, ...]
    features: features.Features
    probabilities: Values
    failed: int
    unreadable: int

    @property
    def labels(self) -> list[str]:
        """The labels that the model gave."""
        return [str(answer.label) for answer in self.answers]

    @property
    def confidence(self) -> Values:
        """The probabilities [n] of these labels."""
        largest: Values = self.probabilities.max(axis=1)
        return largest

    @property
    def inputs(self) -> novelty.Inputs:
        """What the flags look at."""
        return novelty.Inputs(self.features.embedding, self.confidence)


@dataclass(frozen=True)
class Window:
    """One window of current images: the accuracy to expect, and what it was where labels say."""

    first: int
    last: int
    estimated: metrics.Metric
    measured: metrics.Metric
    p_value: float


@dataclass(frozen=True)
class Examination:
    """All that was found; ``rows`` are the current images in the order of ``flags``."""

    reference: Side
    current: Side
    detections: tuple[Detection, ...]
    paths: tuple[martingale.Path, ...]
    flags: novelty.Flags
    estimator: performance.Estimator
    estimated: metrics.Metric
    measured: metrics.Metric
    windows: tuple[Window, ...]
    mix: label_shift.Estimate

    @property
    def doubts(self) -> list[str]:
        """Why the estimated accuracy should be taken with care, in sentences."""
        found = [self.estimator.reason] if self.estimator.reason else []
        if outside := int(self.flags.outside.sum()):
            found.append(
                f"{outside} images are unlike any reference image; the interval holds whatever "
                "is true of them"
            )
        if alarms := [each.name for each in self.detections if each.alarm]:
            found.append(
                f"drift was found ({', '.join(alarms)}): the estimate holds only if images of the "
                "same probability are right as often as before"
            )
        return found


def examine(
    reference: Sequence[cases.Answer], current: Sequence[cases.Answer], settings: Settings
) -> Examination:
    """Compare both sides; the reference must be labelled, and share no image with the current.

    Raises :class:`~calumma.errors.EvaluationError` where that is not so or a side is too small.
    """
    _require_apart(reference, current)
    before, now = _side(reference), _side(current)
    _require_enough(before, now)
    bank_rows, rest = novelty.split(len(before.answers), settings.seed)
    bank = novelty.Bank(before.inputs.some(bank_rows))
    flags = novelty.flag(bank, before.inputs.some(rest), now.inputs, alpha=settings.alpha)
    watched, paths = martingale.test(
        "online",
        _scores(before, bank, rest),
        _scores(now, bank, np.arange(len(now.answers))),
        alpha=settings.alpha,
        seed=settings.seed,
    )
    known = {"online": lambda: watched, **_detectors(before, now, settings)}
    estimator = performance.Estimator(before.confidence, _right(before), seed=settings.seed)
    return Examination(
        before,
        now,
        detection.family([known[name]() for name in settings.detectors]),
        paths,
        flags,
        estimator,
        estimator.estimate("estimated accuracy", _known(now, flags, slice(None), now.failed)),
        metrics.accuracy(current, "measured accuracy"),
        _windows(before, now, flags, estimator, settings),
        label_shift.estimate(
            [str(answer.case.label) for answer in before.answers],
            before.labels,
            now.labels,
            seed=settings.seed,
        ),
    )


def _detectors(
    before: Side, now: Side, settings: Settings
) -> Mapping[str, Callable[[], Detection]]:
    alpha, seed, permutations = settings.alpha, settings.seed, settings.permutations
    embeddings = before.features.embedding, now.features.embedding

    def inputs() -> Detection:
        names = features.varying(before.features, now.features) or ("brightness",)
        sides = (features.chosen(side.features, names) for side in (before, now))
        return kolmogorov.tests("inputs", *sides, alpha=alpha)

    return {
        "inputs": inputs,
        "embeddings": lambda: kernel.test(
            "embeddings", *embeddings, alpha=alpha, seed=seed, permutations=permutations
        ),
        "classifier": lambda: classifier.test(
            "classifier", *embeddings, alpha=alpha, seed=seed, permutations=permutations
        ),
        "outputs": lambda: kolmogorov.tests(
            "outputs", _by_class(before), _by_class(now), alpha=alpha
        ),
        "labels": lambda: categories.test(
            "labels", before.labels, now.labels, alpha=alpha, seed=seed
        ),
    }


DETECTORS = ("inputs", "embeddings", "classifier", "outputs", "labels", "online")


def _require_apart(reference: Sequence[cases.Answer], current: Sequence[cases.Answer]) -> None:
    shared = {answer.case.image for answer in reference} & {answer.case.image for answer in current}
    if shared:
        raise errors.EvaluationError(
            f"{len(shared)} images are both in the reference and in the current data; an image "
            "that is compared with itself hides drift, so the two must share none"
        )
    unlabelled = sum(answer.case.label is None for answer in reference)
    if unlabelled:
        raise errors.EvaluationError(
            f"{unlabelled} of {len(reference)} reference images have no label; the reference must "
            "be labelled, or nothing can be estimated from it"
        )


def _require_enough(before: Side, now: Side) -> None:
    for name, side, least in (("reference", before, 40), ("current", now, 4)):
        if len(side.answers) < least:
            raise errors.EvaluationError(
                f"{len(side.answers)} {name} images were answered ({side.failed} requests failed, "
                f"{side.unreadable} images are unreadable); at least {least} are needed"
            )
    classes = [side.probabilities.shape[1] for side in (before, now)]
    if classes[0] != classes[1]:
        raise errors.EvaluationError(
            f"the model gave {classes[0]} probabilities for reference images and {classes[1]} for "
            "current ones; it must be the same model"
        )


def _side(answers: Sequence[cases.Answer]) -> Side:
    answered = [answer for answer in answers if answer.failure is None and answer.probabilities]
    widths = {len(answer.probabilities) for answer in answered}
    if len(widths) > 1:
        raise errors.EvaluationError(
            f"answers have {' and '.join(map(str, sorted(widths)))} probabilities; all must have "
            "one for each class"
        )
    measured = features.measure(answer.case for answer in answered)
    unreadable = {case.id for case in measured.unreadable}
    kept = tuple(answer for answer in answered if answer.case.id not in unreadable)
    probabilities = np.array([answer.probabilities for answer in kept], dtype=np.float64)
    failed = len(answers) - len(answered)
    return Side(kept, measured, probabilities, failed, len(unreadable))


def _scores(side: Side, bank: novelty.Bank, rows: NDArray[np.int64]) -> dict[str, Values]:
    """What the online detector watches of each image, of a side's rows."""
    statistics = side.features.statistics
    return {
        "brightness": statistics["brightness"][rows],
        "sharpness": statistics["sharpness"][rows],
        "strangeness": bank.distance(side.features.embedding[rows]),
        "confidence": side.confidence[rows],
    }


def _by_class(side: Side) -> dict[str, Values]:
    return {
        f"probability of class {number}": column
        for number, column in enumerate(side.probabilities.T)
    }


def _right(side: Side) -> NDArray[np.bool_]:
    return np.array([answer.correct is True for answer in side.answers])


def _known(side: Side, flags: novelty.Flags, rows: slice, failed: int) -> performance.Current:
    return performance.Current(side.confidence[rows], flags.outside[rows], failed)


def _windows(
    before: Side,
    now: Side,
    flags: novelty.Flags,
    estimator: performance.Estimator,
    settings: Settings,
) -> tuple[Window, ...]:
    """Windows of equal size; what is left at the end is too little for one of its own."""
    found: list[Window] = []
    for number, first in enumerate(range(0, len(now.answers), settings.window), 1):
        rows = slice(first, first + settings.window)
        answers = now.answers[rows]
        if found and len(answers) < settings.window:
            break
        p_value = (
            kernel.test(
                "window",
                before.features.embedding,
                now.features.embedding[rows],
                alpha=settings.alpha,
                seed=settings.seed,
                permutations=199,
            ).p_value
            if len(answers) > 2
            else 1.0
        )
        found.append(
            Window(
                first + 1,
                first + len(answers),
                estimator.estimate(
                    f"estimated accuracy, window {number}", _known(now, flags, rows, 0)
                ),
                metrics.accuracy(answers, f"measured accuracy, window {number}"),
                p_value,
            )
        )
    return tuple(found)


def arranged(
    answers: Sequence[cases.Answer], population: Sequence[cases.Case]
) -> list[cases.Answer]:
    """The answers to these images, in the images' order, whatever the order of sending was."""
    place = {id(case): number for number, case in enumerate(population)}
    ours = [answer for answer in answers if id(answer.case) in place]
    return sorted(ours, key=lambda answer: place[id(answer.case)])

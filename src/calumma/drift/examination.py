"""Reference against current: every detector, the estimates without labels, and the flags, at once.

It takes what a served model answered to both sets of images, so that everything the detectors look
at went through the same preprocessing. Nothing is decided here: what it finds are metrics, and
:mod:`calumma.scoring.gates` judges them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calumma import errors
from calumma.drift import battery, kernel, label_shift, martingale, novelty, performance, sides
from calumma.drift.detection import Detection
from calumma.drift.sides import Side
from calumma.scoring import cases, metrics


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
    reference: Sequence[cases.Answer], current: Sequence[cases.Answer], settings: battery.Settings
) -> Examination:
    """Compare both sides; the reference must be labelled, and share no image with the current.

    Raises :class:`~calumma.errors.EvaluationError` where that is not so or a side is too small.
    """
    _require_apart(reference, current)
    before, now = sides.of(reference), sides.of(current)
    _require_enough(before, now)
    detections, paths, flags = battery.detect(before, now, settings)
    estimator = performance.Estimator(before.confidence, _right(before), seed=settings.seed)
    return Examination(
        before,
        now,
        detections,
        paths,
        flags,
        estimator,
        estimator.estimate("estimated accuracy", _all_known(now, flags)),
        metrics.accuracy(current, "measured accuracy"),
        _windows(before, now, flags, estimator, settings),
        label_shift.estimate(
            [str(answer.case.label) for answer in before.answers],
            before.labels,
            now.labels,
            seed=settings.seed,
            unlike=int(flags.outside.sum()),
        ),
    )


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
                f"{side.unreadable.size} images are unreadable); at least {least} are needed"
            )
    classes = [side.probabilities.shape[1] for side in (before, now)]
    if classes[0] != classes[1]:
        raise errors.EvaluationError(
            f"the model gave {classes[0]} probabilities for reference images and {classes[1]} for "
            "current ones; it must be the same model"
        )


def _right(side: Side) -> NDArray[np.bool_]:
    return np.array([answer.correct is True for answer in side.answers])


def _all_known(side: Side, flags: novelty.Flags) -> performance.Current:
    """All current images; one that cannot be decoded is unlike the reference."""
    unseen = side.unreadable
    outside = np.concatenate([flags.outside, np.ones(unseen.size, dtype=np.bool_)])
    return performance.Current(np.concatenate([side.confidence, unseen]), outside, side.failed)


def _windows(
    before: Side,
    now: Side,
    flags: novelty.Flags,
    estimator: performance.Estimator,
    settings: battery.Settings,
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
                    f"estimated accuracy, window {number}",
                    performance.Current(now.confidence[rows], flags.outside[rows]),
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

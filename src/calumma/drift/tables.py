"""What an examination found, as the report's tables; every name in them is there once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from calumma.drift import detection, label_shift
from calumma.drift.detection import Detection
from calumma.drift.examination import Examination
from calumma.scoring import metrics
from calumma.scoring.report import Table


def alarms(found: Examination) -> Table:
    """The detectors' p-values, which the gates judge."""
    family = len(found.detections)
    alpha = found.detections[0].alpha
    return Table(
        "Has anything changed?",
        f"p-values of {family} detectors, times {family}: one below {alpha:g} is an alarm. Without "
        f"drift the chance of any alarm is at most {alpha:g}; each detector has {alpha / family:g} "
        "of it.",
        tuple(each.metric for each in found.detections),
    )


def sizes(found: Examination) -> Table:
    """How large the differences are, and in what."""
    return Table(
        "What has changed, and by how much?",
        "The distance of a number is the largest gap between its two distribution functions, 0 to "
        "1; it is never 0 by itself, and its interval says whether it could be. p-values here are "
        "corrected for the numbers that the same detector looks at.",
        tuple(_parts(found.detections)),
    )


def accuracy(found: Examination) -> Table:
    """The estimated accuracy, beside the measured one where labels are known."""
    check = found.estimator.check
    doubts = " ".join(f"Mind: {each}." for each in found.doubts)
    on_reference = metrics.accuracy(found.reference.answers, "accuracy on the reference")
    measured = [found.measured] if found.measured.n else []
    return Table(
        "Is the model still right, as far as one can tell without labels?",
        "Calibrated on the labelled reference; the interval is for the accuracy that labels of "
        f"these very images would show. {doubts}".strip(),
        (found.estimated, *measured, on_reference, check.error, check.p_value),
    )


def windows(found: Examination) -> Table:
    """The same for each window, in the order of the images."""
    return Table(
        "Window by window",
        "Each window has its own interval at 95%; of twenty, one is expected to miss.",
        tuple(
            metric
            for each in found.windows
            for metric in (each.estimated, each.measured)
            if metric.n
        ),
    )


def mix(found: label_shift.Estimate) -> Table:
    """The estimated shares of the classes."""
    doubt = f" It cannot be trusted: {found.reason}." if found.reason else ""
    return Table(
        "Which classes come now?",
        "From the labels that the model gives and its confusion matrix on the reference. It holds "
        f"if only the mix of classes has changed.{doubt}",
        (*found.shares, found.accuracy, found.condition),
    )


def inputs(found: Examination) -> Table:
    """Images that are unlike the reference, and those that gave no answer at all."""
    alpha, now = found.detections[0].alpha, found.current
    asked = len(now.answers) + now.failed + now.unreadable.size
    return Table(
        "Is the model asked what it was made for?",
        f"Unusual is an image with a p-value of at most {alpha:g}: a share of {alpha:g} is to be "
        "expected. Out-of-distribution are those that stay when chance among many is minded "
        f"(Benjamini and Hochberg at {alpha:g}).",
        (
            *found.flags.metrics,
            metrics.proportion("failed requests", now.failed, asked),
            metrics.proportion("unreadable images", now.unreadable.size, asked),
        ),
    )


def rehearsed(
    detectors: Sequence[metrics.Metric], rules: Sequence[metrics.Metric], alpha: float
) -> Table:
    """How often detectors and rules of thumb alarmed between random halves of the reference."""
    return Table(
        "How often is an alarm false?",
        "Alarms between random halves of the reference, where nothing has changed. Of any detector "
        f"at most {alpha:g} is promised; rules of thumb promise nothing.",
        (*detectors, *rules),
    )


def _parts(found: Iterable[Detection]) -> Iterable[metrics.Metric]:
    for each in found:
        for part in each.parts:
            name = f"p-value of {part.name} ({each.name})"
            yield detection.exact(name, part.p_value, part.n)
            yield part.effect
        if not each.parts:
            yield each.effect

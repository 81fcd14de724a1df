"""How good a box model is: average precision, precision and recall, confusion; with intervals.

Average precision is the library's number; its interval comes from drawing the pictures again. A
class or size without a labelled box has no value, and takes no part in a mean. Precision and recall
are what a user of the service meets, at the confidence from which detections are shown.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calumma.detection import matching, pictures, resampling
from calumma.scoring import metrics
from calumma.statistics import bootstrap, intervals

NOTHING = "nothing"
"""In the confusion matrix: no labelled box was there, or none was found."""

Counts = NDArray[np.int64]


def average_precisions(found: matching.Matching, *, seed: int) -> list[metrics.Metric]:
    """``mAP``, ``mAP@.5``, ``AP of <class>`` and ``AP of small boxes`` and so on.

    All are averages over the overlaps 0.50 to 0.95 except ``mAP@.5``. ``n`` is the number of
    pictures that have labelled boxes of the kind.
    """
    if not found.judged:
        return [metrics.Metric(name, None, 0, None) for name in ("mAP", "mAP@.5")]
    drawn = resampling.weights(len(found.judged), seed=seed)
    resampled = {
        key: resampling.average_precision(each, drawn)
        for key, each in found.matches.items()
        if each.boxes.any()
    }
    numbers = range(len(found.classes))
    kinds = {
        "mAP": ([(number, "all") for number in numbers], slice(None)),
        "mAP@.5": ([(number, "all") for number in numbers], slice(1)),
        **{f"AP of {found.classes[one]}": ([(one, "all")], slice(None)) for one in numbers},
        **{
            f"AP of {size} boxes": ([(number, size) for number in numbers], slice(None))
            for size in matching.SIZES[1:]
        },
    }
    return [
        _average(name, found, resampled, keys, overlaps) for name, (keys, overlaps) in kinds.items()
    ]


def _average(
    name: str,
    found: matching.Matching,
    resampled: dict[tuple[int, str], NDArray[np.float64]],
    keys: Sequence[tuple[int, str]],
    overlaps: slice,
) -> metrics.Metric:
    there = [key for key in keys if key in resampled]
    if not there:
        return metrics.Metric(name, None, 0, None)
    cells = [
        found.precision[overlaps, :, number, matching.SIZES.index(size)] for number, size in there
    ]
    value = float(np.mean(cells))
    n = int(np.count_nonzero(sum(found.matches[key].boxes for key in there)))
    with warnings.catch_warnings():  # a resample may have no box of these kinds
        warnings.filterwarnings("ignore", "Mean of empty slice", RuntimeWarning)
        means = np.nanmean([resampled[key][:, overlaps].mean(axis=1) for key in there], axis=0)
    return metrics.Metric(name, value, n, resampling.interval(value, means, n))


@dataclass(frozen=True, eq=False)
class Counted:
    """Of each picture and class at a confidence and an overlap of 0.5, [pictures, classes].

    ``right`` and ``wrong`` count detections, ``boxes`` labelled boxes; of those as many were found
    as detections were right.
    """

    right: Counts
    wrong: Counts
    boxes: Counts


def count(found: matching.Matching, confidence: float) -> Counted:
    """Count the detections with a score of at least ``confidence``."""
    shape = (len(found.judged), len(found.classes))
    counted = Counted(*(np.zeros(shape, dtype=np.int64) for _ in range(3)))
    for row, judged in enumerate(found.judged):
        shown = judged.detections.scores >= confidence
        said, known = judged.detections.classes, judged.answer.picture.truth.classes
        np.add.at(counted.right[row], said[shown & judged.right], 1)
        np.add.at(counted.wrong[row], said[shown & judged.wrong], 1)
        np.add.at(counted.boxes[row], known[judged.counts], 1)
    return counted


def precision_and_recall(
    found: matching.Matching, confidence: float, *, seed: int
) -> list[metrics.Metric]:
    """``precision`` and ``recall``, and of each class ``precision of`` and ``recall of`` it.

    Precision is the share of right ones among the detections that are shown, recall the share of
    found ones among the labelled boxes; ``n`` counts those. The interval holds Wilson's, which
    takes boxes as independent, and that of drawing the pictures again, which does not.
    """
    counted = count(found, confidence)
    drawn = resampling.weights(max(len(found.judged), 1), seed=seed)[:, : len(found.judged)]
    shares = []
    for suffix, chosen in (
        ("", slice(None)),
        *((f" of {name}", slice(at, at + 1)) for at, name in enumerate(found.classes)),
    ):
        right, wrong, boxes = (
            each[:, chosen].sum(axis=1) for each in (counted.right, counted.wrong, counted.boxes)
        )
        shares.append(_share(f"precision{suffix}", right, right + wrong, drawn))
        shares.append(_share(f"recall{suffix}", right, boxes, drawn))
    return sorted(shares, key=lambda each: each.name.startswith("recall"))


def _share(name: str, hits: Counts, total: Counts, drawn: Counts) -> metrics.Metric:
    found = metrics.proportion(name, int(hits.sum()), int(total.sum()))
    if not found.n or found.interval is None:
        return found
    parts, wholes = drawn @ hits, drawn @ total
    ratios = parts[wholes > 0] / wholes[wholes > 0]
    low, high = np.quantile(ratios, [0.025, 0.975])
    wide = intervals.Interval(
        min(found.interval.low, float(low)), max(found.interval.high, float(high))
    )
    return metrics.Metric(name, found.value, found.n, wide, count=found.count)


def confusion(
    answers: Sequence[pictures.Answer], classes: Sequence[str], confidence: float
) -> metrics.Confusion:
    """How often each labelled class was found as which; ``nothing`` where there is no box."""
    pairs = Counter(matching.pairs(answers, classes, confidence))
    names = (*classes, NOTHING)
    places = (*range(len(classes)), None)
    counts = tuple(tuple(pairs[known, said] for said in places) for known in places)
    return metrics.Confusion(names, names, counts)


def failures(answers: Sequence[pictures.Answer]) -> metrics.Metric:
    """The share of requests without an answer."""
    failed = sum(answer.failure is not None for answer in answers)
    return metrics.proportion("failed requests", failed, len(answers))


def latency(answers: Sequence[pictures.Answer], quantile: float, *, seed: int) -> metrics.Metric:
    """A quantile of the latency, in milliseconds, of the requests that were answered."""
    name = f"latency p{100 * quantile:g}"
    times = np.array([1000 * answer.seconds for answer in answers if answer.failure is None])
    if not times.size:
        return metrics.Metric(name, None, 0, None, "ms")
    found = bootstrap.percentile(
        lambda drawn: np.quantile(drawn, quantile, axis=-1), times, seed=seed
    )
    return metrics.Metric(name, float(np.quantile(times, quantile)), times.size, found, "ms")


def worst(found: matching.Matching, confidence: float, limit: int) -> list[matching.Judged]:
    """The pictures with the most mistakes (wrong detections and boxes not found), worst first."""
    counted = count(found, confidence)
    mistakes = (counted.wrong + counted.boxes - counted.right).sum(axis=1)
    order = np.argsort(-mistakes, kind="stable")[:limit]
    return [found.judged[at] for at in order if mistakes[at]]


def labelled(found: matching.Matching) -> dict[str, int]:
    """How many labelled boxes each class has, crowds aside."""
    counts = count(found, 1.0).boxes.sum(axis=0)
    return {name: int(number) for name, number in zip(found.classes, counts, strict=True)}

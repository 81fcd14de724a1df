"""Which detection found which labelled box: by ``pycocotools``, COCO's own implementation.

A detection, the surest first, finds the labelled box of its class that it overlaps most, if that is
by at least the threshold and nobody found it before. It is done for ten thresholds of overlap
(0.50, 0.55, ..., 0.95), for all boxes and for small, medium and large ones, with at most 100
detections a picture and class. Source: T.-Y. Lin and others, Microsoft COCO (2014), and the
evaluation code that came with it.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from calumma.detection import pictures

SIZES = ("all", "small", "medium", "large")
"""COCO's: small boxes have at most 32 x 32 pixels, large ones at least 96 x 96."""


class Matches(NamedTuple):
    """The detections of a class and size, in order of the pictures, and the boxes there were.

    ``right`` and ``wrong`` [10, n] say for each threshold what a detection is; it is neither where
    it is to be ignored. ``scores`` and ``pictures`` [n] are its score and its picture's position;
    ``boxes`` [pictures] counts the labelled boxes of each picture.
    """

    scores: NDArray[np.float64]
    pictures: NDArray[np.intp]
    right: NDArray[np.bool_]
    wrong: NDArray[np.bool_]
    boxes: NDArray[np.int64]


class Judged(NamedTuple):
    """One picture at an overlap of 0.5.

    ``right`` and ``wrong`` [n] are about its detections, ``found`` [m] holds for each labelled box
    the score of the detection that found it, -1 where none did, and ``counts`` [m] says which
    boxes are to be found at all (no crowd).
    """

    answer: pictures.Answer
    right: NDArray[np.bool_]
    wrong: NDArray[np.bool_]
    found: NDArray[np.float64]
    counts: NDArray[np.bool_]

    @property
    def detections(self) -> pictures.Found:
        """What was found; nothing where the request failed."""
        return self.answer.found or pictures.nothing(self.answer.picture.size)


@dataclass(frozen=True, eq=False)
class Matching:
    """The outcome for all pictures, in order of their ids.

    ``precision`` [10 thresholds, 101 recalls, classes, sizes] is the interpolated precision at the
    recalls 0, 0.01, ..., 1; not a number where a class has no box of that size. ``matches`` are by
    class and size, ``judged`` by picture.
    """

    classes: tuple[str, ...]
    precision: NDArray[np.float64]
    matches: dict[tuple[int, str], Matches]
    judged: tuple[Judged, ...]


def match(answers: Sequence[pictures.Answer], classes: Sequence[str]) -> Matching:
    """Match the detections of all answers, each to another picture, with the labels."""
    ordered = sorted(answers, key=lambda answer: answer.picture.id)
    evaluation = _evaluate(ordered, len(classes), by_class=True)
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation.accumulate()
    precision: NDArray[np.float64] = evaluation.eval["precision"][..., -1]
    cells = iter(evaluation.evalImgs)
    rows = {
        (number, size): [next(cells) for _ in ordered]
        for number in range(len(classes))
        for size in SIZES
    }
    return Matching(
        tuple(classes),
        np.where(precision < 0, np.nan, precision),
        {key: _matches(each) for key, each in rows.items()},
        _judge(ordered, evaluation, [rows[number, "all"] for number in range(len(classes))]),
    )


def pairs(
    answers: Sequence[pictures.Answer], classes: Sequence[str], confidence: float
) -> list[tuple[int | None, int | None]]:
    """Labelled class and said class of each match whatever the class, at an overlap of 0.5.

    None is a box that nobody found, and a detection where no box is. Only detections with a score
    of at least ``confidence`` take part, and no crowds.
    """
    ordered = sorted(answers, key=lambda answer: answer.picture.id)
    evaluation = _evaluate(ordered, len(classes), by_class=False, confidence=confidence)
    known = {key: each["category_id"] for key, each in evaluation.cocoGt.anns.items()}
    said = {key: each["category_id"] for key, each in evaluation.cocoDt.anns.items()}
    found: list[tuple[int | None, int | None]] = []
    for cell in evaluation.evalImgs[: len(ordered)]:  # the first size: all
        if cell is None:
            continue
        for key, hit, ignored in zip(
            cell["dtIds"], cell["dtMatches"][0], cell["dtIgnore"][0], strict=True
        ):
            if not ignored:
                found.append((known[int(hit)] if hit else None, said[key]))
        for key, hit, ignored in zip(
            cell["gtIds"], cell["gtMatches"][0], cell["gtIgnore"], strict=True
        ):
            if not hit and not ignored:
                found.append((known[key], None))
    return found


def _evaluate(
    answers: Sequence[pictures.Answer], classes: int, *, by_class: bool, confidence: float = 0.0
) -> Any:
    truths, detections = [], []
    for number, answer in enumerate(answers):
        truth = answer.picture.truth
        truths += _rows(number, truth.boxes.corners, truth.classes)
        for row, area, crowd in zip(
            truths[len(truths) - len(truth.classes) :], truth.areas, truth.crowd, strict=True
        ):
            row.update(area=float(area), iscrowd=int(crowd))
        found = answer.found
        if found is None:
            continue
        drawn = _rows(number, found.boxes.corners, found.classes)
        for row, score in zip(drawn, found.scores, strict=True):
            row.update(area=row["bbox"][2] * row["bbox"][3], iscrowd=0, score=float(score))
        detections += [row for row in drawn if row["score"] >= confidence]
    images = [{"id": number} for number in range(len(answers))]
    categories = [{"id": number} for number in range(classes)]
    with contextlib.redirect_stdout(io.StringIO()):  # it reports its progress by printing
        evaluation = COCOeval(
            _index(images, categories, truths), _index(images, categories, detections), "bbox"
        )
        evaluation.params.useCats = int(by_class)
        evaluation.evaluate()
    return evaluation


def _rows(
    image: int, corners: NDArray[np.float64], classes: NDArray[np.int64]
) -> list[dict[str, Any]]:
    return [
        {
            "image_id": image,
            "category_id": int(number),
            "bbox": [left, top, right - left, bottom - top],
            "position": position,
        }
        for position, ((left, top, right, bottom), number) in enumerate(
            zip(corners.tolist(), classes, strict=True)
        )
    ]


def _index(images: list[Any], categories: list[Any], rows: list[dict[str, Any]]) -> Any:
    """The library's index of boxes; their ids start at 1, because it takes 0 for no match."""
    for number, row in enumerate(rows, 1):
        row["id"] = number
    found = COCO()
    found.dataset = {"images": images, "categories": categories, "annotations": rows}
    found.createIndex()
    return found


def _matches(cells: Sequence[dict[str, Any] | None]) -> Matches:
    """The library's cells of a class and size, one for each picture, as arrays."""
    there = [(number, cell) for number, cell in enumerate(cells) if cell is not None]
    matched = [cell["dtMatches"].astype(bool) for _, cell in there]
    ignored = [cell["dtIgnore"].astype(bool) for _, cell in there]
    none = np.zeros((10, 0), dtype=bool)
    hit, skip = np.hstack([none, *matched]), np.hstack([none, *ignored])
    boxes = np.zeros(len(cells), dtype=np.int64)
    for number, cell in there:
        boxes[number] = np.count_nonzero(np.asarray(cell["gtIgnore"]) == 0)
    return Matches(
        np.concatenate([np.zeros(0), *(cell["dtScores"] for _, cell in there)]),
        np.repeat(
            np.array([number for number, _ in there], dtype=np.intp),
            np.array([len(cell["dtIds"]) for _, cell in there], dtype=np.intp),
        ),
        hit & ~skip,
        ~hit & ~skip,
        boxes,
    )


def _judge(
    answers: Sequence[pictures.Answer], evaluation: Any, rows: Sequence[Sequence[Any]]
) -> tuple[Judged, ...]:
    """The library's cells of all classes, put together for each picture."""
    truths, drawn = evaluation.cocoGt.anns, evaluation.cocoDt.anns
    judged = [_blank(answer) for answer in answers]
    for row in rows:
        for entry, cell in zip(judged, row, strict=True):
            if cell is None:
                continue
            at = [drawn[key]["position"] for key in cell["dtIds"]]
            hit, skip = cell["dtMatches"][0].astype(bool), cell["dtIgnore"][0].astype(bool)
            entry.right[at], entry.wrong[at] = hit & ~skip, ~hit & ~skip
            for key, by in zip(cell["gtIds"], cell["gtMatches"][0], strict=True):
                if by:
                    entry.found[truths[key]["position"]] = drawn[int(by)]["score"]
    return tuple(judged)


def _blank(answer: pictures.Answer) -> Judged:
    truth = answer.picture.truth
    size = 0 if answer.found is None else len(answer.found.scores)
    return Judged(
        answer,
        np.zeros(size, dtype=np.bool_),
        np.zeros(size, dtype=np.bool_),
        np.full(len(truth.classes), -1.0),
        ~truth.crowd,
    )

"""What matching and average precision are, on cases that a person can count, and in general."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calumma.detection import matching, metrics, pictures, resampling
from calumma.scoring import gates

from .conftest import Scored, answer, picture

CLASSES = ("cat", "dog")


def values(answers: list[pictures.Answer], confidence: float = 0.5) -> dict[str, float | None]:
    found = matching.match(answers, CLASSES)
    measured = [
        *metrics.average_precisions(found, seed=0),
        *metrics.precision_and_recall(found, confidence, seed=0),
    ]
    return {each.name: each.value for each in measured}


def test_one_right_one_wrong_and_one_missed() -> None:
    shown = picture("a", [(10, 10, 50, 50, 0), (100, 10, 140, 50, 0)])
    found = values([answer(shown, [(10, 10, 50, 50, 0, 0.9), (60, 60, 90, 90, 0, 0.8)])])
    # Precision is 1 up to a recall of 0.5 (51 of the 101 recalls), and 0 beyond.
    assert found["AP of cat"] == pytest.approx(51 / 101)
    assert found["mAP"] == pytest.approx(51 / 101)
    assert found["precision"] == 0.5 and found["recall"] == 0.5


def test_a_box_that_is_off_counts_for_the_overlaps_that_it_has() -> None:
    shown = picture("a", [(0, 0, 100, 100, 0)])
    found = values([answer(shown, [(0, 0, 100, 72, 0, 0.9)])])  # overlaps by 0.72
    assert found["mAP@.5"] == pytest.approx(1)
    assert found["mAP"] == pytest.approx(0.5)  # of .50 .55 .60 .65 .70, and not of five others
    assert found["AP of large boxes"] == pytest.approx(0.5)
    assert found["AP of small boxes"] is None and found["AP of medium boxes"] is None


def test_a_class_without_boxes_is_no_data_and_its_detections_are_wrong() -> None:
    shown = picture("a", [(10, 10, 50, 50, 0)])
    found = values([answer(shown, [(10, 10, 50, 50, 0, 0.9), (10, 10, 50, 50, 1, 0.8)])])
    assert found["AP of dog"] is None and found["recall of dog"] is None
    assert found["mAP"] == pytest.approx(1)  # as COCO has it: the mean of classes that are there
    assert found["precision of dog"] == 0 and found["precision"] == 0.5


def test_a_box_is_found_once() -> None:
    shown = picture("a", [(10, 10, 50, 50, 0)])
    twice: list[Scored] = [(10, 10, 50, 50, 0, 0.9), (10, 10, 50, 51, 0, 0.8)]
    assert values([answer(shown, twice)])["precision"] == 0.5


def test_a_crowd_is_neither_missed_nor_found() -> None:
    shown = picture("a", [(10, 10, 50, 50, 0), (60, 60, 120, 120, 0)], [False, True])
    drawn = [(10.0, 10.0, 50.0, 50.0, 0, 0.9), (70.0, 70.0, 90.0, 90.0, 0, 0.8)]
    found = values([answer(shown, drawn)])
    assert found["mAP"] == pytest.approx(1)
    assert found["precision"] == 1 and found["recall"] == 1


def test_a_failed_request_found_nothing() -> None:
    one, other = picture("a", [(10, 10, 50, 50, 0)]), picture("b", [(10, 10, 50, 50, 0)])
    answers = [answer(one, [(10, 10, 50, 50, 0, 0.9)]), answer(other, failure="timeout")]
    assert values(answers)["recall"] == 0.5
    assert metrics.failures(answers).count == 1


def test_nothing_passes_on_nothing() -> None:
    for answers in ([], [answer(picture("a"))], [answer(picture("a"), [(1, 1, 9, 9, 0, 0.9)])]):
        found = matching.match(answers, CLASSES)
        measured = [
            *metrics.average_precisions(found, seed=0),
            *metrics.precision_and_recall(found, 0.5, seed=0),
        ]
        by_name = {each.name: each for each in measured}
        for name in ("mAP", "mAP@.5", "recall"):
            assert by_name[name].value is None and by_name[name].n == 0
            gate = gates.Gate(name, gates.Bound.AT_LEAST, 0.0)
            assert gates.judge([gate], measured).verdict is gates.Verdict.INCONCLUSIVE


def test_few_faultless_pictures_leave_doubt_and_many_little() -> None:
    for n, low in ((1, 0.21), (10, 0.73), (100, 0.97)):
        shown = [picture(f"{each:03}", [(10, 10, 50, 50, 0)]) for each in range(n)]
        answers = [answer(each, [(10, 10, 50, 50, 0, 0.9)]) for each in shown]
        found = metrics.average_precisions(matching.match(answers, CLASSES), seed=0)[0]
        assert found.value == pytest.approx(1) and found.interval is not None
        assert found.interval.low < low and found.interval.high == pytest.approx(1)
        assert found.n == n


def test_the_confusion_matrix_holds_what_was_taken_for_what() -> None:
    shown = picture("a", [(10, 10, 50, 50, 0), (100, 10, 140, 50, 1)])
    drawn: list[Scored] = [(10, 10, 50, 50, 1, 0.9), (150, 100, 180, 130, 0, 0.7)]
    found = metrics.confusion([answer(shown, drawn)], CLASSES, 0.5)
    assert found.labels == ("cat", "dog", "nothing")
    assert found.counts == ((0, 1, 0), (0, 0, 1), (1, 0, 0))
    unsure = metrics.confusion([answer(shown, drawn)], CLASSES, 0.95)
    assert unsure.counts == ((0, 0, 1), (0, 0, 1), (0, 0, 0))


def test_the_worst_pictures_are_those_with_the_most_mistakes() -> None:
    good, bad = picture("a", [(10, 10, 50, 50, 0)]), picture("b", [(10, 10, 50, 50, 0)])
    answers = [
        answer(good, [(10, 10, 50, 50, 0, 0.9)]),
        answer(bad, [(90, 90, 120, 120, 0, 0.9), (10, 10, 50, 50, 0, 0.3)]),
    ]
    found = matching.match(answers, CLASSES)
    (worst,) = metrics.worst(found, 0.5, limit=5)
    assert worst.answer.picture.id == "b"
    assert worst.found.tolist() == [0.3] and worst.wrong.tolist() == [True, False]
    assert metrics.labelled(found) == {"cat": 2, "dog": 0}


coordinate = st.integers(0, 140)
box = st.tuples(coordinate, st.integers(0, 100), st.integers(4, 60), st.integers(4, 60)).map(
    lambda each: (each[0], each[1], each[0] + each[2], each[1] + each[3])
)
rows = st.lists(st.tuples(box, st.integers(0, 1)).map(lambda each: (*each[0], each[1])), max_size=4)


@st.composite
def sets(draw: st.DrawFn) -> list[pictures.Answer]:
    """A few pictures, with detections that are near the labels or anywhere; no two scores alike."""
    scores = iter(draw(st.permutations(range(1, 40))))
    found = []
    for number in range(draw(st.integers(1, 4))):
        truth = draw(rows)
        near = [
            (x, y, right + draw(st.integers(0, 20)), bottom, kind)
            for x, y, right, bottom, kind in truth
            if draw(st.booleans())
        ]
        detections = [(*each, next(scores) / 40) for each in [*near, *draw(rows)]]
        found.append(answer(picture(f"p{number}", truth), detections))
    return found


def means(answers: list[pictures.Answer]) -> dict[int, float]:
    """The average precision of each class that has boxes."""
    precision = matching.match(answers, CLASSES).precision[..., 0].mean(axis=(0, 1))
    return {number: each for number, each in enumerate(precision.tolist()) if each == each}


@settings(max_examples=40, deadline=None)
@given(sets())
def test_perfect_detections_give_one_and_none_give_zero(answers: list[pictures.Answer]) -> None:
    shown = [each.picture for each in answers]
    perfect = [
        answer(
            each,
            [
                (*corners, int(kind), 0.9)
                for corners, kind in zip(
                    each.truth.boxes.corners.tolist(), each.truth.classes, strict=True
                )
            ],
        )
        for each in shown
    ]
    boxes = {int(kind) for each in shown for kind in each.truth.classes}
    assert means(perfect) == pytest.approx({kind: 1.0 for kind in boxes})
    assert means([answer(each) for each in shown]) == {kind: 0.0 for kind in boxes}


@settings(max_examples=40, deadline=None)
@given(sets(), st.randoms())
def test_the_order_of_pictures_does_not_matter(
    answers: list[pictures.Answer], luck: object
) -> None:
    shuffled = list(answers)
    luck.shuffle(shuffled)  # type: ignore[attr-defined]
    assert means(shuffled) == means(answers)


@settings(max_examples=40, deadline=None)
@given(sets(), st.data())
def test_weights_give_what_the_library_gives_for_repeated_pictures(
    answers: list[pictures.Answer], data: st.DataObject
) -> None:
    times = [data.draw(st.integers(0, 3)) for _ in answers]
    repeated = [
        pictures.Answer(
            pictures.Picture(f"{each.picture.id}-{copy}", each.picture.path, each.picture.truth),
            each.found,
            each.seconds,
            None,
            None,
        )
        for each, copies in zip(answers, times, strict=True)
        for copy in range(copies)
    ]
    ours, theirs = matching.match(answers, CLASSES), matching.match(repeated, CLASSES)
    weights = np.array([np.ones(len(answers)), times], dtype=np.int64)
    for (number, size), each in ours.matches.items():
        place = (slice(None), slice(None), number, matching.SIZES.index(size))
        plain, weighted = resampling.average_precision(each, weights)
        np.testing.assert_allclose(plain, ours.precision[place].mean(axis=1))
        if repeated:
            np.testing.assert_allclose(weighted, theirs.precision[place].mean(axis=1))


def drawn_at_random(n: int, luck: np.random.Generator) -> matching.Matches:
    """``n`` pictures, some hard: fewer of their boxes are found, and with less confidence."""
    rows: list[tuple[float, int, bool]] = []
    boxes = luck.poisson(2, n)
    for number, ease in enumerate(luck.normal(0, 1, n)):
        found = luck.binomial(boxes[number], 1 / (1 + np.exp(-1.2 - ease)))
        rows += [(luck.normal(1 + ease / 2, 1), number, True) for _ in range(found)]
        rows += [(luck.normal(-0.5, 1), number, False) for _ in range(luck.poisson(0.8))]
    scores, at, right = (np.array(each) for each in zip(*rows, strict=True))
    return matching.Matches(scores, at, right[None], ~right[None], boxes)


def test_nine_of_ten_intervals_or_more_hold_the_truth() -> None:
    luck = np.random.default_rng(0)
    whole = np.ones((1, 10_000), dtype=np.int64)
    truth = resampling.average_precision(drawn_at_random(10_000, luck), whole)[0, 0]
    held = 0
    for seed in range(120):
        matches = drawn_at_random(40, luck)
        value = resampling.average_precision(matches, whole[:, :40])[0, 0]
        weights = resampling.weights(40, seed=seed, resamples=300)
        low, high = resampling.interval(
            value, resampling.average_precision(matches, weights)[:, 0], 40
        )
        held += low <= truth <= high
        assert high - low < 0.4
    assert 0.88 * 120 <= held < 120

"""Boxes have one form, and numbers of another are refused rather than scored."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from calumma import errors
from calumma.detection import boxes, decoding, letterbox
from calumma.detection.boxes import Layout, Units

SIZE = boxes.Size(200, 100)


@pytest.mark.parametrize(
    ("numbers", "layout", "units"),
    [
        ([20, 10, 60, 40], Layout.XYXY, Units.PIXELS),
        ([20, 10, 40, 30], Layout.XYWH, Units.PIXELS),
        ([40, 25, 40, 30], Layout.CXCYWH, Units.PIXELS),
        ([0.1, 0.1, 0.3, 0.4], Layout.XYXY, Units.NORMALISED),
        ([0.2, 0.25, 0.2, 0.3], Layout.CXCYWH, Units.NORMALISED),
    ],
)
def test_each_layout_is_the_same_box(numbers: list[float], layout: Layout, units: Units) -> None:
    found = boxes.read(np.array([numbers]), layout, units, SIZE)
    np.testing.assert_allclose(found.corners, [[20, 10, 60, 40]])
    assert found.areas.tolist() == pytest.approx([1200])


@pytest.mark.parametrize(
    "corners", [[[5, 5, 4, 9]], [[0, 0, np.nan, 1]], [[0, 0, np.inf, 1]], [[1, 2, 3]]]
)
def test_what_is_no_box_is_refused(corners: list[list[float]]) -> None:
    with pytest.raises(errors.EvaluationError, match=r"a box has the corners|an array \[n, 4\]"):
        boxes.Boxes(np.array(corners, dtype=np.float64), SIZE)


def test_a_mix_up_of_units_is_a_sentence() -> None:
    with pytest.raises(errors.EvaluationError, match=r"above 0\.97: they are shares of the image"):
        boxes.check_units(0.97, Units.PIXELS, "the boxes")
    with pytest.raises(errors.EvaluationError, match="there is 412 among them: they are pixels"):
        boxes.check_units(412, Units.NORMALISED, "the boxes")
    boxes.check_units(None, Units.PIXELS, "the boxes")
    boxes.check_units(412, Units.PIXELS, "the boxes")
    boxes.check_units(1.01, Units.NORMALISED, "the boxes")


def test_overlap_is_intersection_over_union() -> None:
    one = np.array([[0.0, 0.0, 10.0, 10.0], [3.0, 3.0, 3.0, 3.0]])
    others = np.array([[5.0, 0.0, 15.0, 10.0], [20.0, 20.0, 30.0, 30.0], [0.0, 0.0, 10.0, 10.0]])
    np.testing.assert_allclose(boxes.overlaps(one, others), [[1 / 3, 0.0, 1.0], [0.0, 0.0, 0.0]])


@given(st.integers(1, 900), st.integers(1, 900), st.integers(8, 640), st.integers(8, 640))
def test_a_box_comes_back_from_the_letterbox(
    width: int, height: int, across: int, down: int
) -> None:
    model = boxes.Size(across, down)
    found = letterbox.fit(boxes.Size(width, height), model)
    assert found.left >= 0 and found.top >= 0
    corners = np.array([[0.1 * width, 0.2 * height, 0.7 * width, 0.9 * height]])
    offset = np.array([found.left, found.top] * 2)
    placed = boxes.Boxes(corners * found.scale + offset, model)
    np.testing.assert_allclose(letterbox.back(placed, found).corners, corners, rtol=1e-6)


def test_the_letterbox_keeps_the_proportions_and_interpolates_linearly() -> None:
    image = Image.fromarray(np.tile(np.arange(0, 200, 10, dtype=np.uint8), (10, 1)))
    placed = letterbox.place(image, boxes.Size(10, 9))
    assert placed.shape == (9, 10, 3)
    assert (placed[:2] == letterbox.GREY).all() and (placed[7:] == letterbox.GREY).all()
    assert placed[4, :, 0].tolist() == list(range(5, 200, 20))  # midway between two pixels


class TestYolo:
    size = boxes.Size(64, 64)
    output = decoding.Yolo("out", iou=0.5)

    def decode(self, rows: list[list[float]], classes: int = 2) -> decoding.Decoded:
        """Rows are centre, size, scores."""
        raw = np.array(rows, dtype=np.float32).T[None]
        return self.output.decode({"out": raw}, classes, self.size, 0.1)

    def test_the_best_class_counts_and_the_unsure_are_dropped(self) -> None:
        found = self.decode([[10, 10, 4, 6, 0.2, 0.7], [40, 40, 4, 4, 0.05, 0.02]]).found
        assert found.boxes.corners.tolist() == [[8, 7, 12, 13]]
        assert found.classes.tolist() == [1] and found.scores == pytest.approx([0.7])

    def test_candidates_of_one_object_are_one_detection(self) -> None:
        rows = [[10, 10, 8, 8, 0.6, 0], [11, 10, 8, 8, 0.9, 0], [10, 10, 8, 8, 0, 0.5]]
        found = self.decode(rows).found
        assert found.scores == pytest.approx([0.9, 0.5]) and found.classes.tolist() == [0, 1]

    @pytest.mark.parametrize(
        ("shape", "words"),
        [
            ((1, 8400, 6), r"is \[1, 8400, 6\]; for 2 classes \[1, 6, anchors\]"),
            ((2, 6, 10), r"is \[2, 6, 10\]"),
            ((1, 84, 10), r"is \[1, 84, 10\]"),
        ],
    )
    def test_another_form_is_refused(self, shape: tuple[int, ...], words: str) -> None:
        with pytest.raises(errors.EvaluationError, match=words):
            self.output.decode({"out": np.zeros(shape)}, 2, self.size, 0.1)

    @pytest.mark.parametrize("score", [-3.0, 7.5, np.nan])
    def test_logits_are_refused(self, score: float) -> None:
        with pytest.raises(errors.EvaluationError, match="probabilities from 0 to 1 are expected"):
            self.decode([[10, 10, 8, 8, score, 0]])


class TestPlain:
    size = boxes.Size(64, 64)
    output = decoding.Plain("b", "s", "l", units=Units.NORMALISED)

    @pytest.mark.parametrize("batch", [(), (1,)])
    def test_padding_is_dropped_and_the_surest_comes_first(self, batch: tuple[int, ...]) -> None:
        tensors = {
            "b": np.array([[0, 0, 0.5, 0.5], [0.5, 0, 1, 1], [0, 0, 0, 0]]).reshape(*batch, 3, 4),
            "s": np.array([0.3, 0.8, 0]).reshape(*batch, 3),
            "l": np.array([1, 0, -1]).reshape(*batch, 3),
        }
        decoded = self.output.decode(tensors, 2, self.size, 0.1)
        assert decoded.found.boxes.corners.tolist() == [[32, 0, 64, 64], [0, 0, 32, 32]]
        assert decoded.found.classes.tolist() == [0, 1] and decoded.largest == 1

    def test_labels_that_are_not_declared_are_refused(self) -> None:
        tensors = {"b": np.zeros((1, 4)), "s": np.ones(1), "l": np.array([2])}
        with pytest.raises(errors.EvaluationError, match="labels from 2 to 2; 2 classes"):
            self.output.decode(tensors, 2, self.size, 0.1)

    def test_shapes_that_do_not_belong_together_are_refused(self) -> None:
        tensors = {"b": np.zeros((2, 4)), "s": np.ones(3), "l": np.zeros(3)}
        with pytest.raises(errors.EvaluationError, match=r"are \[2, 4\], \[3\], \[3\]"):
            self.output.decode(tensors, 2, self.size, 0.1)


corner = st.integers(0, 30)


@given(
    st.lists(
        st.tuples(corner, corner, st.integers(1, 12), st.integers(1, 12), st.integers(0, 1)),
        max_size=12,
    ),
    st.sampled_from([0.0, 0.3, 0.5, 0.7, 1.0]),
)
def test_suppression_leaves_no_two_alike_and_covers_the_rest(
    rows: list[tuple[int, int, int, int, int]], iou: float
) -> None:
    numbers = np.array(rows, dtype=np.float64).reshape(-1, 5)
    corners = np.hstack([numbers[:, :2], numbers[:, :2] + numbers[:, 2:4]])
    classes = numbers[:, 4]
    scores = np.linspace(1, 0.5, len(rows))
    kept = decoding.suppress(corners, scores, classes, iou)
    assert kept.tolist() == sorted(kept.tolist())
    alike = (boxes.overlaps(corners, corners) > iou) & (classes[:, None] == classes[None])
    for position in range(len(rows)):
        surer = [each for each in kept if each < position]
        assert (position in kept) == (not alike[position, surer].any())

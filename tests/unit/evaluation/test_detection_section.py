"""The section ``detection``: what it says about a box model, and what it refuses."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from calumma import errors
from calumma.detection import boxes, decoding
from calumma.evaluation import detection, document, suite

ROOT = Path(__file__).parents[3]

PLAIN: dict[str, Any] = {
    "data": {"images": "i", "labels": "l.json"},
    "classes": ["cat", "dog"],
    "input": {"name": "file"},
    "plain": {"boxes": "b", "scores": "s", "labels": "l", "layout": "xywh", "units": "normalised"},
}


def test_the_template_describes_a_yolo_model() -> None:
    path = ROOT / "evaluation" / "suites" / "boxes.yaml"
    found = suite.read(path).detection
    assert found is not None
    assert found.asked.size == boxes.Size(64, 64)
    assert found.asked.output == decoding.Yolo("output0", 0.7)
    assert suite.notebook(path, "detection", found).resolve().exists()
    images, labels = detection.located(path, found.data)
    assert images.resolve() == ROOT / "evaluation" / "data" / "boxes" / "images"
    assert labels.resolve() == ROOT / "evaluation" / "data" / "boxes" / "labels"


def test_a_model_that_decodes_and_thins_out_itself() -> None:
    found = document.check(PLAIN, detection.Detection, "suite")
    assert found.asked.size is None and found.asked.classes == ("cat", "dog")
    assert found.asked.output == decoding.Plain(
        "b", "s", "l", boxes.Layout.XYWH, boxes.Units.NORMALISED
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"yolo": {"output": "o"}}, "described either by yolo or by plain"),
        ({"plain": None}, "described either by yolo or by plain"),
        ({"classes": []}, "classes is []"),
        ({"classes": ["cat", "cat"]}, "each class needs a name of its own"),
        ({"confidence": 1.5}, "confidence is 1.5: input should be less than or equal to 1"),
        ({"floor": 0.5}, "floor must not be above confidence"),
        ({"data": {"images": "i"}}, "data.labels is missing"),
        ({"input": {"name": "i", "letterbox": {"width": 640}}}, "input.letterbox.height is miss"),
        ({"input": {"name": "i", "size": 640}}, "accepted are name, letterbox"),
        ({"plain": {**PLAIN["plain"], "layout": "yxyx"}}, "'xyxy', 'xywh' or 'cxcywh'"),
    ],
)
def test_a_mistake_is_named(change: dict[str, Any], words: str) -> None:
    content = copy.deepcopy(PLAIN) | change
    with pytest.raises(errors.DocumentInvalid) as caught:
        document.check(content, detection.Detection, "suite")
    assert words in str(caught.value)

"""Labels are read whole, or refused with what is missing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from calumma import errors
from calumma.detection import labels
from support import squares


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = squares.scenes(6)
    squares.write_yolo(tmp_path, found)
    squares.write_coco(tmp_path / "coco.json", found)
    return tmp_path


def test_yolo_and_coco_say_the_same(folder: Path) -> None:
    yolo = labels.read(folder / "images", folder / "labels", squares.CLASSES)
    coco = labels.read(folder / "images", folder / "coco.json", squares.CLASSES)
    assert [each.id for each in yolo] == [f"scene{number:03}.png" for number in range(6)]
    assert sum(len(each.truth.boxes) for each in yolo) > 5
    for one, other in zip(yolo, coco, strict=True):
        np.testing.assert_allclose(one.truth.boxes.corners, other.truth.boxes.corners)
        np.testing.assert_allclose(one.truth.areas, other.truth.areas)
        assert one.truth.classes.tolist() == other.truth.classes.tolist()
    assert labels.digest(yolo) == labels.digest(reversed(yolo))
    before = labels.digest(yolo)
    (folder / "labels" / "scene000.txt").write_text("0 0.5 0.5 0.1 0.1\n")
    changed = labels.read(folder / "images", folder / "labels", squares.CLASSES)
    assert labels.digest(changed) != before


def line(text: str) -> Callable[[Path], Any]:
    return lambda folder: (folder / "labels" / "scene001.txt").write_text(text)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (
            lambda folder: (folder / "labels" / "scene002.txt").unlink(),
            "1 of 6 images in .* have no labels .* scene002; .* needs an empty file",
        ),
        (
            lambda folder: (folder / "images" / "scene002.png").unlink(),
            "1 of 6 labels in .* have no image in .* scene002",
        ),
        (line("0 0.5 0.5 0.1"), r"line 1 of .*scene001\.txt is '0 0\.5 0\.5 0\.1'; a class from 0"),
        (line("2 0.5 0.5 0.1 0.1"), "a class from 0 to 1"),
        (line("0.5 0.5 0.5 0.1 0.1"), "a class from 0 to 1"),
        (line("0 0.5 0.5 nan 0.1"), "are expected"),
        (line("red 0.5 0.5 0.1 0.1"), "are expected"),
        (line("0 64 48 32 32"), "shares of the image, from 0 to 1, and there is 64"),
        (
            line("0 0.9 0.5 0.4 0.1"),
            r"corners \[89.6, 43.2, 140.8, 52.8\] and the image is 128 x 96",
        ),
        (
            lambda folder: (folder / "images" / "scene001.png").write_bytes(b"no"),
            r"scene001\.png cannot be read as an image",
        ),
    ],
)
def test_a_yolo_folder_with_a_mistake_is_refused(
    folder: Path, spoil: Callable[[Path], Any], words: str
) -> None:
    spoil(folder)
    with pytest.raises(errors.EvaluationError, match=words):
        labels.read(folder / "images", folder / "labels", squares.CLASSES)


def normalise(content: Any) -> None:
    for row in content["annotations"]:
        row["bbox"] = [number / 128 for number in row["bbox"]]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (
            lambda content: content["images"].pop(0),
            "scene000.png; .* is listed without annotations",
        ),
        (lambda content: content.pop("categories"), "cannot be read as COCO's labels"),
        (lambda content: content["annotations"][0].pop("bbox"), "cannot be read as COCO's labels"),
        (
            lambda content: content["categories"][0].update(name="blue"),
            "has boxes of blue; the model knows red, green",
        ),
        (lambda content: content["images"][1].update(id=0), "has images that share an id"),
        (lambda content: content["annotations"][1].update(id=1), "has annotations that share"),
        (lambda content: content["annotations"][0].update(image_id=99), "does not list.*99"),
        (lambda content: content["images"][0].update(width=64), "128 x 96 pixels, .* says 64 x 96"),
        (normalise, "declared to be in pixels, and no number in them is above 0"),
    ],
)
def test_a_coco_file_with_a_mistake_is_refused(
    folder: Path, spoil: Callable[[Any], Any], words: str
) -> None:
    path = folder / "coco.json"
    content = json.loads(path.read_text())
    spoil(content)
    path.write_text(json.dumps(content))
    with pytest.raises(errors.EvaluationError, match=words):
        labels.read(folder / "images", path, squares.CLASSES)


def test_what_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(errors.EvaluationError, match="is not a folder"):
        labels.read(tmp_path / "none", tmp_path, squares.CLASSES)
    with pytest.raises(errors.EvaluationError, match="has no image"):
        labels.read(tmp_path, tmp_path, squares.CLASSES)
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    with pytest.raises(errors.EvaluationError, match="neither a folder of YOLO labels"):
        labels.read(tmp_path, tmp_path / "none", squares.CLASSES)
    (tmp_path / "c.json").write_text("{")
    with pytest.raises(errors.EvaluationError, match="cannot be read as COCO's"):
        labels.read(tmp_path, tmp_path / "c.json", squares.CLASSES)

"""Labelled images for box models: a folder of images, and labels as YOLO's files or COCO's one.

YOLO: beside the folder of images one of text files with the same names; each line holds a class's
number and a box as centre and size in shares of the image. COCO: one JSON file, read by
``pycocotools``. A set whose halves do not belong together is refused: an image without its labels
would make every right detection on it a wrong one.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pycocotools.coco import COCO

from calumma import errors
from calumma.detection import boxes, pictures

SUFFIXES = (".jpg", ".jpeg", ".png")

# Labels are drawn by hand and rounded: a box may end this many pixels outside of its image.
_SLACK = 1.0


def read(images: Path, labels: Path, classes: Sequence[str]) -> list[pictures.Picture]:
    """The labelled pictures in the folder ``images``, in order of their names.

    ``labels`` is a folder of YOLO's text files or a COCO file (``.json``), ``classes`` the model's
    classes in its order. Raises :class:`~calumma.errors.EvaluationError` for a set that is empty,
    incomplete, of other classes, or whose boxes are not where they say.
    """
    if not images.is_dir():
        raise errors.EvaluationError(f"{images} is not a folder; the images are expected in it")
    files = sorted(path for path in images.iterdir() if path.suffix.lower() in SUFFIXES)
    if not files:
        raise errors.EvaluationError(
            f"{images} has no image; files that end with {', '.join(SUFFIXES)} are expected"
        )
    found = (_coco if labels.suffix == ".json" else _yolo)(files, labels, classes)
    for picture in found:
        _check_inside(picture)
    return found


def digest(found: Iterable[pictures.Picture]) -> str:
    """The SHA-256 of the pictures with their labels: which data this was."""
    lines = []
    for picture in found:
        file = hashlib.sha256(picture.path.read_bytes()).hexdigest()
        truth = picture.truth
        drawn = [truth.classes.tolist(), truth.boxes.corners.tolist(), truth.crowd.tolist()]
        lines.append(json.dumps([picture.id, file, drawn]))
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


def _yolo(files: Sequence[Path], folder: Path, classes: Sequence[str]) -> list[pictures.Picture]:
    if not folder.is_dir():
        raise errors.EvaluationError(
            f"{folder} is neither a folder of YOLO labels (one .txt for each image) nor a COCO "
            "file (.json)"
        )
    lists = {path.stem: path for path in folder.glob("*.txt") if path.stem != "classes"}
    _require_same(
        {path.stem for path in files}, set(lists), files[0].parent, folder, "needs an empty file"
    )
    rows = {path.stem: _yolo_rows(lists[path.stem], len(classes)) for path in files}
    numbers = np.vstack([each[:, 1:] for each in rows.values()])
    boxes.check_units(_largest(numbers), boxes.Units.NORMALISED, f"the boxes in {folder}")
    found = []
    for path in files:
        labels = rows[path.stem]
        drawn = boxes.read(labels[:, 1:], boxes.Layout.CXCYWH, boxes.Units.NORMALISED, _size(path))
        crowd = np.zeros(len(labels), dtype=np.bool_)
        truth = pictures.Truth(drawn, labels[:, 0].astype(np.int64), drawn.areas, crowd)
        found.append(pictures.Picture(path.name, path, truth))
    return found


def _require_same(
    images: set[str], labels: set[str], folder: Path, beside: Path, blank: str
) -> None:
    if without := sorted(images - labels):
        raise errors.EvaluationError(
            f"{len(without)} of {len(images)} images in {folder} have no labels in {beside}, the "
            f"first is {without[0]}; an image that shows nothing {blank}"
        )
    if without := sorted(labels - images):
        raise errors.EvaluationError(
            f"{len(without)} of {len(labels)} labels in {beside} have no image in {folder}, the "
            f"first is {without[0]}"
        )


def _yolo_rows(path: Path, classes: int) -> NDArray[np.float64]:
    """The lines of a file, [n, 5]: class, centre, size."""
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        words = line.split()
        if not words:
            continue
        try:
            row = [float(word) for word in words]
        except ValueError:
            row = []
        if len(row) != 5 or row[0] not in range(classes) or not np.isfinite(row).all():
            raise errors.EvaluationError(
                f"line {number} of {path} is {line[:80]!r}; a class from 0 to {classes - 1} and "
                "the box's centre x, centre y, width and height are expected"
            )
        rows.append(row)
    return np.array(rows, dtype=np.float64).reshape(-1, 5)


def _coco(files: Sequence[Path], path: Path, classes: Sequence[str]) -> list[pictures.Picture]:
    labels = _coco_labels(path)
    by_name = {str(image["file_name"]): image for image in labels.imgs.values()}
    folder = files[0].parent
    _require_same(
        {file.name for file in files}, set(by_name), folder, path, "is listed without annotations"
    )
    position = _positions(labels, classes, path)
    boxes.check_units(
        _largest(np.array([each["bbox"] for each in labels.anns.values()], dtype=np.float64)),
        boxes.Units.PIXELS,
        f"the boxes in {path}",
    )
    found = []
    for file in files:
        image, size = by_name[file.name], _size(file)
        if [image["width"], image["height"]] != list(size):
            raise errors.EvaluationError(
                f"{file} has {size.width} x {size.height} pixels, {path} says "
                f"{image['width']} x {image['height']}; was the image scaled after it was labelled?"
            )
        rows = labels.imgToAnns[image["id"]]
        drawn = np.array([row["bbox"] for row in rows], dtype=np.float64).reshape(-1, 4)
        truth = pictures.Truth(
            boxes.read(drawn, boxes.Layout.XYWH, boxes.Units.PIXELS, size),
            np.array([position[row["category_id"]] for row in rows], dtype=np.int64),
            np.array([row.get("area", row["bbox"][2] * row["bbox"][3]) for row in rows], float),
            np.array([bool(row.get("iscrowd", 0)) for row in rows], dtype=np.bool_),
        )
        found.append(pictures.Picture(file.name, file, truth))
    return found


def _coco_labels(path: Path) -> Any:
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # it reports its progress by printing
            found = COCO(str(path))
        listed = {key: found.dataset[key] for key in ("images", "annotations", "categories")}
        for image in listed["images"]:
            _ = image["file_name"], image["width"], image["height"]
        for row in listed["annotations"]:
            _ = [float(number) for number in row["bbox"]], row["category_id"]
        _ = [each["name"] for each in listed["categories"]]
    except (OSError, ValueError, KeyError, TypeError, AssertionError) as error:
        raise errors.EvaluationError(
            f"{path} cannot be read as COCO's labels ({error!r}); images with file_name, width and "
            "height, annotations with bbox and category_id, and categories are expected"
        ) from error
    for key, kept in (("images", found.imgs), ("annotations", found.anns)):
        if len(kept) != len(listed[key]):
            raise errors.EvaluationError(f"{path} has {key} that share an id; each needs its own")
    if strangers := sorted(set(found.imgToAnns) - set(found.imgs)):
        raise errors.EvaluationError(
            f"{path} has annotations of images that it does not list, the first is {strangers[0]}"
        )
    return found


def _positions(labels: Any, classes: Sequence[str], path: Path) -> dict[int, int]:
    """The model's class for each category that has annotations."""
    used = {row["category_id"] for row in labels.anns.values()}
    names = {each: labels.cats[each]["name"] for each in used if each in labels.cats}
    unknown = sorted(str(names.get(each, each)) for each in used if names.get(each) not in classes)
    if unknown:
        raise errors.EvaluationError(
            f"{path} has boxes of {', '.join(unknown)}; the model knows {', '.join(classes)}"
        )
    return {each: list(classes).index(name) for each, name in names.items()}


def _size(path: Path) -> boxes.Size:
    try:
        with Image.open(path) as image:
            return boxes.Size(*image.size)
    except OSError as error:
        raise errors.EvaluationError(f"{path} cannot be read as an image: {error}") from error


def _check_inside(picture: pictures.Picture) -> None:
    drawn = picture.truth.boxes
    beyond = np.abs(drawn.corners - drawn.clipped().corners).max(axis=1, initial=0.0)
    if (beyond > _SLACK).any():
        first = drawn.corners[beyond.argmax()].round(1).tolist()
        raise errors.EvaluationError(
            f"a label of {picture.path} has the corners {first} and the image is "
            f"{picture.size.width} x {picture.size.height} pixels; boxes are expected on the image"
        )


def _largest(numbers: NDArray[np.float64]) -> float | None:
    return float(np.abs(numbers).max()) if numbers.size else None

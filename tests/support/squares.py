"""A small detector of red and green squares, and pictures of them whose boxes are known exactly.

The detector is a convolution for each size of square: the mean of its inside minus the mean of the
ring around it, which is largest where the square is. So it finds what is there, where it is, and
what it says of a given picture can be computed by hand.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper
from PIL import Image

from support import onnx_models

CLASSES = ("red", "green")
INPUT = 64
"""Pixels of the model's input, each way."""
SIDES = (8, 16)
"""Of the squares, in pixels of the model's input."""
SCALE = 2
"""The pictures are larger than the model's input by this."""
PICTURE = (128, 96)


class Square(NamedTuple):
    """A square in pixels of the picture: its left upper corner, side, class and brightness."""

    left: int
    top: int
    side: int
    number: int
    brightness: float = 1.0


def detector(*, shift: float = 0.0, blind_to: int | None = None) -> bytes:
    """The model: ``images`` [1, 3, 64, 64] to ``output0`` [1, 6, anchors], as YOLO's are exported.

    It draws each box ``shift`` pixels too far to the right, and gives class ``blind_to`` no score.
    """
    nodes, scores, centres, constants = [], [], [], {}
    for side in SIDES:
        constants[f"kernel{side}"] = _kernel(side, blind_to)
        places = INPUT - side + 1
        constants[f"shape{side}"] = np.array([1, len(CLASSES), places * places])
        nodes += [
            helper.make_node(
                "Conv", ["images", f"kernel{side}"], [f"raw{side}"], pads=[1, 1, 1, 1]
            ),
            helper.make_node("Reshape", [f"raw{side}", f"shape{side}"], [f"flat{side}"]),
        ]
        scores.append(f"flat{side}")
        rows, columns = np.divmod(np.arange(places * places), places)
        drawn = [columns + side / 2 + shift, rows + side / 2, *[np.full(len(rows), side)] * 2]
        centres.append(np.array(drawn))
    constants["boxes"] = np.concatenate(centres, axis=1)[None].astype(np.float32)
    constants["steepness"] = np.array(4, dtype=np.float32)
    constants["offset"] = np.array(3, dtype=np.float32)
    nodes += [
        helper.make_node("Concat", scores, ["all"], axis=2),
        # 1 for a bright square and 0 for one that is a quarter darker, or for a place beside it.
        helper.make_node("Mul", ["all", "steepness"], ["steep"]),
        helper.make_node("Sub", ["steep", "offset"], ["lowered"]),
        helper.make_node("Relu", ["lowered"], ["scores"]),
        helper.make_node("Concat", ["boxes", "scores"], ["output0"], axis=1),
    ]
    return onnx_models.graph(
        nodes,
        {"images": (TensorProto.FLOAT, [1, 3, INPUT, INPUT])},
        {"output0": (TensorProto.FLOAT, [1, 4 + len(CLASSES), constants["boxes"].shape[2]])},
        constants,
    )


def _kernel(side: int, blind_to: int | None) -> NDArray[np.float32]:
    """[classes, 3 colours, side + 2, side + 2]; the ring is one pixel wide."""
    kernel = np.zeros((len(CLASSES), 3, side + 2, side + 2), dtype=np.float32)
    for number in range(len(CLASSES)):
        if number != blind_to:
            kernel[number, number] = -1 / (4 * side + 4)
            kernel[number, number, 1:-1, 1:-1] = 1 / side**2
    return kernel


def draw(squares: Sequence[Square]) -> Image.Image:
    """A dark picture with these squares."""
    pixels = np.zeros((PICTURE[1], PICTURE[0], 3), dtype=np.uint8)
    for left, top, side, number, brightness in squares:
        pixels[top : top + side, left : left + side, number] = round(255 * brightness)
    return Image.fromarray(pixels)


def scenes(n: int, *, seed: int = 0) -> list[list[Square]]:
    """``n`` pictures of up to four squares that do not touch, some pictures of none."""
    generator = np.random.default_rng(seed)
    found = []
    for _ in range(n):
        squares: list[Square] = []
        for cell in generator.permutation(6)[: generator.integers(0, 5)]:
            row, column = divmod(int(cell), 3)
            side = SCALE * int(generator.choice(SIDES))
            left, top = SCALE * generator.integers(1, 4, 2)
            squares.append(
                Square(
                    int(42 * column + left),
                    int(48 * row + top),
                    side,
                    int(generator.integers(2)),
                )
            )
        found.append(squares)
    return found


def write_yolo(folder: Path, found: Sequence[Sequence[Square]]) -> None:
    """``images`` and ``labels`` as YOLO has them, in a folder."""
    (folder / "images").mkdir(parents=True)
    (folder / "labels").mkdir()
    for number, squares in enumerate(found):
        draw(squares).save(folder / "images" / f"scene{number:03}.png")
        width, height = PICTURE
        lines = [
            f"{one.number} {(one.left + one.side / 2) / width} {(one.top + one.side / 2) / height} "
            f"{one.side / width} {one.side / height}\n"
            for one in squares
        ]
        (folder / "labels" / f"scene{number:03}.txt").write_text("".join(lines))


def write_coco(path: Path, found: Sequence[Sequence[Square]]) -> None:
    """The labels of the same images as COCO's file."""
    boxes = [(number, one) for number, squares in enumerate(found) for one in squares]
    content = {
        "images": [
            {
                "id": number,
                "file_name": f"scene{number:03}.png",
                "width": PICTURE[0],
                "height": PICTURE[1],
            }
            for number in range(len(found))
        ],
        "annotations": [
            {
                "id": key,
                "image_id": number,
                "category_id": one.number + 7,
                "bbox": [one.left, one.top, one.side, one.side],
                "area": one.side**2,
                "iscrowd": 0,
            }
            for key, (number, one) in enumerate(boxes, 1)
        ],
        "categories": [{"id": key + 7, "name": name} for key, name in enumerate(CLASSES)],
    }
    path.write_text(json.dumps(content))

"""An image as box models take it: scaled as a whole, centred, the rest filled with grey.

As the models of the YOLO family are trained and exported: the longer side fits, pixels are
interpolated linearly without smoothing, and the border is 114 of 255.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from calumma.detection import boxes

GREY = 114


class Fit(NamedTuple):
    """How an image of size ``image`` lies in the model's: scaled, then moved, in its pixels."""

    scale: float
    left: int
    top: int
    image: boxes.Size


def fit(image: boxes.Size, model: boxes.Size) -> Fit:
    """Where an image of one size lies in a model's input of another."""
    scale = min(model.width / image.width, model.height / image.height)
    width, height = _scaled(image, scale)
    return Fit(scale, (model.width - width) // 2, (model.height - height) // 2, image)


def place(image: Image.Image, model: boxes.Size) -> NDArray[np.uint8]:
    """The model's input [height, width, 3] with the image in it."""
    found = fit(boxes.Size(*image.size), model)
    width, height = _scaled(found.image, found.scale)
    # An affine transformation takes single points, where `resize` would smooth before it shrinks.
    steps = (image.width / width, 0, 0, 0, image.height / height, 0)
    scaled = image.convert("RGB").transform(
        (width, height), Image.Transform.AFFINE, steps, resample=Image.Resampling.BILINEAR
    )
    whole = np.full((model.height, model.width, 3), GREY, dtype=np.uint8)
    whole[found.top : found.top + height, found.left : found.left + width] = np.asarray(scaled)
    return whole


def back(drawn: boxes.Boxes, found: Fit) -> boxes.Boxes:
    """Boxes on the model's input as boxes on the image; what is beyond its edges is cut off."""
    corners = (drawn.corners - np.array([found.left, found.top] * 2)) / found.scale
    return boxes.Boxes(corners, found.image).clipped()


def _scaled(image: boxes.Size, scale: float) -> boxes.Size:
    return boxes.Size(max(1, round(image.width * scale)), max(1, round(image.height * scale)))

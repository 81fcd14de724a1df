"""The section ``detection`` of a suite: a service that draws boxes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

import pydantic

from calumma.detection import asking, boxes, decoding
from calumma.evaluation import document, section

Share = Annotated[float, pydantic.Field(ge=0, le=1)]
Side = Annotated[int, pydantic.Field(ge=1)]


class Data(document.Part):
    """Labelled images; paths are from the suite's folder."""

    images: str
    """A folder of image files."""
    labels: str
    """A folder of YOLO's text files, or COCO's JSON file."""


class Letterbox(document.Part):
    """The caller places the image in the model's input."""

    width: Side
    height: Side


class Input(document.Part):
    """The tensor that the model takes."""

    name: str
    letterbox: Letterbox | None = None
    """Without it, the service is sent the image file as it is (a tensor of bytes)."""


class Yolo(document.Part):
    """One output [1, 4 + classes, anchors], as Ultralytics exports it."""

    output: str
    iou: Share = 0.7
    """Candidates of a class that overlap by more are one detection."""
    units: Literal["pixels", "normalised"] = "pixels"

    @property
    def form(self) -> decoding.Output:
        """How such an output is read."""
        return decoding.Yolo(self.output, self.iou, boxes.Units(self.units))


class Plain(document.Part):
    """Outputs with boxes [n, 4], scores [n] and labels [n]."""

    boxes: str
    scores: str
    labels: str
    layout: Literal["xyxy", "xywh", "cxcywh"] = "xyxy"
    units: Literal["pixels", "normalised"] = "pixels"

    @property
    def form(self) -> decoding.Output:
        """How such outputs are read."""
        layout, units = boxes.Layout(self.layout), boxes.Units(self.units)
        return decoding.Plain(self.boxes, self.scores, self.labels, layout, units)


class Detection(section.Section):
    """What ``evaluation/detection.ipynb`` reads."""

    data: Data
    classes: Annotated[tuple[str, ...], pydantic.Field(min_length=1)]
    """In the order of the model."""
    model: str | None = None
    """The model's name in Triton's repository, where it is not the service's."""
    input: Input
    yolo: Yolo | None = None
    plain: Plain | None = None
    confidence: Share = 0.25
    """The score from which detections are shown to users: precision and recall are about those."""
    floor: Share = 0.001
    """The score below which detections are not even part of the average precision."""

    @pydantic.model_validator(mode="after")
    def _one_output(self) -> Self:
        if (self.yolo is None) == (self.plain is None):
            raise ValueError("a box model's output is described either by yolo or by plain")
        if self.floor > self.confidence:
            raise ValueError("floor must not be above confidence")
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("each class needs a name of its own")
        return self

    @property
    def asked(self) -> asking.Model:
        """How the model is asked."""
        placed = self.input.letterbox
        size = None if placed is None else boxes.Size(placed.width, placed.height)
        (output,) = (each.form for each in (self.yolo, self.plain) if each is not None)
        return asking.Model(self.input.name, size, output, self.classes, self.floor)


def located(suite: Path | str, data: Data) -> tuple[Path, Path]:
    """The folder of images and the labels of the suite at this path."""
    folder = Path(suite).parent
    return folder / data.images, folder / data.labels

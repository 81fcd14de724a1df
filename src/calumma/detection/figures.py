"""Pictures for the report of a box model, in the look of :mod:`calumma.scoring.figures`."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from matplotlib import patches
from matplotlib.axes import Axes
from numpy.typing import NDArray
from PIL import Image

from calumma.detection import matching, resampling
from calumma.scoring import figures


def curves(found: matching.Matching) -> bytes:
    """Precision against recall of each class, at an overlap of 0.5."""
    with figures.drawing(6.4, 3.2) as figure:
        axes = figure.subplots()
        for at, name in enumerate(found.classes):
            precision = found.precision[0, :, at, 0]
            if np.isnan(precision).any():
                continue
            colour = figures.PALETTE[at % len(figures.PALETTE)]
            style = ("-", "--", ":", "-.")[at // len(figures.PALETTE) % 4]
            axes.plot(resampling.RECALLS, precision, color=colour, linestyle=style, label=name)
        axes.set_xlim(0, 1.01)
        axes.set_ylim(0, 1.03)
        axes.set_xlabel("recall: share of the labelled boxes that were found")
        axes.set_ylabel("precision: share of right ones")
        axes.grid(color="#d9dee3", linewidth=0.6)
        if axes.lines:
            axes.legend(frameon=False, loc="lower left", ncols=2)
        return figures.png(figure)


def gallery(
    shown: Sequence[tuple[bytes, matching.Judged]], classes: Sequence[str], confidence: float
) -> bytes:
    """Image files with what was labelled and what was found.

    Labelled boxes are solid, blue where they were found and orange where they were missed;
    detections are dashed, blue where they are right and orange where they are wrong.
    """
    columns = 3
    rows = max(1, -(-len(shown) // columns))
    with figures.drawing(7.2, 2.6 * rows) as figure:
        for axes in np.ravel(figure.subplots(rows, columns, squeeze=False)):
            axes.axis("off")
        for axes, (file, judged) in zip(figure.axes, shown, strict=False):
            with Image.open(io.BytesIO(file)) as image:
                axes.imshow(np.asarray(image.convert("RGB")), interpolation="nearest")
            _draw(axes, judged, classes, confidence)
        return figures.png(figure)


def _draw(axes: Axes, judged: matching.Judged, classes: Sequence[str], confidence: float) -> None:
    truth, found = judged.answer.picture.truth, judged.detections
    hit = judged.found >= confidence
    for corners, number, seen in zip(
        truth.boxes.corners[judged.counts],
        truth.classes[judged.counts],
        hit[judged.counts],
        strict=True,
    ):
        colour = figures.ACCENT if seen else figures.WARNING
        _box(axes, corners, colour, "-")
        if not seen:  # below, because what was found instead is named above
            _name(axes, corners[0], corners[3], f"missed {classes[number]}", colour, "top")
    shown = (found.scores >= confidence) & (judged.right | judged.wrong)
    for corners, number, score, right in zip(
        found.boxes.corners[shown],
        found.classes[shown],
        found.scores[shown],
        judged.right[shown],
        strict=True,
    ):
        colour = figures.ACCENT if right else figures.WARNING
        _box(axes, corners, colour, "--")
        _name(axes, corners[0], corners[1], f"{classes[number]} {score:.2f}", colour, "bottom")
    missed, wrong = int((~hit & judged.counts).sum()), int((shown & judged.wrong).sum())
    failure = f"\nfailed: {judged.answer.failure}" if judged.answer.failure else ""
    axes.set_title(
        f"{judged.answer.picture.id}\n{missed} missed, {wrong} wrong{failure}", fontsize=7
    )


def _box(axes: Axes, corners: NDArray[np.float64], colour: str, style: str) -> None:
    left, top, right, bottom = corners - 0.5  # pixel (0, 0) is drawn around the point (0, 0)
    for width, ink in ((2.6, "white"), (1.3, colour)):
        axes.add_patch(
            patches.Rectangle(
                (left, top),
                right - left,
                bottom - top,
                fill=False,
                edgecolor=ink,
                linewidth=width,
                linestyle="-" if ink == "white" else style,
            )
        )


def _name(axes: Axes, x: float, y: float, text: str, colour: str, side: str) -> None:
    paper = {"facecolor": "white", "edgecolor": "none", "pad": 0.6, "alpha": 0.8}
    axes.text(x, y, text, color=colour, fontsize=6, va=side, bbox=paper)

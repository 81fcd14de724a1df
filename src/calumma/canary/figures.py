"""Pictures of a canary against the stable revision, as PNG bytes."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, UnidentifiedImageError

from calumma.canary.counts import Sides
from calumma.feedback.estimation import Curve
from calumma.load.pairs import Pair
from calumma.scoring import figures

COLUMNS = 5


def disagreements(found: Sequence[Pair]) -> bytes:
    """The images about which the two disagree: the true label, and what each said, how sure."""
    rows = max(1, -(-len(found) // COLUMNS))
    with figures.drawing(6.4, 1.75 * rows) as figure:
        places = np.ravel(figure.subplots(rows, COLUMNS, squeeze=False))
        for axes in places:
            axes.axis("off")
        for axes, pair in zip(places, found, strict=False):
            case = pair.stable.case
            axes.set_title(
                f"true: {'unknown' if case.label is None else case.label}\n"
                f"stable {pair.stable.label}, {pair.stable.confidence or 0:.2f}\n"
                f"canary {pair.canary.label}, {pair.canary.confidence or 0:.2f}",
                fontsize=7,
            )
            try:
                with Image.open(io.BytesIO(case.image)) as image:
                    pixels = np.asarray(image.convert("RGB"))
            except UnidentifiedImageError:
                axes.text(0.5, 0.5, "not an image", ha="center", va="center", fontsize=8)
                continue
            axes.imshow(pixels, interpolation="nearest")
        return figures.png(figure)


def mix(sides: Sides[Mapping[str, int]], label: str = "share of answers") -> bytes:
    """The share of each class among the answers of both revisions, side by side."""
    names = sorted({*sides.stable, *sides.canary})
    with figures.drawing(6.4, 2.6) as figure:
        axes = figure.subplots()
        for offset, colour, role, side in zip(
            (-0.2, 0.2), figures.PALETTE, Sides._fields, sides, strict=False
        ):
            whole = max(1, sum(side.values()))
            shares = [side.get(name, 0) / whole for name in names]
            axes.bar(
                np.arange(len(names)) + offset,
                shares,
                0.4,
                color=colour,
                label=f"{role} (n={whole})",
            )
        long = max(map(len, names), default=0) > 4
        axes.set_xticks(range(len(names)), names, rotation=45 if long else 0)
        axes.set_xlabel("answered class")
        axes.set_ylabel(label)
        axes.legend(frameon=False)
        return figures.png(figure)


def label_delays(sides: Sides[Curve]) -> bytes:
    """The share of chosen predictions that are labelled within a time, of both revisions."""
    with figures.drawing(6.4, 2.6) as figure:
        axes = figure.subplots()
        for colour, style, role, curve in zip(
            figures.PALETTE, ("-", "--"), Sides._fields, sides, strict=False
        ):
            axes.step(
                curve.seconds, curve.share, where="post", color=colour, linestyle=style, label=role
            )
        axes.set_xlim(left=0)
        axes.set_ylim(0, 1.02)
        axes.set_xlabel("seconds since the prediction")
        axes.set_ylabel("share labelled")
        axes.grid(color="#d9dee3", linewidth=0.6)
        axes.legend(frameon=False, loc="lower right")
        return figures.png(figure)

"""Pictures for the report, as PNG bytes: the same input gives the same bytes.

One look for all: dark on light, one accent colour, no decoration, readable when printed in grey.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib
import numpy as np
from matplotlib import ticker
from matplotlib.figure import Figure
from PIL import Image, UnidentifiedImageError

from calumma.scoring import calibration, cases, metrics

INK = "#1f2933"
ACCENT = "#1b6ca8"
WARNING = "#b3411e"
PALETTE = (ACCENT, WARNING, "#4f7a28", "#6b4c9a")

_THUMBNAIL = 256

_STYLE: Any = {
    "font.size": 9,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
}


def confusion(found: metrics.Confusion) -> bytes:
    """The confusion matrix: true labels down, answers across, the share of each row as shade."""
    counts = np.array(found.counts, dtype=np.float64).reshape(len(found.labels), len(found.said))
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = 0.42 * max(len(found.said), 4) + 1.2
    with drawing(side, side * 0.95) as figure:
        axes = figure.subplots()
        if counts.size:
            axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        axes.set_xticks(range(len(found.said)), found.said)
        axes.set_yticks(range(len(found.labels)), found.labels)
        axes.set_xlabel("answered")
        axes.set_ylabel("true")
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
        for (row, column), count in np.ndenumerate(counts):
            if count:
                colour = "white" if shares[row, column] > 0.6 else INK
                axes.text(column, row, f"{count:.0f}", ha="center", va="center", color=colour)
        return png(figure)


def intervals(found: Sequence[metrics.Metric], threshold: float | None, label: str) -> bytes:
    """Each metric as a point with its interval, and what is demanded as a line."""
    rows = max(len(found), 1)
    with drawing(6.4, 0.9 + 0.28 * rows) as figure:
        axes = figure.subplots()
        for row, metric in enumerate(found):
            if metric.value is None or metric.interval is None:
                continue
            missed = threshold is not None and metric.interval.low < threshold
            colour = WARNING if missed else ACCENT
            axes.plot(metric.interval, [row, row], color=colour, linewidth=2)
            axes.plot([metric.value], [row], "o", color=colour)
        if threshold is not None:
            axes.axvline(threshold, color=INK, linewidth=1, linestyle="--")
        axes.set_yticks(range(len(found)), [f"{metric.name} (n={metric.n})" for metric in found])
        axes.set_ylim(rows - 0.5, -0.5)
        axes.set_xlabel(label)
        axes.grid(axis="x", color="#d9dee3", linewidth=0.6)
        return png(figure)


def latencies(found: Mapping[str, Sequence[float]]) -> bytes:
    """For each group of latencies in seconds, the share of requests that took at most that long."""
    with drawing(6.4, 2.8) as figure:
        axes = figure.subplots()
        for colour, (name, seconds) in zip(PALETTE, found.items(), strict=False):
            if len(seconds):
                times = 1000 * np.sort(np.asarray(seconds))
                shares = np.arange(1, times.size + 1) / times.size
                axes.step(times, shares, where="post", color=colour, label=name)
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(ticker.LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.xaxis.set_major_formatter(ticker.FormatStrFormatter("%g"))
        axes.xaxis.set_minor_formatter(ticker.NullFormatter())
        axes.set_ylim(0, 1.02)
        axes.set_xlabel("latency in ms, from the intended time of sending")
        axes.set_ylabel("share of requests")
        axes.grid(color="#d9dee3", linewidth=0.6)
        if len(found) > 1:
            axes.legend(frameon=False, loc="lower right")
        return png(figure)


def wrong_answers(found: Sequence[cases.Answer]) -> bytes:
    """The images of wrong answers with their true label, the answer and its confidence."""
    columns = 6
    rows = max(1, -(-len(found) // columns))
    with drawing(6.4, 1.45 * rows) as figure:
        for axes in np.ravel(figure.subplots(rows, columns, squeeze=False)):
            axes.axis("off")
        for axes, answer in zip(figure.axes, found, strict=False):
            title = f"{answer.case.label}, said {answer.label}\n{answer.confidence:.2f}"
            picture(axes, answer.case.image, title)
        return png(figure)


def picture(axes: Any, image: bytes, title: str) -> None:
    """An image file in a small place, under a title."""
    axes.axis("off")
    axes.set_title(title, fontsize=8 if max(map(len, title.split("\n"))) < 20 else 6)
    try:
        axes.imshow(np.asarray(thumbnail(image)), interpolation="nearest")
    except UnidentifiedImageError:
        axes.text(0.5, 0.5, "not an image", ha="center", va="center", fontsize=8)


def thumbnail(image: bytes) -> Image.Image:
    """An image file in RGB, small; raises Pillow's UnidentifiedImageError."""
    with Image.open(io.BytesIO(image)) as opened:
        opened.draft("RGB", (_THUMBNAIL, _THUMBNAIL))
        small = opened.convert("RGBA").convert("RGB")
    small.thumbnail((_THUMBNAIL, _THUMBNAIL))
    return small


def reliability(bins: Sequence[calibration.Bin], found: calibration.Scored) -> bytes:
    """Accuracy against confidence in bins of equally many answers, over how sure answers were."""
    with drawing(6.4, 4.6) as figure:
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
        upper.plot([0, 1], [0, 1], color=INK, linewidth=1, linestyle="--")
        for each in bins:
            upper.plot([each.confidence] * 2, each.accuracy.interval, color=ACCENT, linewidth=2)
            upper.plot([each.confidence], [each.accuracy.value], "o", color=ACCENT)
        counts = sorted({each.accuracy.n for each in bins})
        sizes = " to ".join(map(str, dict.fromkeys((counts[0], counts[-1])))) if counts else "no"
        upper.set_title(f"{len(bins)} bins of {sizes} answers", fontsize=9, loc="left")
        upper.set_ylabel("share that is right")
        upper.set_ylim(0, 1.02)
        edges = np.linspace(0, 1, 21)
        parts = [found.confidence[found.correct == each] for each in (1, 0)]
        labels = [f"right (n={parts[0].size})", f"wrong (n={parts[1].size})"]
        lower.hist(parts, edges, color=[ACCENT, WARNING], label=labels)
        lower.set_xlabel("confidence")
        lower.set_ylabel("answers")
        lower.set_yscale("symlog", linthresh=10)
        lower.legend(frameon=False, loc="upper left")
        for axes in (upper, lower):
            axes.grid(color="#d9dee3", linewidth=0.6)
        return png(figure)


def series(found: Mapping[str, Sequence[tuple[float, float]]], label: str) -> bytes:
    """Values over time, for each name its (seconds from the start, value) pairs."""
    with drawing(6.4, 2.4) as figure:
        axes = figure.subplots()
        for colour, (name, points) in zip(PALETTE, found.items(), strict=False):
            axes.plot(*zip(*points, strict=True), color=colour, label=name)
        axes.set_xlabel("seconds from the start")
        axes.set_ylabel(label)
        axes.set_ylim(bottom=0)
        axes.grid(color="#d9dee3", linewidth=0.6)
        if found:
            axes.legend(frameon=False)
        return png(figure)


@contextmanager
def drawing(width: float, height: float) -> Iterator[Figure]:
    """A figure of this size in inches, in our style."""
    with matplotlib.rc_context(_STYLE):
        yield Figure(figsize=(width, height), layout="constrained")


def png(figure: Figure) -> bytes:
    """The figure as PNG; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=144, metadata={"Software": None})
    return buffer.getvalue()

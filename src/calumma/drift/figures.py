"""Pictures of drift for the report, in the look of :mod:`calumma.scoring.figures`.

The reference is always dark and dashed, the current data blue, and what alarms red with a mark of
another form, so that no difference rests on colour alone.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

from calumma.drift import kolmogorov, martingale, novelty
from calumma.drift.detection import Detection, Values
from calumma.drift.examination import Examination, Window
from calumma.scoring import cases, metrics
from calumma.scoring.figures import ACCENT, INK, PALETTE, WARNING, drawing, png

_GRID = "#d9dee3"
_COLUMNS = 6


def p_values(found: Sequence[Detection]) -> bytes:
    """Each detector's p-value, adjusted for their number, and the line below which it alarms."""
    with drawing(6.4, 1.0 + 0.32 * len(found)) as figure:
        axes = figure.subplots()
        for row, each in enumerate(found):
            colour, mark = (WARNING, "X") if each.alarm else (ACCENT, "o")
            axes.plot([max(each.adjusted, 1e-6)], [row], mark, color=colour, markersize=8)
        axes.axvline(found[0].alpha, color=INK, linewidth=1, linestyle="--")
        axes.set_yticks(range(len(found)), [f"{each.name} (n={each.n})" for each in found])
        axes.set_ylim(len(found) - 0.5, -0.5)
        axes.set_xscale("log")
        axes.set_xlim(5e-7, 1.5)
        axes.set_xlabel(
            f"adjusted p-value; left of the line ({found[0].alpha:g}) is an alarm, with a cross"
        )
        axes.grid(axis="x", color=_GRID, linewidth=0.6)
        return png(figure)


def distributions(reference: Mapping[str, Values], current: Mapping[str, Values]) -> bytes:
    """For each number of an image, the share of images that have at most that much of it."""
    columns = min(3, max(1, len(reference)))
    rows = -(-len(reference) // columns)
    with drawing(6.4, 2.1 * rows + 0.3) as figure:
        panels = np.ravel(figure.subplots(rows, columns, squeeze=False))
        for axes in panels[len(reference) :]:
            axes.axis("off")
        for axes, name in zip(panels, reference, strict=False):
            for sample, label, colour, line in (
                (reference[name], "reference", INK, "--"),
                (current[name], "current", ACCENT, "-"),
            ):
                values, shares = kolmogorov.empirical(sample)
                axes.step(values, shares, line, where="post", color=colour, label=label)
            axes.set_xlabel(name)
            axes.set_ylim(0, 1.02)
            axes.grid(color=_GRID, linewidth=0.6)
        panels[0].set_ylabel("share of images")
        panels[0].legend(frameon=False, fontsize=8)
        return png(figure)


def capitals(found: Sequence[martingale.Path], alpha: float, family: int = 1) -> bytes:
    """The online detector's capital on each score after each image, and where it alarms.

    The detector is one of a ``family`` that shares alpha, and divides its share by its scores.
    """
    level = family * len(found) / alpha
    with drawing(6.4, 2.9) as figure:
        axes = figure.subplots()
        lines = ("-", "--", "-.", ":")
        for colour, line, path in zip(PALETTE, lines, found, strict=False):
            number = np.arange(1, path.capital.size + 1)
            shown = np.clip(path.capital, 1e-4, 1e12)
            axes.plot(number, shown, line, color=colour, label=path.name)
        axes.axhline(level, color=INK, linewidth=1, linestyle="--", label=f"alarm at {level:.0f}")
        axes.set_yscale("log")
        axes.set_xlabel("current images so far")
        axes.set_ylabel("capital (began with 1)")
        axes.grid(color=_GRID, linewidth=0.6)
        figure.legend(frameon=False, fontsize=8, loc="outside right upper")
        return png(figure)


def windows(found: Sequence[Window], reference: metrics.Metric) -> bytes:
    """The accuracy to expect in each window with its interval, and what labels say it was."""
    with drawing(6.4, 2.9) as figure:
        axes = figure.subplots()
        for number, each in enumerate(found, 1):
            if each.estimated.value is None or each.estimated.interval is None:
                continue
            label = "estimated without labels, 95% interval" if number == 1 else None
            axes.plot([number, number], each.estimated.interval, color=ACCENT, linewidth=2)
            axes.plot([number], [each.estimated.value], "o", color=ACCENT, label=label)
            if each.measured.value is not None:
                label = "measured with labels" if number == 1 else None
                axes.plot([number], [each.measured.value], "D", color=WARNING, ms=5, label=label)
        if reference.value is not None:
            axes.axhline(reference.value, color=INK, ls="--", lw=1, label="on the reference")
        axes.set_xticks(
            range(1, len(found) + 1), [f"{each.first}\u2013{each.last}" for each in found]
        )
        axes.tick_params(axis="x", labelrotation=45 if len(found) > 8 else 0)
        axes.set_xlabel("window: current images from\u2013to")
        axes.set_ylabel("accuracy")
        axes.set_ylim(0, 1.02)
        axes.grid(axis="y", color=_GRID, linewidth=0.6)
        axes.legend(frameon=False, fontsize=8, loc="lower left")
        return png(figure)


def mix(found: Sequence[metrics.Metric], reference: Mapping[str, float]) -> bytes:
    """The estimated share of each class now with its interval, and what it was."""
    names = list(reference)
    with drawing(6.4, 2.6) as figure:
        axes = figure.subplots()
        axes.plot(names, list(reference.values()), "_", color=INK, ms=18, label="reference")
        for name, each in zip(names, found, strict=True):
            if each.value is not None and each.interval is not None:
                label = "now, estimated, 95% interval" if name == names[0] else None
                axes.plot([name, name], each.interval, color=ACCENT, linewidth=2)
                axes.plot([name], [each.value], "o", color=ACCENT, label=label)
        axes.set_xlabel("class")
        axes.set_ylabel("share of images")
        axes.set_ylim(bottom=0)
        axes.grid(axis="y", color=_GRID, linewidth=0.6)
        axes.legend(frameon=False, fontsize=8)
        return png(figure)


def unusual(found: Examination, limit: int = 12) -> bytes:
    """The most unusual current images: how unusual (p-value), and what the model says of them."""
    order = np.argsort(found.flags.p_values, kind="stable")[:limit]
    rows = max(1, -(-len(order) // _COLUMNS))
    with drawing(6.4, 1.5 * rows) as figure:
        panels = np.ravel(figure.subplots(rows, _COLUMNS, squeeze=False))
        for axes in panels:
            axes.axis("off")
        for axes, row in zip(panels, order, strict=False):
            answer = found.current.answers[row]
            outside = bool(found.flags.outside[row])
            axes.set_title(
                f"p = {found.flags.p_values[row]:.3f}{', outside' if outside else ''}\n"
                f"said {answer.label}, {answer.confidence or 0:.2f}",
                fontsize=7,
                color=WARNING if outside else INK,
            )
            axes.imshow(_pixels(answer.case), interpolation="nearest")
        return png(figure)


def unusualness(flags: novelty.Flags, alpha: float) -> bytes:
    """The p-values of the current images in their order; without drift they are spread evenly."""
    with drawing(6.4, 2.4) as figure:
        axes = figure.subplots()
        number = np.arange(1, flags.p_values.size + 1)
        for chosen, colour, mark, label in (
            (~flags.unusual, ACCENT, ".", "usual"),
            (flags.unusual & ~flags.outside, INK, "^", "unusual"),
            (flags.outside, WARNING, "X", "outside"),
        ):
            axes.plot(number[chosen], flags.p_values[chosen], mark, color=colour, label=label, ms=5)
        axes.axhline(alpha, color=INK, linewidth=1, linestyle="--")
        axes.set_yscale("log")
        axes.set_xlabel("current image")
        axes.set_ylabel("p-value of the image")
        axes.grid(color=_GRID, linewidth=0.6)
        figure.legend(frameon=False, fontsize=8, loc="outside upper right", ncols=3)
        return png(figure)


def rates(found: Sequence[metrics.Metric], alpha: float, label: str) -> bytes:
    """Shares of runs with an alarm, with intervals; a cross where all of it is above alpha."""
    with drawing(6.4, 0.9 + 0.3 * len(found)) as figure:
        axes = figure.subplots()
        for row, each in enumerate(found):
            if each.value is None or each.interval is None:
                continue
            colour, mark = (WARNING, "X") if each.interval.low > alpha else (ACCENT, "o")
            axes.plot(each.interval, [row, row], color=colour, linewidth=2)
            axes.plot([each.value], [row], mark, color=colour, markersize=7)
        axes.axvline(alpha, color=INK, linewidth=1, linestyle="--")
        axes.set_yticks(range(len(found)), [each.name.partition(" of ")[2] for each in found])
        axes.set_ylim(len(found) - 0.5, -0.5)
        axes.set_xlim(-0.02, 1.02)
        axes.set_xlabel(label)
        axes.grid(axis="x", color=_GRID, linewidth=0.6)
        return png(figure)


def power(found: Mapping[str, Mapping[str, Sequence[tuple[float, float]]]], alpha: float) -> bytes:
    """For each kind of shift and each detector, the share of runs with an alarm by its amount."""
    columns = 2
    rows = -(-len(found) // columns)
    marks = ("o", "s", "^", "D", "v", "P")
    with drawing(7.4, 2.3 * rows + 0.5) as figure:
        panels = np.ravel(figure.subplots(rows, columns, squeeze=False))
        for axes in panels[len(found) :]:
            axes.axis("off")
        for axes, (kind, curves) in zip(panels, found.items(), strict=False):
            colours = (*PALETTE, INK, "#8a5a00")
            for colour, mark, (name, points) in zip(colours, marks, curves.items(), strict=False):
                axes.plot(*zip(*points, strict=True), f"-{mark}", color=colour, ms=4, label=name)
            axes.axhline(alpha, color=INK, linewidth=1, linestyle="--")
            axes.set_xlabel(kind)
            axes.set_ylabel("share of alarms")
            axes.set_ylim(-0.03, 1.03)
            axes.grid(color=_GRID, linewidth=0.6)
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False)
        return png(figure)


def delays(found: Mapping[str, Sequence[tuple[float, float]]]) -> bytes:
    """For each kind of shift, how many images the online detector needed, by the step of it."""
    marks, colours = ("o", "s", "^", "D", "v", "P"), (*PALETTE, INK, "#8a5a00")
    with drawing(6.4, 2.9) as figure:
        axes = figure.subplots()
        for colour, mark, (name, points) in zip(colours, marks, found.items(), strict=False):
            if points:
                axes.plot(*zip(*points, strict=True), f"-{mark}", color=colour, ms=5, label=name)
        axes.set_xlabel("step of the shift, from small to large")
        axes.set_xticks(range(1, 5))
        axes.set_ylabel("median number of images to the alarm")
        axes.set_yscale("log")
        axes.grid(color=_GRID, linewidth=0.6)
        if axes.has_data():
            figure.legend(frameon=False, fontsize=8, loc="outside right upper")
        return png(figure)


def _pixels(case: cases.Case) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    with Image.open(io.BytesIO(case.image)) as image:
        return np.asarray(image.convert("RGB"))

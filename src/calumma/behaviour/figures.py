"""Pictures of what the tests found, as PNG bytes: the same input gives the same bytes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from calumma.behaviour import checks
from calumma.scoring import cases, figures

_COLUMNS = 3


def curves(found: Sequence[checks.Result]) -> bytes:
    """For each test that has severities, the share of images that passed at each of them."""
    drawn = [result for result in found if result.curve]
    rows = max(1, -(-len(drawn) // _COLUMNS))
    with figures.drawing(6.8, 0.3 + 1.75 * rows) as figure:
        places = np.ravel(figure.subplots(rows, _COLUMNS, squeeze=False, sharey=True))
        for axes in places[len(drawn) :]:
            axes.axis("off")
        for axes, result in zip(places, drawn, strict=False):
            severities = [severity for severity, _ in result.curve]
            for severity, metric in sorted(result.curve):
                axes.plot([severity] * 2, metric.interval, color=figures.ACCENT, linewidth=1.5)
            ordered = sorted((severity, metric.value) for severity, metric in result.curve)
            axes.plot(*zip(*ordered, strict=True), "o-", color=figures.ACCENT, markersize=3.5)
            axes.set_title(f"{result.test.name} (n={result.metric.n})", fontsize=8)
            axes.set_xlabel(result.test.perturbation, fontsize=8)
            axes.set_xticks(severities, [f"{each:g}" for each in severities], fontsize=7)
            axes.set_ylim(0, 1.04)
            axes.grid(color="#d9dee3", linewidth=0.6)
        figure.supylabel("share of images that passed", fontsize=8)
        return figures.png(figure)


def gallery(found: Sequence[checks.Result], limit: int = 4) -> bytes:
    """Images that failed, up to ``limit`` for each test: as they were, and as they were sent."""
    failed = [result for result in found if result.failures]
    with figures.drawing(6.8, max(1.0, 1.55 * len(failed))) as figure:
        grid = figure.subfigures(max(1, len(failed)), 1, squeeze=False)
        for part, result in zip(grid[:, 0], failed, strict=False):
            title = f"{result.test.metric}: {len(result.failures)} of {result.metric.n} failed"
            part.suptitle(title, fontsize=8, x=0.01, ha="left")
            for axes, failure in zip_longest(part.subplots(1, limit), result.failures[:limit]):
                axes.axis("off")
                if failure is not None:
                    axes.set_title(_said(failure), fontsize=6)
                    axes.imshow(_pair(failure), interpolation="nearest")
        return figures.png(figure)


def _pair(failure: checks.Failure) -> NDArray[np.uint8]:
    """Both images side by side; a test without a change has one."""
    after = figures.thumbnail(failure.variant.case.image)
    if failure.reference is failure.variant:
        return np.asarray(after)
    before = figures.thumbnail(failure.reference.case.image)
    after = after.resize(before.size, Image.Resampling.NEAREST)
    gap = np.full((before.height, max(1, before.width // 16), 3), 255, dtype=np.uint8)
    return np.concatenate([np.asarray(before), gap, np.asarray(after)], axis=1)


def _said(failure: checks.Failure) -> str:
    if failure.reference is failure.variant:
        return f"{failure.variant.case.label}, said {_answer(failure.variant)}"
    return f"{_answer(failure.reference)}\nat {failure.severity:g}: {_answer(failure.variant)}"


def _answer(found: cases.Answer) -> str:
    if found.label is None or found.confidence is None:
        return "no answer"
    return f"{found.label} {found.confidence:.2f}"

"""An image, its maps and its curves, in the look of :mod:`calumma.scoring.figures`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from calumma.explanation import faithfulness, masks
from calumma.scoring import figures

FLAT = 0.02
"""A map whose values are all smaller than this says that no region matters."""


def explanation(
    shown: masks.Subject,
    maps: Mapping[str, NDArray[np.float64] | None],
    curves: faithfulness.Curves,
    controls: Sequence[faithfulness.Curves],
) -> bytes:
    """The image, each map over it with one scale for all, and the curves of hiding and showing."""
    there = {name: each for name, each in maps.items() if each is not None}
    reach = max((float(np.abs(each).max()) for each in there.values()), default=0.0)
    limit = max(reach, FLAT)
    with figures.drawing(9.2, 2.7) as figure:
        image, *drawn, plot = figure.subplots(
            1, len(there) + 2, width_ratios=[1] * (len(there) + 1) + [1.2]
        )
        _show(image, shown.image)
        image.set_title("the image", fontsize=8)
        for axes, (name, each) in zip(drawn, there.items(), strict=True):
            _show(axes, _grey(shown.image))
            heat = axes.imshow(
                masks.spread(each, shown.image.shape[:2]),
                cmap="PuOr_r",  # orange and purple are told apart by colour-blind people too
                vmin=-limit,
                vmax=limit,
                alpha=0.7,
                interpolation="nearest",
            )
            flat = "\nflat: no region matters" if np.abs(each).max() < FLAT else ""
            axes.set_title(f"{name}{flat}", fontsize=8)
        if drawn:
            bar = figure.colorbar(heat, ax=list(drawn), shrink=0.85, aspect=16)
            bar.set_label("fall of the odds when\nhidden, powers of ten", fontsize=8)
        _curves(plot, curves, controls)
        return figures.png(figure)


def _show(axes: Axes, image: NDArray[np.uint8]) -> None:
    axes.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    axes.axis("off")


def _grey(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return image if image.ndim == 2 else image.mean(axis=2).astype(np.uint8)


def _curves(
    axes: Axes, curves: faithfulness.Curves, controls: Sequence[faithfulness.Curves]
) -> None:
    shares = np.linspace(0, 1, faithfulness.STEPS + 1)
    for each in controls:
        axes.plot(shares, each.deletion, color="#9aa5b1", linewidth=0.8)
        axes.plot(shares, each.insertion, color="#9aa5b1", linewidth=0.8, linestyle="--")
    deletion, insertion = curves.areas
    axes.plot(shares, curves.deletion, color=figures.WARNING, label=f"hidden ({deletion:.2f})")
    axes.plot(
        shares,
        curves.insertion,
        color=figures.ACCENT,
        linestyle="--",
        label=f"shown ({insertion:.2f})",
    )
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlabel("share of the image that is ...", fontsize=8)
    axes.set_ylabel("probability of what was said", fontsize=8)
    axes.grid(color="#d9dee3", linewidth=0.6)
    axes.legend(frameon=False, fontsize=7, title="area under it", title_fontsize=7)

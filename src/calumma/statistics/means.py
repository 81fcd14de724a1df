"""Means of bounded numbers, such as what answers cost: two arms, window by window, at any look.

A cost is 0 for most answers and large for a few, so that a sum of costs is long not normal. The
sequence here assumes nothing but the bounds: each observation is compared with what was expected of
it before it came, and the squares of these errors take the place of a variance.

Source: S. R. Howard and others, Annals of Statistics 49 (2021), theorem 4 (empirical Bernstein)
with the gamma-exponential mixture of proposition 9.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from calumma import errors
from calumma.statistics import arms, designs, mixtures
from calumma.statistics.designs import Design, Finding, Look
from calumma.statistics.intervals import Interval

_VARIANCE = 0.05
"""Of observations from 0 to 1, where the sequence is made to be tight; any value is valid."""


class Window(NamedTuple):
    """Our observations in a window, their sum and the sum of their squares; then theirs."""

    n: int
    total: float
    squares: float
    other_n: int
    other_total: float
    other_squares: float


def follow(windows: Iterable[Window], design: Design, *, most: float) -> list[Finding]:
    """Our mean minus theirs after each window that both have a part in, in the values' unit.

    Every observation is from 0 to ``most``. Within the plan the bounds are Newcombe's with the
    design's critical values, as if each observation were 0 or ``most``.
    """
    if not most > 0:
        raise errors.EvaluationError(
            f"observations of at most {most} were given; the largest must be above 0"
        )
    scaled = (_scaled(each, most) for each in windows)
    found = designs.follow(_looks(scaled, design), design)
    return [
        Finding(most * ours, most * theirs, most * low, most * high, worse)
        for ours, theirs, low, high, worse in found
    ]


def _looks(windows: Iterable[Window], design: Design) -> Iterator[Look]:
    mixture = mixtures.GammaExponential(design.n_opt * _VARIANCE, 1.0, design.late)
    ours, theirs = arms.Arm(), arms.Arm()
    expected, other_expected = _Expected(), _Expected()
    told = time = 0.0
    for each in windows:
        if not (each.n and each.other_n):
            continue
        part = each.other_n / (each.n + each.other_n)
        weight = each.n * part
        ours.add(weight, each.total, each.n)
        theirs.add(weight, each.other_total, each.other_n)
        told += weight
        time += part**2 * expected.error(each.n, each.total, each.squares)
        time += (1 - part) ** 2 * other_expected.error(
            each.other_n, each.other_total, each.other_squares
        )
        estimate = ours.rate - theirs.rate
        spread = mixtures.bound(mixture, max(time, 1e-9), design.late) / told
        always = Interval(max(-1.0, estimate - spread), min(1.0, estimate + spread))
        yield Look(
            min(each.n, each.other_n),
            ours.rate,
            theirs.rate,
            arms.within(ours, theirs),
            always,
            always.low > 0,
            None,
        )


class _Expected:
    """What is expected of an arm's next observations: the mean of those before the window."""

    def __init__(self) -> None:
        self._n, self._total = 1, 0.0  # at first, that an answer costs nothing

    def error(self, n: int, total: float, squares: float) -> float:
        """The sum of a window's squared distances from what was expected; then learn from it."""
        mean = self._total / self._n
        self._n += n
        self._total += total
        return max(squares - 2 * mean * total + n * mean**2, 0.0)


def _scaled(window: Window, most: float) -> Window:
    n, total, squares, other_n, other_total, other_squares = window
    if not (
        0 <= total <= n * most * (1 + 1e-9) and 0 <= other_total <= other_n * most * (1 + 1e-9)
    ):
        raise errors.EvaluationError(
            f"{window} was given; sums are from 0 to {most:g} for each observation"
        )
    square = most**2
    return Window(
        n, total / most, squares / square, other_n, other_total / most, other_squares / square
    )

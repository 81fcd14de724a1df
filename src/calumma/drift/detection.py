"""What a detector says: a p-value that keeps its promise, and how large the difference is.

A p-value is valid when, without drift, it is at most ``a`` with probability at most ``a``, for
every ``a``. All detectors of this room promise that, either because the null distribution is known
exactly or because the p-value is too large rather than too small. Several detectors on the same
data get a false alarm more easily than one; so each has its share of ``alpha``, and the chance that
any of them alarms without drift stays at most ``alpha`` (Bonferroni).

Next: the detectors themselves, :mod:`~calumma.drift.kolmogorov` and those beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from calumma import errors
from calumma.scoring.metrics import Metric
from calumma.statistics.intervals import Interval

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Detection:
    """What one detector found.

    ``effect`` is the size of the difference in the detector's own measure, with an interval;
    ``parts`` are what the detector looked at one by one, with p-values that are corrected for their
    number. ``family`` is the number of detectors that share ``alpha``.
    """

    name: str
    p_value: float
    effect: Metric
    n_reference: int
    n_current: int
    alpha: float
    family: int = 1
    parts: tuple[Detection, ...] = ()

    @property
    def adjusted(self) -> float:
        """The p-value corrected for the number of detectors: it is compared with ``alpha``."""
        return min(1.0, self.family * self.p_value)

    @property
    def alarm(self) -> bool:
        """Whether there is drift, as far as this detector can tell."""
        return self.adjusted < self.alpha

    @property
    def n(self) -> int:
        """The smaller of both sides."""
        return min(self.n_reference, self.n_current)

    @property
    def metric(self) -> Metric:
        """The adjusted p-value as a metric; it is known exactly."""
        return exact(f"adjusted p-value of {self.name}", self.adjusted, self.n)

    @property
    def sentence(self) -> str:
        """The finding in words."""
        found = "drift" if self.alarm else "no drift found"
        share = self.alpha / self.family
        return (
            f"{self.name}: {found} (p = {self.p_value:.4f}, alarm below {share:.4f}; "
            f"{self.n_reference} reference and {self.n_current} current images)"
        )


def family(found: Sequence[Detection]) -> tuple[Detection, ...]:
    """The detectors of one report, which share ``alpha`` equally."""
    return tuple(replace(each, family=len(found)) for each in found)


def largest(name: str, parts: Sequence[Detection]) -> Detection:
    """One detector of several that look at different things: the smallest p-value, corrected.

    The parts' own p-values become Holm's. Source: S. Holm, Scandinavian Journal of Statistics 6
    (1979) 65-70.
    """
    values = [part.p_value for part in parts]
    shown = tuple(
        replace(part, p_value=value) for part, value in zip(parts, holm(values), strict=True)
    )
    return replace(shown[values.index(min(values))], name=name, parts=shown)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values, in the order given."""
    values = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    steps = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(1, steps)
    return [float(value) for value in adjusted]


def permutation_p_value(observed: float, permuted: Values) -> float:
    """(1 + b) / (1 + B), with b of the B permuted statistics at least the observed one.

    It is valid whatever B is. Values that differ by rounding only count as equal. Source:
    B. Phipson and G. K. Smyth, Statistical Applications in Genetics and Molecular Biology 9 (2010)
    39.
    """
    slack = 1e-9 * max(1e-300, float(np.abs(permuted).max()), abs(observed))
    return (1 + int(np.sum(permuted >= observed - slack))) / (1 + permuted.size)


def exact(name: str, value: float, n: int, unit: str = "") -> Metric:
    """A number without uncertainty as a metric: its interval is the number itself."""
    return Metric(name, value, n, Interval(value, value), unit, level=1.0)


def check(name: str, reference: int, current: int, least: int = 2) -> None:
    """Raise :class:`~calumma.errors.EvaluationError` where a side has too little to compare."""
    if min(reference, current) < least:
        raise errors.EvaluationError(
            f"{name} has {reference} reference and {current} current values to compare; "
            f"it needs at least {least} of each"
        )

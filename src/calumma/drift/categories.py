"""The labels that a model gives: has their mix changed? Pearson's statistic, by permutations.

The chi-square distribution is only about right when each class is rare nowhere; relabelling the
images at random needs no such luck. When the images' classes change and nothing else does, this
detector is the one to look at (Z. Lipton, Y.-X. Wang and A. Smola, ICML 2018, section 5).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from calumma.drift import detection
from calumma.drift.detection import Detection, Values
from calumma.scoring.metrics import Metric
from calumma.statistics import intervals


def test(
    name: str,
    reference: Sequence[str],
    current: Sequence[str],
    *,
    alpha: float,
    seed: int,
    permutations: int = 9999,
) -> Detection:
    """The permutation test on two lists of labels.

    The effect is the largest change of a label's share, current minus reference; its Newcombe
    interval is wide enough for all labels at once.
    """
    detection.check(name, len(reference), len(current))
    labels = sorted({*reference, *current})
    before, after = (_counts(each, labels) for each in (reference, current))
    pooled = before + after
    generator = np.random.default_rng(seed)
    drawn = generator.multivariate_hypergeometric(
        pooled, int(before.sum()), size=permutations, method="marginals"
    )
    observed = float(_pearson(before[None, :], pooled)[0])
    return Detection(
        name,
        detection.permutation_p_value(observed, _pearson(drawn, pooled)),
        _largest_change(labels, before, after),
        len(reference),
        len(current),
        alpha,
    )


def _counts(found: Sequence[str], labels: Sequence[str]) -> NDArray[np.int64]:
    place = {label: number for number, label in enumerate(labels)}
    return np.bincount([place[label] for label in found], minlength=len(labels)).astype(np.int64)


def _pearson(drawn: NDArray[np.int64], pooled: NDArray[np.int64]) -> Values:
    """Pearson's statistic for reference counts [b, classes] out of the pooled counts [classes]."""
    n, total = drawn.sum(axis=1, keepdims=True), pooled.sum()
    expected = pooled * n / total
    m = total - n
    statistics: Values = ((drawn - expected) ** 2 / expected).sum(axis=1) * (total / m[:, 0])
    return statistics


def _largest_change(
    labels: Sequence[str], before: NDArray[np.int64], after: NDArray[np.int64]
) -> Metric:
    n, m = int(before.sum()), int(after.sum())
    changes = after / m - before / n
    row = int(np.argmax(np.abs(changes)))
    level = 1 - 0.05 / len(labels)
    interval = intervals.newcombe(int(after[row]), m, int(before[row]), n, level)
    return Metric(
        f"change of the share of label {labels[row]}",
        float(changes[row]),
        min(n, m),
        interval,
        level=level,
    )

"""Which classes come now? From predictions alone, when only the mix of classes has changed.

If a class looks as it always did and only its share has changed (*label shift*), the labels that a
model gives, together with its confusion matrix on labelled reference images, say what the shares
are now: with ``C[i, j]`` the share of reference images that are of class ``j`` and answered ``i``,
and ``mu[i]`` the share of current images answered ``i``, the ratios ``w`` of current to reference
shares solve ``C w = mu`` (black box shift estimation). A model that confuses two classes completely
cannot tell them apart: then ``C`` is nearly singular and the estimate says nothing. Source: Z.
Lipton, Y.-X. Wang and A. Smola, ICML 2018, section 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calumma.drift import detection
from calumma.drift.detection import Values
from calumma.scoring.metrics import Metric
from calumma.statistics.intervals import Interval

WORST_CONDITION = 30.0
"""The condition of the confusion matrix (columns scaled to 1) beyond which nothing is said."""

_RESAMPLES = 1000
_BETWEEN_ZERO_AND_ONE = Interval(0.0, 1.0)

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Estimate:
    """The estimated mix of classes, and what the model's accuracy is under it.

    ``shares`` has a metric for each class, ``accuracy`` is the reference's recall of each class
    weighted by the current shares. ``condition`` is the confusion matrix' condition number. When
    ``reason`` is not None the estimate cannot be trusted, and every interval is from 0 to 1.
    """

    shares: tuple[Metric, ...]
    accuracy: Metric
    condition: Metric
    reason: str | None


def estimate(
    true: Sequence[str],
    answered: Sequence[str],
    current: Sequence[str],
    *,
    seed: int,
    unlike: int = 0,
) -> Estimate:
    """From the reference images' true and answered labels, and the answers to current images.

    ``unlike`` is how many current images are unlike any reference image, and so of no class of it.
    """
    detection.check("the estimate of the class mix", len(true), len(current))
    classes = sorted(set(true))
    place = {label: number for number, label in enumerate(classes)}
    # An answer that is no class of the reference is none of them: it has no row.
    pairs = np.array(
        [[place.get(a, -1), place[t]] for a, t in zip(answered, true, strict=True)], dtype=np.int64
    )
    now = np.array([place.get(a, -1) for a in current], dtype=np.int64)
    joint = _joint(pairs, len(classes))
    condition = float(np.linalg.cond(joint / np.maximum(joint.sum(axis=0), 1e-12)))
    reason = _doubt(condition, max(float(np.mean(now < 0)), unlike / now.size))
    shares, accuracy = _solve(joint, pairs, now)
    drawn = _resampled(pairs, now, len(classes), seed) if reason is None else None
    n = min(len(true), len(current))
    bounds = [_BETWEEN_ZERO_AND_ONE] * (len(classes) + 1)
    if drawn is not None:
        low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
        bounds = [Interval(float(a), float(b)) for a, b in zip(low, high, strict=True)]
    return Estimate(
        tuple(
            Metric(f"estimated share of {label}", float(share), n, interval)
            for label, share, interval in zip(classes, shares, bounds, strict=False)
        ),
        Metric("accuracy under label shift", accuracy, n, bounds[-1]),
        detection.exact("condition of the confusion matrix", min(condition, 1e9), len(true)),
        reason,
    )


def _doubt(condition: float, unknown: float) -> str | None:
    if unknown > 0.01:
        return f"{100 * unknown:.0f}% of the current images are of no class of the reference"
    if not condition <= WORST_CONDITION:
        return (
            f"the confusion matrix is nearly singular (condition {min(condition, 1e9):.3g}, at "
            f"most {WORST_CONDITION:g} is accepted): the model cannot tell some classes apart"
        )
    return None


def _joint(pairs: Indices, size: int) -> Values:
    counts = np.zeros((size, size))
    known = pairs[pairs[:, 0] >= 0]
    np.add.at(counts, (known[:, 0], known[:, 1]), 1)
    return counts / len(pairs)


def _solve(joint: Values, pairs: Indices, now: Indices) -> tuple[Values, float]:
    """The current shares, made a distribution, and the accuracy under them."""
    size = len(joint)
    answered = np.bincount(now[now >= 0], minlength=size) / len(now)
    before = np.bincount(pairs[:, 1], minlength=size) / len(pairs)
    weights = np.linalg.lstsq(joint, answered, rcond=None)[0]
    shares = np.clip(weights, 0, None) * before
    shares = shares / shares.sum() if shares.sum() > 0 else before
    recalls = np.diagonal(joint) / np.where(before > 0, before, 1)
    return shares, float(shares @ recalls)


def _resampled(pairs: Indices, now: Indices, size: int, seed: int) -> Values:
    """Shares and, last, accuracy of bootstrap samples of both sides, [resamples, classes + 1]."""
    generator = np.random.default_rng(seed)
    drawn = np.empty((_RESAMPLES, size + 1))
    for row in drawn:
        ours = pairs[generator.integers(0, len(pairs), len(pairs))]
        theirs = now[generator.integers(0, len(now), len(now))]
        shares, row[-1] = _solve(_joint(ours, size), ours, theirs)
        row[:-1] = shares
    return drawn

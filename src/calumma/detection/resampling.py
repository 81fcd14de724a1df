"""Average precision of resampled pictures, for intervals.

Boxes of one picture are easy or hard together, so the pictures are what is drawn again. A picture
that is drawn twice counts twice: its boxes and detections get the weight 2, which gives exactly
what the library would give for a set that holds the picture twice, without matching anew.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from calumma.detection import matching
from calumma.statistics import intervals

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]

RECALLS = np.linspace(0.0, 1.0, 101)
"""COCO's: precision is read at these recalls, and averaged."""

# Weights held in memory at once: 32 MB.
_BLOCK = 4_000_000

# Of fewer pictures than this the bootstrap says too much.
_FEW = 30


def weights(n: int, *, seed: int, resamples: int = 1000) -> Counts:
    """How often each of ``n`` pictures is drawn in each resample, [resamples, n]."""
    generator = np.random.default_rng(seed)
    return generator.multinomial(n, np.full(n, 1 / n), size=resamples).astype(np.int64)


def average_precision(matches: matching.Matches, drawn: Counts) -> Floats:
    """The average precision at each of the ten thresholds, [resamples, 10].

    ``drawn`` [resamples, pictures] are weights; a resample without a labelled box is not a number.
    """
    block = max(1, _BLOCK // max(1, len(matches.scores)))
    return np.vstack(
        [_average(matches, drawn[at : at + block]) for at in range(0, len(drawn), block)]
    )


def _average(matches: matching.Matches, drawn: Counts) -> Floats:
    order = np.argsort(-matches.scores, kind="stable")
    weight = drawn[:, matches.pictures[order]]
    positives = drawn @ matches.boxes
    needed = _needed(positives)
    found = np.zeros((len(drawn), len(matches.right)))
    for number, (right, wrong) in enumerate(zip(matches.right, matches.wrong, strict=True)):
        # Recall grows, and precision has its peaks, at right detections only.
        peaks = np.flatnonzero(right[order])
        hits = np.cumsum(weight[:, peaks], axis=1)
        misses = np.cumsum(weight * wrong[order], axis=1)[:, peaks]
        precision = hits / (hits + misses + np.spacing(1))
        # The best precision that can be had at this recall or beyond; 0 where it is not reached.
        best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        best = np.hstack([best, np.zeros((len(drawn), 1))])
        found[:, number] = np.take_along_axis(best, _first(hits, needed), axis=1).mean(axis=1)
    found[positives == 0] = np.nan
    return found


def _needed(positives: Counts) -> Counts:
    """How many boxes must be found for each of the recalls, [resamples, 101]."""
    total = np.maximum(positives, 1)[:, None]
    product = np.ceil(RECALLS * total).astype(np.int64)
    # As a division of counts gives it, where the product was rounded to the other side.
    fewer, more = (product - 1) / total >= RECALLS, product / total < RECALLS
    needed: Counts = product - fewer.astype(np.int64) + more.astype(np.int64)
    return needed


def _first(hits: Counts, needed: Counts) -> Counts:
    """Where each row of ``hits``, which only grow, reaches what is needed; its length if never."""
    rows, length = hits.shape
    # One search in all rows: each is lifted above the one before.
    lift = np.arange(rows)[:, None] * (max(hits.max(initial=0), needed.max(initial=0)) + 1)
    at = np.searchsorted((hits + lift).ravel(), (needed + lift).ravel()).reshape(needed.shape)
    first: Counts = at - np.arange(rows)[:, None] * length
    return first


def interval(
    value: float, resampled: Floats, n: int, confidence: float = 0.95
) -> intervals.Interval:
    """The percentile interval of a number from 0 to 1 over ``n`` pictures, with their own doubt.

    Resampling cannot draw what was not seen: a score of 1 on ten pictures is 1 in every resample.
    So the interval never ends above what ``n`` faultless pictures show (Wilson's lower limit for n
    of n), nor the same at the other end; and of few pictures it holds Wilson's whole interval for
    such a share of them, the widest that scores from 0 to 1 can ask for.
    """
    tail = (1 - confidence) / 2
    low, high = np.nanquantile(resampled, [tail, 1 - tail])
    sure = intervals.wilson(n, n, confidence).low
    low, high = min(low, sure), max(high, 1 - sure)
    if n < _FEW:
        share = intervals.wilson(round(value * n), n, confidence)
        low, high = min(low, share.low), max(high, share.high)
    return intervals.Interval(float(low), float(high))

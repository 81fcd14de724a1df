"""When to send, and what: fixed before the first request, and the same for the same seed.

A rate that changes is a course of straight pieces. Requests arrive along it evenly, or as a Poisson
process, as independent users make them; in both, what is divided evenly or at random is not the
time but the expected number of requests (E. Cinlar, Introduction to Stochastic Processes, 1975,
section 4.7).
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from calumma import errors
from calumma.scoring import cases

Times = NDArray[np.float64]
"""Ascending seconds from the start, float64 with shape [n]."""

Course = Sequence[tuple[float, float]]
"""A rate over time: (seconds from the start, requests a second), straight between the points.

Two points at one time are a jump.
"""

_CHORDS = 96
"""Straight pieces that a wave is drawn with: one for each quarter of an hour of a day."""


def constant(rate: float, *, seconds: float = math.inf) -> Iterator[float]:
    """Times in seconds from the start, ``rate`` of them in each second, at equal distances."""
    _check(rate)
    times = (position / rate for position in itertools.count())
    return itertools.takewhile(lambda time: time < seconds, times)


def poisson(rate: float, *, seed: int, seconds: float = math.inf) -> Iterator[float]:
    """Times in seconds from the start, as independent users make them: ``rate`` on average.

    The gaps are exponential, so that requests come in bunches, as in real traffic.
    """
    _check(rate)
    gaps = random.Random(seed)
    times = itertools.accumulate(gaps.expovariate(rate) for _ in itertools.count())
    return itertools.takewhile(lambda time: time < seconds, times)


def steps(rates: Sequence[float], seconds: float) -> Course:
    """One rate after another, each for ``seconds``."""
    return [
        point
        for number, rate in enumerate(rates)
        for point in ((number * seconds, rate), ((number + 1) * seconds, rate))
    ]


def wave(mean: float, amplitude: float, period: float, seconds: float) -> Course:
    """A sine that begins in its trough, as a day does at night."""
    times = np.arange(0, seconds, period / _CHORDS).tolist()
    return [
        (time, mean - amplitude * math.cos(2 * math.pi * time / period))
        for time in [*times, seconds]
    ]


def evenly(course: Course) -> Times:
    """A request whenever one more is due."""
    counts = _counts(course)
    return _when(course, counts, np.arange(math.ceil(counts[-1] - 1e-9), dtype=np.float64))


def randomly(course: Course, seed: int | Sequence[int]) -> Times:
    """A Poisson process whose rate follows the course."""
    counts = _counts(course)
    generator = np.random.default_rng(seed)
    expected = counts[-1]
    # Six standard deviations more than expected: enough but once in a thousand million times.
    gaps = generator.exponential(size=math.ceil(expected + 6 * math.sqrt(expected) + 20))
    found = np.cumsum(gaps)
    return _when(course, counts, found[found < expected])


def replay(stamps: Times, *, speed: float, share: float, seed: int | Sequence[int]) -> Times:
    """Recorded times again, from 0, ``speed`` times as fast and with ``share`` times the requests.

    Of less than 1 a random choice is left out. Of more, whole copies and a random choice of one
    more are added, each at a random time before the next recorded request, so that what came in
    bunches still does.
    """
    ordered = np.sort(stamps) - np.min(stamps)
    generator = np.random.default_rng(seed)
    whole = math.floor(share)
    chosen = generator.random(ordered.size) < share - whole
    copies = whole + chosen.astype(np.int64)
    gaps = np.diff(ordered, append=ordered[-1])
    first = np.repeat(np.cumsum(copies) - copies, copies)
    original = np.arange(first.size) == first
    later = np.where(original, 0.0, generator.random(first.size)) * np.repeat(gaps, copies)
    times: Times = np.sort(np.repeat(ordered, copies) + later) / speed
    return times


def shuffled(population: Sequence[cases.Case], *, seed: int) -> Iterator[cases.Case]:
    """All cases in random order, again and again, each round in another order."""
    if not population:
        raise errors.EvaluationError("there is no case to send; a load needs at least one")
    order = random.Random(seed)
    while True:
        yield from order.sample(population, len(population))


def _counts(course: Course) -> Times:
    """How many requests are expected until each point of a course."""
    times, rates = np.array(course, dtype=np.float64).T
    pieces = np.diff(times) * (rates[1:] + rates[:-1]) / 2
    return np.concatenate([[0.0], np.cumsum(pieces)])


def _when(course: Course, counts: Times, expected: Times) -> Times:
    """When a number of requests is expected: the inverse of the expected count.

    On a piece of rate r and slope a the count grows by ``r s + a s**2 / 2`` in s seconds; its
    solution is written so that it holds for no slope, too.
    """
    times, rates = np.array(course, dtype=np.float64).T
    piece = np.searchsorted(counts, expected, side="right") - 1
    piece = np.minimum(piece, len(times) - 2)
    missing = expected - counts[piece]
    length = times[piece + 1] - times[piece]
    slope = np.divide(rates[piece + 1] - rates[piece], length, where=length > 0, out=length * 0)
    root = np.sqrt(np.maximum(rates[piece] ** 2 + 2 * slope * missing, 0.0))
    divisor = rates[piece] + root
    found: Times = times[piece] + np.divide(
        2 * missing, divisor, where=divisor > 0, out=np.zeros_like(divisor)
    )
    return found


def _check(rate: float) -> None:
    if not 0 < rate < math.inf:
        raise errors.EvaluationError(f"a rate of {rate} requests a second cannot be sent; use > 0")

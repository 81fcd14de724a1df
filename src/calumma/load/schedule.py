"""When to send, and what: fixed before the first request, and the same for the same seed."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator, Sequence

from calumma import errors
from calumma.scoring import cases


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


def shuffled(population: Sequence[cases.Case], *, seed: int) -> Iterator[cases.Case]:
    """All cases in random order, again and again, each round in another order."""
    if not population:
        raise errors.EvaluationError("there is no case to send; a load needs at least one")
    order = random.Random(seed)
    while True:
        yield from order.sample(population, len(population))


def _check(rate: float) -> None:
    if not 0 < rate < math.inf:
        raise errors.EvaluationError(f"a rate of {rate} requests a second cannot be sent; use > 0")

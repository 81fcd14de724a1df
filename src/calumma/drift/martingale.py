"""Drift while it comes: a test that may be looked at after every image, as often as one likes.

Each new image gets a p-value: how strange its score is among the reference's and all earlier ones.
Without drift these p-values are independent and uniform, and nobody can win by betting on them. So
the detector bets: its capital starts at 1, and Ville's inequality bounds the chance that a fair
game ever multiplies it by ``1 / alpha``, however long it lasts. That is the alarm. Testing every
window at 5% instead gives a false alarm every twenty windows.

A detector that watches for years may prefer to be wrong once in ``A`` images on average and to go
on: :func:`run_length` restarts the game at every image and adds the capitals up; the average time
to a false alarm at the level ``A`` is at least ``A`` (what alibi-detect calls the expected run
time, which it has from simulations).

Sources: V. Vovk, A. Gammerman and G. Shafer, Algorithmic Learning in a Random World, 2nd edition
(2022), chapters 8 and 9 (conformal test martingales, the Simple Jumper); J. Shin, A. Ramdas and
A. Rinaldo, New England Journal of Statistics in Data Science 2 (2023) 229-260 (e-detectors).
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from calumma.drift import detection
from calumma.drift.detection import Detection, Values

_JUMP = 0.01
"""How much of the jumper's capital is divided anew after each bet: it may change its mind."""
_POWER = 0.5
"""The exponent of those who bet on very small and on very large p-values."""
_ENOUGH = 1e100
"""More than this nobody needs to win: the capital is cut here, which keeps the promise."""


@dataclass(frozen=True)
class Path:
    """The capital after each current image [n], on one score; it began with 1."""

    name: str
    capital: Values

    def crossing(self, level: float) -> int | None:
        """How many images it took to reach the level, None if it never did."""
        reached = np.flatnonzero(self.capital >= level)
        return int(reached[0]) + 1 if reached.size else None


def p_values(reference: Values, current: Values, *, seed: int) -> Values:
    """The conformal p-value of each current score [n] among all before it; large is strange.

    Ties are broken at random, by the seed: that makes them exactly uniform.
    """
    generator = np.random.default_rng(seed)
    seen = sorted(reference.tolist())
    found = np.empty(current.size)
    for number, score in enumerate(current.tolist()):
        below = bisect.bisect_left(seen, score)
        equal = bisect.bisect_right(seen, score) - below
        above = len(seen) - below - equal
        found[number] = (above + generator.uniform() * (equal + 1)) / (len(seen) + 1)
        bisect.insort(seen, score)
    return found


def capital(found: Values) -> Values:
    """The capital [n] after betting on each p-value [n] before it was seen."""
    return _game(found, 0.0)


def run_length(found: Values) -> Values:
    """The sum [n] of the capitals of games that began at each p-value so far.

    Without drift the first time that it reaches ``A`` comes after ``A`` images or later on average.
    """
    return _game(found, 1.0)


def test(
    name: str,
    reference: Mapping[str, Values],
    current: Mapping[str, Values],
    *,
    alpha: float,
    seed: int,
) -> tuple[Detection, tuple[Path, ...]]:
    """Watch several scores of the same images, each with a share of ``alpha``.

    The detection's p-value holds at whatever image one stops. Its effect is the logarithm of the
    largest capital, on the score that won most.
    """
    paths, parts = [], []
    for number, score in enumerate(reference):
        detection.check(score, reference[score].size, current[score].size, least=1)
        generated = p_values(reference[score], current[score], seed=seed + number)
        path = Path(score, capital(generated))
        paths.append(path)
        largest = float(path.capital.max())
        n, m = reference[score].size, current[score].size
        name_of_it = f"log10 of the largest capital of {score}"
        effect = detection.exact(name_of_it, math.log10(largest), m)
        parts.append(Detection(score, min(1.0, 1 / largest), effect, n, m, alpha))
    return detection.largest(name, parts), tuple(paths)


def _game(found: Values, added: float) -> Values:
    """The capital over time, when ``added`` new capital comes in before every bet.

    Five players begin with what they have of it: three of the jumper's slopes, which share their
    capital a little after each bet, one who bets on small p-values, and one on large ones.
    """
    down = flat = up = (1 - added) / 9
    small = large = (1 - added) / 3
    values = np.empty(found.size)
    for number, p in enumerate(found.tolist()):
        mean = _JUMP * ((down + flat + up) / 3 + added / 9)
        down = min(_ENOUGH, ((1 - _JUMP) * (down + added / 9) + mean) * (1.5 - p))
        flat = min(_ENOUGH, (1 - _JUMP) * (flat + added / 9) + mean)
        up = min(_ENOUGH, ((1 - _JUMP) * (up + added / 9) + mean) * (0.5 + p))
        small = min(_ENOUGH, (small + added / 3) * _POWER * max(p, 1e-12) ** (_POWER - 1))
        large = min(_ENOUGH, (large + added / 3) * _POWER * max(1 - p, 1e-12) ** (_POWER - 1))
        values[number] = down + flat + up + small + large
    return values

"""How each metric went: what was known of it at the looks so far, from the counts themselves.

A rollout remembers what it counted, not what it concluded, so its looks can be judged again: what
is drawn is what the decision rests on. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from calumma.rollout import judgement
from calumma.rollout.state import Reading, State, Tally

MOST_POINTS = 40
"""A picture is no better with more."""


class Look(NamedTuple):
    """What was known of a metric at a look; ``step`` is None where the counts do not say it."""

    step: int | None
    reading: Reading


def of(state: State) -> dict[str, tuple[Look, ...]]:
    """The looks of each metric by its name, the last one last; of long rollouts some are left out.

    A metric that keeps only sums (agreement, quantiles of latency) has the last look alone, one of
    which nothing was counted none.
    """
    alphas = judgement.alphas(state.policy)
    found = {}
    for metric in state.policy.metrics:
        tally = state.tallies.get(metric.name)
        looks = _looks(tally) if tally is not None else ()
        found[metric.name] = tuple(
            Look(step, judgement.read(metric, each, alphas[metric.name])) for step, each in looks
        )
    return found


def _looks(tally: Tally) -> Iterator[tuple[int | None, Tally]]:
    """The tally as it was at its looks, and as it is."""
    if tally.windows:
        for number in _some(len(tally.windows)):
            kept = tally.windows[:number]
            yield kept[-1].step, tally.model_copy(update={"windows": kept})
    elif tally.moments:
        for number in _some(len(tally.moments)):
            moments = tally.moments[:number]
            yield moments[-1].step, tally.model_copy(update={"moments": moments})
    elif tally.pair_looks:
        for number in _some(len(tally.pair_looks)):
            looks = tally.pair_looks[:number]
            sums = tuple(map(sum, zip(*looks, strict=True)))
            yield None, tally.model_copy(update={"pair_looks": looks, "pairs": sums})
    else:
        yield None, tally


def _some(count: int) -> Sequence[int]:
    """Some of 1 to count, evenly, the last one among them."""
    most = min(count, MOST_POINTS)
    return sorted({round(count * (each + 1) / most) for each in range(most)})

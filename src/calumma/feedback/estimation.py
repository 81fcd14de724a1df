"""How good answers were, from those of them that somebody labelled. No I/O.

Two kinds of predictions are labelled: a random sample, which is like all traffic, and hard ones
(flagged by their users, or unsure), which are not. Each has its own number here. They are put
together only by weights: every stratum counts as much as there are predictions in it, however many
of them were labelled. A stratum of which nothing is labelled leaves the whole unknown. What was
labelled without having been chosen (somebody looked by chance) counts in neither.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from calumma.feedback import records
from calumma.feedback.joining import Joined
from calumma.scoring import metrics
from calumma.statistics import bootstrap, intervals, weighted

FLAGGED = "flagged"
UNSURE = "low confidence"
OTHERS = "others"
STRATA = (FLAGGED, UNSURE, OTHERS)


class Curve(NamedTuple):
    """The share of chosen predictions that are labelled within each number of seconds."""

    seconds: tuple[float, ...]
    share: tuple[float, ...]


def stratum(found: Joined) -> str:
    """The stratum of a prediction: what is known of it whether it is labelled or not."""
    if found.flagged:
        return FLAGGED
    return UNSURE if records.LOW_CONFIDENCE in found.prediction.sources else OTHERS


def strata(joined: Iterable[Joined]) -> dict[str, weighted.Stratum]:
    """For each stratum the right answers among those labelled as it was chosen, of how many."""
    found = {name: weighted.Stratum(0, 0, 0) for name in STRATA}
    for each in joined:
        name = stratum(each)
        right, n, size = found[name]
        counts = each.correct is not None and (name != OTHERS or _is_random(each))
        found[name] = weighted.Stratum(
            right + bool(counts and each.correct), n + bool(counts), size + 1
        )
    return found


def random_sample(joined: Iterable[Joined], name: str) -> metrics.Metric:
    """The share of right answers in the random sample alone."""
    return _plain([each for each in joined if _is_random(each)], name)


def hard_sample(joined: Iterable[Joined], name: str) -> metrics.Metric:
    """The share of right answers among hard predictions alone: it says little of the others."""
    return _plain([each for each in joined if stratum(each) != OTHERS], name)


def accuracy(joined: Iterable[Joined], name: str) -> metrics.Metric:
    """The share of right answers in all of the traffic, from both samples by their weights."""
    found = strata(joined)
    estimate = weighted.proportion(list(found.values()))
    n = sum(each.n for each in found.values())
    if estimate is None:
        return metrics.Metric(name, None, n, None)
    return metrics.Metric(name, estimate.value, n, estimate.interval)


def accuracy_difference(
    name: str, candidate: Iterable[Joined], baseline: Iterable[Joined]
) -> metrics.Metric:
    """The candidate's :func:`accuracy` minus the baseline's."""
    sides = [list(strata(each).values()) for each in (candidate, baseline)]
    n = min(sum(each.n for each in side) for side in sides)
    ours, theirs = (weighted.proportion(side) for side in sides)
    if ours is None or theirs is None:
        return metrics.Metric(name, None, n, None)
    interval = intervals.difference(*ours, *theirs)
    return metrics.Metric(name, ours.value - theirs.value, n, interval)


def unlabelled_strata(joined: Iterable[Joined]) -> list[str]:
    """The strata that keep the accuracy of all traffic unknown."""
    return [name for name, each in strata(joined).items() if each.size and not each.n]


def labelled(joined: Iterable[Joined], name: str) -> metrics.Metric:
    """The share of chosen predictions that have a label."""
    chosen = [each for each in joined if _is_chosen(each)]
    return metrics.proportion(name, sum(each.label is not None for each in chosen), len(chosen))


def disagreement(joined: Iterable[Joined], name: str) -> metrics.Metric:
    """The share of predictions with several readers about which they do not agree."""
    several = [each for each in joined if len(each.votes) > 1]
    return metrics.proportion(name, sum(each.disputed for each in several), len(several))


def delay(joined: Iterable[Joined], quantile: float, name: str, *, seed: int) -> metrics.Metric:
    """A quantile of the seconds from a prediction to its first label, of those that have one."""
    values = np.array([each.delay for each in joined if each.delay is not None])
    if not values.size:
        return metrics.Metric(name, None, 0, None, "s")

    def statistic(sample: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
        return np.asarray(np.quantile(sample, quantile, axis=-1))

    interval = bootstrap.percentile(statistic, values, seed=seed)
    return metrics.Metric(name, float(statistic(values)), int(values.size), interval, "s")


def labelled_within(joined: Sequence[Joined], *, at: float) -> Curve:
    """How fast labels come, the predictions that still wait counted for as long as they have.

    Leaving those out would show only the fast ones. Source: E. L. Kaplan and P. Meier, JASA 53
    (1958) 457-481; one minus their product-limit estimate.
    """
    chosen = [each for each in joined if _is_chosen(each)]
    waited = sorted(
        (each.delay if each.delay is not None else at - each.prediction.time, each.delay is None)
        for each in chosen
    )
    seconds, shares, unlabelled = [0.0], [0.0], 1.0
    for position, (time, censored) in enumerate(waited):
        if not censored:
            unlabelled *= 1 - 1 / (len(waited) - position)
        seconds.append(time)
        shares.append(1 - unlabelled)
    return Curve(tuple(seconds), tuple(shares))


def _plain(found: Sequence[Joined], name: str) -> metrics.Metric:
    judged = [each.correct for each in found if each.correct is not None]
    return metrics.proportion(name, sum(judged), len(judged))


def _is_random(found: Joined) -> bool:
    return records.RANDOM in found.prediction.sources


def _is_chosen(found: Joined) -> bool:
    return _is_random(found) or stratum(found) != OTHERS

"""The steps of a Deployment's update, as counts of pods.

Each pass takes one step: new pods come within ``maxSurge``, old ones go within ``maxUnavailable``,
and only those that are available count. Source: Kubernetes' ``pkg/controller/deployment``
(``rolling.go``, ``recreate.go``, ``ResolveFenceposts`` in ``util/deployment_util.go``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from calumma.cluster import objects

QUARTER = "25%"
"""Kubernetes' default for both bounds."""


class Bounds(NamedTuple):
    """How many pods there may be beyond the wanted ones, and how many of those may be missing."""

    surge: int
    unavailable: int


class Group(NamedTuple):
    """One ReplicaSet's pods: how many it should have, how many of these are available, and how
    many there are with those that are still ending."""

    wanted: int
    available: int
    present: int


class Step(NamedTuple):
    """What the ReplicaSets should have next: the new one, and the old ones in the given order."""

    new: int
    old: tuple[int, ...]


def bounds(strategy: Mapping[str, Any], replicas: int) -> Bounds:
    """The bounds of a Deployment's ``spec.strategy``.

    A share of the surge is rounded up and one of the unavailable down; where both would be 0, one
    pod may be missing, or the update would never begin.
    """
    if strategy.get("type") == "Recreate" or replicas == 0:
        return Bounds(0, 0)
    rolling = objects.dig(strategy, "rollingUpdate", default={})
    surge = _count(rolling.get("maxSurge", QUARTER), replicas, up=True)
    unavailable = _count(rolling.get("maxUnavailable", QUARTER), replicas, up=False)
    if surge == 0 and unavailable == 0:
        unavailable = 1
    return Bounds(surge, min(unavailable, replicas))


def step(replicas: int, strategy: Mapping[str, Any], new: Group, old: Sequence[Group]) -> Step:
    """The next step towards ``replicas`` pods of the new ReplicaSet; ``old`` is oldest first."""
    unchanged = tuple(each.wanted for each in old)
    if strategy.get("type") == "Recreate":
        if any(each.wanted or each.present for each in old):
            return Step(new.wanted, tuple(0 for _ in old))
        return Step(replicas, unchanged)
    bound = bounds(strategy, replicas)
    grown = _grow(replicas, bound, new, old)
    if grown != new.wanted:
        return Step(grown, unchanged)
    return Step(new.wanted, _shrink(replicas, bound, new, old))


def _count(value: int | str, replicas: int, *, up: bool) -> int:
    """A number of pods that is given as such or as a percentage."""
    if isinstance(value, int):
        return value
    product = int(value.removesuffix("%")) * replicas
    return -(-product // 100) if up else product // 100


def _grow(replicas: int, bound: Bounds, new: Group, old: Sequence[Group]) -> int:
    """How many pods the new ReplicaSet should have; it also shrinks with the Deployment."""
    if new.wanted >= replicas:
        return replicas
    room = replicas + bound.surge - new.wanted - sum(each.wanted for each in old)
    return new.wanted + max(0, min(room, replicas - new.wanted))


def _shrink(replicas: int, bound: Bounds, new: Group, old: Sequence[Group]) -> tuple[int, ...]:
    """How many pods the old ReplicaSets keep: first those go that are not available anyway."""
    counts = [each.wanted for each in old]
    least = replicas - bound.unavailable
    missing = new.wanted - new.available
    spare = new.wanted + sum(counts) - least - missing
    if spare <= 0:
        return tuple(counts)
    for place, each in enumerate(old):
        drop = max(0, min(spare, each.wanted - each.available))
        counts[place] -= drop
        spare -= drop
    excess = new.available + sum(each.available for each in old) - least
    for place, count in enumerate(counts):
        drop = max(0, min(count, excess))
        counts[place] -= drop
        excess -= drop
    return tuple(counts)

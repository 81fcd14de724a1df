"""The counts of an update: the table of Kubernetes' bounds, and every step of some updates."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calumma.cluster.apps import strategy
from calumma.cluster.apps.strategy import Group

ROLLING: dict[str, Any] = {"type": "RollingUpdate"}


def rolling(surge: int | str, unavailable: int | str) -> dict[str, Any]:
    bounds = {"maxSurge": surge, "maxUnavailable": unavailable}
    return {"type": "RollingUpdate", "rollingUpdate": bounds}


@pytest.mark.parametrize(
    ("plan", "replicas", "surge", "unavailable"),
    [
        ({}, 1, 1, 0),
        (ROLLING, 1, 1, 0),
        (ROLLING, 2, 1, 0),
        (ROLLING, 4, 1, 1),
        (ROLLING, 5, 2, 1),
        (ROLLING, 10, 3, 2),
        (ROLLING, 0, 0, 0),
        (rolling(0, 0), 3, 0, 1),
        (rolling(0, "10%"), 3, 0, 1),
        (rolling(2, 0), 3, 2, 0),
        (rolling("100%", "100%"), 3, 3, 3),
        (rolling(0, 7), 3, 0, 3),
        ({"type": "Recreate"}, 3, 0, 0),
    ],
)
def test_bounds(plan: dict[str, Any], replicas: int, surge: int, unavailable: int) -> None:
    assert strategy.bounds(plan, replicas) == (surge, unavailable)


@pytest.mark.parametrize(
    ("replicas", "new", "old", "expected"),
    [
        # One pod: the new one comes, is waited for, and the old one goes.
        (1, Group(0, 0, 0), [Group(1, 1, 1)], (1, [1])),
        (1, Group(1, 0, 1), [Group(1, 1, 1)], (1, [1])),
        (1, Group(1, 1, 1), [Group(1, 1, 1)], (1, [0])),
        (1, Group(1, 1, 1), [Group(0, 0, 1)], (1, [0])),
        # Four pods: one more, and one less.
        (4, Group(0, 0, 0), [Group(4, 4, 4)], (1, [4])),
        (4, Group(1, 0, 1), [Group(4, 4, 4)], (1, [3])),
        (4, Group(1, 0, 1), [Group(3, 3, 4)], (2, [3])),
        (4, Group(2, 0, 2), [Group(3, 3, 3)], (2, [3])),
        (4, Group(2, 2, 2), [Group(3, 3, 3)], (2, [1])),
        # An old pod that is broken goes at once, and costs no availability.
        (2, Group(1, 0, 1), [Group(2, 1, 2)], (1, [2])),
        (4, Group(1, 1, 1), [Group(4, 3, 4)], (1, [2])),
        # An update in the midst of an update: the oldest goes first.
        (2, Group(0, 0, 0), [Group(2, 2, 2), Group(1, 0, 1)], (0, [2, 0])),
        (2, Group(1, 1, 1), [Group(1, 1, 1), Group(1, 1, 1)], (1, [0, 1])),
        # More pods and fewer.
        (3, Group(1, 1, 1), [], (3, [])),
        (1, Group(3, 3, 3), [], (1, [])),
        (1, Group(3, 3, 3), [Group(1, 1, 1)], (1, [1])),
    ],
)
def test_the_steps_of_a_rolling_update(
    replicas: int, new: Group, old: list[Group], expected: tuple[int, list[int]]
) -> None:
    step = strategy.step(replicas, ROLLING, new, old)
    assert (step.new, list(step.old)) == expected


@pytest.mark.parametrize(
    ("new", "old", "expected"),
    [
        (Group(0, 0, 0), [Group(2, 2, 2)], (0, [0])),
        (Group(0, 0, 0), [Group(0, 0, 2)], (0, [0])),
        (Group(0, 0, 0), [Group(0, 0, 0)], (2, [0])),
        (Group(2, 1, 2), [], (2, [])),
    ],
)
def test_recreate_ends_the_old_pods_before_there_is_a_new_one(
    new: Group, old: list[Group], expected: tuple[int, list[int]]
) -> None:
    step = strategy.step(2, {"type": "Recreate"}, new, old)
    assert (step.new, list(step.old)) == expected


@given(
    replicas=st.integers(1, 12),
    before=st.lists(st.integers(0, 12), min_size=1, max_size=3),
    surge=st.integers(0, 100),
    unavailable=st.integers(0, 100),
    slow=st.booleans(),
)
def test_every_update_ends_and_keeps_its_bounds(
    replicas: int, before: list[int], surge: int, unavailable: int, slow: bool
) -> None:
    plan = rolling(f"{surge}%", f"{unavailable}%")
    bound = strategy.bounds(plan, replicas)
    new, old = Group(0, 0, 0), [Group(count, count, count) for count in before]
    for _ in range(200):
        if (new.available, sum(each.wanted for each in old)) == (replicas, 0):
            return
        had = new.available + sum(each.available for each in old)
        total = new.wanted + sum(each.wanted for each in old)
        step = strategy.step(replicas, plan, new, old)
        assert step.new + sum(step.old) <= max(replicas + bound.surge, total)
        kept = min(step.new, new.available)
        old = [Group(count, count, count) for count in step.old]
        assert kept + sum(step.old) >= min(replicas - bound.unavailable, had)
        ready = min(step.new, kept + 1) if slow else step.new
        new = Group(step.new, ready, step.new)
    raise AssertionError("the update does not end")

"""The simulated service of these tests does what the project's own controllers do."""

from __future__ import annotations

from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from support.rollouts import Service
from support.simulation import Simulation, digits, predictor_revision

Change = tuple[str, int]


def own(simulation: Simulation) -> tuple[Any, ...]:
    """What the controllers say of the predictor."""
    state = simulation.state
    shares = {
        (side[0] == "L", int(number), int(share))
        for side, rest in (entry.split(":") for entry in state.traffic.split())
        for number, share in [rest.split("=")]
    }
    return shares, state.created, state.ready, state.rolled_out, state.previous


def simulated(service: Service) -> tuple[Any, ...]:
    """What the simulated service says."""
    revisions = service.created, service.latest, service.rolled_out, service.previous
    return set(service.targets), *revisions


def apply(simulation: Simulation, service: Service, change: Change) -> None:
    what, value = change
    if what == "percent":
        service.patch(percent=value)
        percent = value
    elif what == "template":
        service.patch(template=service.template + 1, percent=value)
        percent = value
    else:
        service.become_ready()
        service.settle()
        simulation.become_ready(predictor_revision(service.created))
        return
    service.settle()
    simulation.apply(digits(f"v{service.template}", canaryTrafficPercent=percent))


ROWS: dict[str, list[Change]] = {
    "A6": [("template", 10), ("ready", 0), ("percent", 50), ("percent", 100), ("template", 20)],
    "B2": [("template", 10), ("ready", 0), ("percent", 0), ("template", 20), ("ready", 0)],
    "C": [("template", 10), ("ready", 0), ("percent", 100), ("percent", 0), ("percent", 100)],
    "G": [("template", 10), ("ready", 0), ("template", 100), ("ready", 0)],
    "H": [("template", 10), ("ready", 0), ("template", 10), ("ready", 0)],
    "I": [("template", 10), ("ready", 0), ("percent", 100), ("percent", 30)],
    "J": [("percent", 30), ("template", 10)],
}


def follow(changes: list[Change]) -> None:
    simulation, service = Simulation(), Service()
    simulation.apply(digits("v1"))
    service.settle()
    apply(simulation, service, ("ready", 0))
    assert own(simulation) == simulated(service)
    for change in changes:
        apply(simulation, service, change)
        assert own(simulation) == simulated(service), change


@pytest.mark.parametrize("row", ROWS)
def test_the_rows_of_kserves_behaviour(row: str) -> None:
    follow(ROWS[row])


shares = st.sampled_from((0, 10, 50, 100))
changes = st.one_of(
    st.tuples(st.just("percent"), shares),
    st.tuples(st.just("template"), shares),
    st.just(("ready", 0)),
)


@hypothesis.settings(deadline=None, max_examples=15)
@hypothesis.given(st.lists(changes, max_size=6))
def test_any_changes(found: list[Change]) -> None:
    follow(found)

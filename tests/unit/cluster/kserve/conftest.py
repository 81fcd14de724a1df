from __future__ import annotations

import pytest

from support import simulation as support


@pytest.fixture
def simulation() -> support.Simulation:
    """An empty cluster."""
    return support.Simulation()


@pytest.fixture
def serving(simulation: support.Simulation) -> support.Simulation:
    """A cluster that serves v1: row A1 of the table."""
    simulation.apply(support.digits())
    simulation.become_ready(support.predictor_revision(1), "digits-transformer-00001")
    return simulation

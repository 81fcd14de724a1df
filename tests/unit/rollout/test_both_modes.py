"""The decisions with the real patches, in Knative and in Standard mode, on the real controllers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import pytest

from calumma.cluster.objects import Object
from calumma.rollout import decision, service
from calumma.rollout.decision import Seen
from calumma.rollout.state import Phase, State, Tally, Verb, Window
from support import patched
from support.rollouts import INTERVAL, policy


class Cluster(Protocol):
    """A service that is changed by patches only."""

    @property
    def isvc(self) -> Object: ...
    def patch(self, change: dict[str, Any]) -> object: ...


class Driver:
    """Looks, and patches what is decided; the canary fails as often as it is told."""

    def __init__(self, cluster: Cluster, ready: Callable[[], None]) -> None:
        self.cluster, self.now, self.failing = cluster, 0.0, 0.1
        before, isvc = service.view(cluster.isvc), cluster.isvc
        cluster.patch(service.begin(isvc, patched.uri("v2"), "v2"))
        self.state = decision.begin(policy(), service.view(cluster.isvc), "a", 0.0, before=before)
        ready()

    def look(self, wish: Verb | None = None) -> None:
        self.now += INTERVAL
        isvc, view, step = self.cluster.isvc, service.view(self.cluster.isvc), self.state.step
        share = view.effective.get(self.state.canary or "", 0)
        n, other = 100 * share, 100 * (100 - share)
        bad = round(n * self.failing)
        window = Window(step=step, n=n, events=bad, other_n=other, other_events=other // 10)
        counts = decision.counts_from(self.state, self.now) is not None
        tallies = {"errors": Tally(windows=(window,))} if counts else {}
        seen = Seen(now=self.now, view=view, tallies=tallies, requests=n, wish=wish)
        found = decision.decide(self.state, seen)
        self.state = decision.recorded(found.state)
        for action in found.actions:
            self._act(isvc, view, action)

    def _act(self, isvc: Object, view: service.View, action: decision.Action) -> None:
        match action:
            case decision.Weigh(weight):
                self.cluster.patch(service.weigh(isvc, view.components, weight))
            case decision.Promote():
                if not self.state.previous:
                    previous = service.previous(isvc)
                    self.state = self.state.model_copy(update={"previous": previous})
                self.cluster.patch(service.promote(isvc, view.components))
            case decision.RollBack():
                self.cluster.patch(service.roll_back(isvc, view.components))
            case decision.Undo():
                self.cluster.patch(service.undo(isvc, self.state.previous))

    def until(self, ready: Callable[[], None], phase: Phase) -> State:
        for _ in range(40):
            self.look()
            ready()
            if self.state.phase is phase:
                return self.state
        raise AssertionError(f"{self.state.phase}: {self.state.why} {self.state.troubles}")


@pytest.fixture(params=["Knative", "Standard"])
def begun(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Driver, Callable[[], None]]:
    """A rollout of a second model, and how what it brings becomes ready."""
    if request.param == "Knative":
        knative = patched.Knative().serve()
        return Driver(knative, lambda: knative.ready(2)), lambda: knative.ready(2)
    standard = patched.Standard(tmp_path)
    return Driver(standard, standard.ready), standard.ready


def test_a_good_canary_is_promoted_and_that_is_undone(
    begun: tuple[Driver, Callable[[], None]],
) -> None:
    driver, ready = begun
    state = driver.until(ready, Phase.PROMOTED)
    view = service.view(driver.cluster.isvc)
    assert view.effective == {state.canary: 100}
    assert view.canary is None
    driver.look("undo")
    driver.until(ready, Phase.UNDONE)
    assert service.view(driver.cluster.isvc).effective.get(state.stable) == 100


def test_a_worse_canary_is_rolled_back(begun: tuple[Driver, Callable[[], None]]) -> None:
    driver, ready = begun
    driver.failing = 0.5
    state = driver.until(ready, Phase.ROLLED_BACK)
    view = service.view(driver.cluster.isvc)
    assert view.effective.get(state.stable) == 100
    assert not view.standard or view.canary is None

"""Whatever happens to a rollout, and wherever its driver is killed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from calumma.rollout import steps
from calumma.rollout.look import MOST_NOTES, declared
from calumma.rollout.state import Phase, State, Verdict
from support.rollouts import Kill, Rollout, Service, policy, revision

PROVEN, WORSE, UNCLEAR = (0.1, 0.1), (0.5, 0.1), (0.11, 0.1)
POLICY: dict[str, Any] = {"deadline": 200}
CALM = 60
"""Looks after which everything that ends by itself has ended."""
STABLE, CANARY = {revision(1): 100}, {revision(2): 100}

kills = st.lists(st.sampled_from((None, "written", "acted")), max_size=15)
settings = hypothesis.settings(deadline=None, max_examples=12)


@pytest.mark.parametrize(
    ("errors", "rate", "given", "phase", "traffic"),
    [
        (PROVEN, 1000, {}, Phase.PROMOTED, CANARY),
        (WORSE, 1000, {}, Phase.ROLLED_BACK, STABLE),
        (UNCLEAR, 2, {"inconclusive": "promote"}, Phase.PROMOTED, CANARY),
        (UNCLEAR, 2, {"inconclusive": "rollback"}, Phase.ROLLED_BACK, STABLE),
        (UNCLEAR, 2, {}, Phase.PAUSED, {revision(1): 50, revision(2): 50}),
        (PROVEN, 0, {}, Phase.PAUSED, {revision(1): 90, revision(2): 10}),
    ],
)
@settings
@hypothesis.given(kills=kills, late=st.integers(0, 3))
def test_a_driver_that_is_killed_comes_to_the_same_end(
    errors: tuple[float, float],
    rate: float,
    given: dict[str, Any],
    phase: Phase,
    traffic: dict[str, int],
    kills: list[Kill | None],
    late: int,
) -> None:
    rollout = Rollout(policy(**POLICY, **given), errors=errors, rate=rate).begin(ready=late == 0)
    for number, kill in enumerate(kills):
        if number == late:
            rollout.service.become_ready()
        rollout.look(kill=kill)
    rollout.service.become_ready()
    rollout.until(lambda state: state.phase is phase)
    rollout.looks(3)
    assert rollout.phase is phase
    assert rollout.service.effective == traffic


@settings
@hypothesis.given(kills=kills, verb=st.sampled_from(("abort", "promote")), when=st.integers(0, 9))
def test_a_wish_is_fulfilled_though_the_driver_is_killed(
    kills: list[Kill | None], verb: Any, when: int
) -> None:
    rollout = Rollout(policy(steps=[{"weight": 10, "seconds": 300}]), rate=2).begin()
    rollout.looks(3 + when)
    rollout.look(verb, kill=kills[0] if kills else None)
    for kill in kills[1:]:
        rollout.look(kill=kill)
    rollout.until(lambda state: state.phase.ended)
    assert rollout.service.effective == (STABLE if verb == "abort" else CANARY)


@dataclass(frozen=True)
class Moment:
    """What happens at one look."""

    kill: Kill | None = None
    wish: Any = None
    percent: int | None = None
    """Somebody's share; never one of ours, so that it can be told from them."""
    template: bool = False
    meanwhile: bool = False
    """Whether somebody's change comes between the driver's reading and its writing."""
    ready: bool | None = None
    errors: tuple[float, float] | None = None
    rate: float | None = None
    silent: bool | None = None


def rarely(*values: Any) -> st.SearchStrategy[Any]:
    return st.one_of(st.none(), st.none(), st.none(), st.sampled_from(values))


moments = st.builds(
    Moment,
    kill=rarely("written", "acted"),
    wish=rarely("pause", "resume", "promote", "abort", "undo"),
    percent=st.one_of(st.none(), rarely(20, 70)),
    template=st.sampled_from((False,) * 9 + (True,)),
    meanwhile=st.booleans(),
    ready=rarely(True, True, False),
    errors=rarely(PROVEN, WORSE, UNCLEAR),
    rate=rarely(0.0, 2.0, 1000.0),
    silent=rarely(True, False),
)


class Watch:
    """Looks at a rollout, and holds what must be so at each of them."""

    def __init__(self) -> None:
        self.rollout = Rollout(policy(**POLICY)).begin(ready=False)
        self.taken_over = False
        """Whether the share is somebody's, who has not said how it goes on."""
        self.by_person = False
        """Whether a person wished a promotion."""

    def look(self, moment: Moment) -> None:
        rollout = self.rollout
        before = self._set(moment)
        change = self._change(moment)
        if change is not None and not moment.meanwhile:
            change(rollout.service)
            self.taken_over = not before.phase.ended
        if moment.wish in ("resume", "promote", "abort", "undo"):
            self.taken_over = False
        self.by_person = self.by_person or moment.wish == "promote"
        found = rollout.look(moment.wish, moment.kill, change if moment.meanwhile else None)
        self._check(before, found)
        if change is not None and moment.meanwhile and moment.kill != "written":
            self.taken_over = not rollout.phase.ended

    def _set(self, moment: Moment) -> State:
        rollout = self.rollout
        if moment.ready is not None:
            rollout.service.down = not moment.ready
            if moment.ready:
                rollout.service.become_ready()
        rollout.errors = moment.errors or rollout.errors
        rollout.rate = rollout.rate if moment.rate is None else moment.rate
        if moment.silent is not None:
            rollout.troubles = {"prometheus": "it does not answer"} if moment.silent else {}
        return rollout.state

    def _change(self, moment: Moment) -> Callable[[Service], None] | None:
        if moment.template:
            return lambda service: service.patch(template=service.template + 1)
        if moment.percent is not None and moment.percent != self.rollout.service.percent:
            return lambda service: service.patch(percent=moment.percent)
        return None

    def _check(self, before: State, found: list[str]) -> None:
        state, rollout = self.rollout.state, self.rollout
        assert not (found and self.taken_over), (found, state)
        assert len(state.notes) <= MOST_NOTES
        passed = [note for note in state.notes if note.reason == "StepPassed"]
        if found and found[0].isdigit():
            assert int(found[0]) == (
                state.policy.steps[state.step].weight if state.first_step is not None else 0
            )
            assert len(passed) >= state.step
        if found == ["Promote"] and not self.by_person:
            assert state.readings
            assert all(each.verdict is Verdict.FINE for each in state.readings)
            assert len(passed) == len(state.policy.steps) - 1
        if steps.worse(state) and state.phase in (Phase.PROGRESSING, Phase.PAUSED):
            # Only somebody's own share is left as it is.
            assert declared(state, rollout.service.view()) != state.weight or found


@hypothesis.settings(deadline=None, max_examples=40)
@hypothesis.given(st.lists(moments, max_size=30))
def test_whatever_happens(moments: list[Moment]) -> None:
    watch = Watch()
    for moment in moments:
        watch.look(moment)
    for _ in range(CALM):
        watch.look(Moment(ready=True))
    state = watch.rollout.state
    assert state.why
    assert state.phase.ended or state.phase is Phase.PAUSED
    if state.phase is Phase.ROLLED_BACK and watch.rollout.service.template == 2:
        assert watch.rollout.service.effective.get(revision(2), 0) in (0, 20, 70)

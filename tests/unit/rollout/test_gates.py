"""Gates: asked when a step's least time is over, and what follows from each answer."""

from __future__ import annotations

from typing import Any

import pytest

from calumma.rollout.decision import RunGate
from calumma.rollout.state import GateResult, Phase, Reading, State, Verdict
from support.rollouts import Rollout, policy, revision

SUITE = {"evaluation": {"suite": "suites/digits.yaml"}}
HOOK = {"webhook": {"environment": "HOOK"}}
PERSON = {"person": "Do the pictures look right?"}


def gated(*gates: dict[str, Any], **given: Any) -> Rollout:
    """A rollout whose first step has gates, up to the look at which it might be left."""
    steps = [{"weight": 10, "seconds": 30, "gates": list(gates)}, {"weight": 50, "seconds": 30}]
    rollout = Rollout(policy(steps=steps, **given)).begin()
    rollout.looks(4)
    assert not rollout.running
    assert rollout.look() == []
    return rollout


def result(outcome: Any) -> GateResult:
    return GateResult(outcome=outcome, sentence=f"the suite says {outcome}")


def ended(state: State) -> bool:
    return state.phase.ended


def asked(rollout: Rollout) -> list[str]:
    return [each.key for each in rollout.done if isinstance(each, RunGate)]


def test_gates_are_asked_one_after_the_other_and_agree() -> None:
    rollout = gated(SUITE, HOOK)
    assert rollout.looks(5) == []
    assert asked(rollout) == ["0/0"]
    rollout.answers["0/0"] = result("agree")
    assert rollout.looks(3) == []
    assert asked(rollout) == ["0/0", "0/1"]
    rollout.answers["0/1"] = result("agree")
    assert rollout.look() == ["50"]
    rollout.until(ended)
    assert rollout.phase is Phase.PROMOTED
    assert rollout.reasons().count("GateAgreed") == 2


def test_a_refusal_rolls_back() -> None:
    rollout = gated(SUITE)
    rollout.answers["0/0"] = result("refuse")
    assert rollout.until(ended) == ["RollBack"]
    assert rollout.state.why == "a gate of step 1 refused: the suite says refuse"


@pytest.mark.parametrize("outcome", ["inconclusive", "error"])
def test_neither_yes_nor_no_holds_and_resume_asks_anew(outcome: str) -> None:
    rollout = gated(SUITE)
    rollout.answers["0/0"] = result(outcome)
    assert rollout.looks(5) == []
    assert rollout.phase is Phase.PAUSED
    rollout.look("resume")
    assert asked(rollout) == ["0/0", "0/0/1"]
    rollout.answers["0/0/1"] = result("agree")
    assert rollout.until(ended) == ["50", "Promote"]


def test_a_gate_that_was_running_when_the_driver_was_killed_is_started_again() -> None:
    rollout = gated(SUITE)
    rollout.looks(3)
    rollout.look(kill="acted")
    rollout.look()
    assert asked(rollout) == ["0/0", "0/0"]
    rollout.look("pause")
    rollout.look("resume")
    assert asked(rollout) == ["0/0", "0/0"]  # a pause is no reason to ask anew


def test_a_person_is_asked_once_and_agrees_by_resume() -> None:
    rollout = gated(PERSON)
    assert rollout.looks(5) == []
    assert rollout.told.count("WaitingForPerson") == 1
    assert "Do the pictures look right?" in rollout.state.notes[-1].text
    assert rollout.look("resume") == ["50"]
    assert rollout.replies == ["Your agreement is noted."]
    rollout.look("resume")
    assert rollout.replies[-1] == "It is under way, and no person is asked for anything."


def test_a_worse_canary_is_rolled_back_while_a_gate_is_asked() -> None:
    rollout = gated(SUITE)
    rollout.errors = (0.5, 0.1)
    assert rollout.until(ended) == ["RollBack"]


def test_a_declared_promotion_does_not_pass_over_a_gate() -> None:
    rollout = gated(PERSON, inconclusive="promote", deadline=300)
    assert rollout.until(lambda state: state.phase is Phase.PAUSED) == []
    assert "there are gates that have not agreed" in rollout.state.why


def blue_green() -> Rollout:
    """A rollout that sends pairs only, and whose canary's share stays 0."""
    steps = [{"weight": 0, "seconds": 10, "gates": [SUITE]}]
    agreement = {"name": "agreement", "kind": "agreement", "at_least": 0.95}
    return Rollout(
        policy(
            strategy="blue-green",
            steps=steps,
            metrics=[agreement],
            sources={"pairs": {"dataset": "digits"}},
            inconclusive="rollback",
            deadline=300,
        )
    ).begin()


def test_blue_green_goes_from_0_to_100_after_its_gates() -> None:
    rollout = blue_green()
    rollout.answers["0/0"] = result("agree")
    rollout.looks(3)
    fine = Reading(
        name="agreement",
        verdict=Verdict.FINE,
        estimate=0.99,
        low=0.97,
        high=1,
        margin=0.95,
        alpha=0.05,
        n=500,
        other_n=500,
    )
    rollout.record = rollout.state.model_copy(
        update={"readings": (fine,), "requests": 500}
    ).model_dump_json()
    assert rollout.until(ended) == ["Promote"]
    assert rollout.service.effective == {revision(2): 100}


def test_blue_green_that_nobody_asked_is_not_promoted() -> None:
    rollout = blue_green()
    assert rollout.until(ended) == []  # no pair was seen
    assert rollout.phase is Phase.ROLLED_BACK
    assert rollout.service.effective == {revision(1): 100}

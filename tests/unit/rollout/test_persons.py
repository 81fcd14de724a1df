"""What persons wish of a rollout, and what they change behind its back."""

from __future__ import annotations

import pytest

from calumma.rollout.state import Phase, State, Verb
from support.rollouts import Rollout, policy, revision

WORSE = (0.5, 0.1)
LONG = [{"weight": 10, "seconds": 500}, {"weight": 50, "seconds": 30}]


def ended(state: State) -> bool:
    return state.phase.ended


def under_way(**given: object) -> Rollout:
    """A rollout in its first step."""
    rollout = Rollout(policy(**given)).begin()
    rollout.looks(3)
    assert rollout.phase is Phase.PROGRESSING
    return rollout


def test_a_paused_rollout_waits_and_goes_on_where_it_was() -> None:
    rollout = under_way(deadline=300)
    rollout.look("pause")
    assert rollout.phase is Phase.PAUSED
    assert rollout.looks(40) == []  # beyond its deadline
    rollout.look("resume")
    assert (rollout.phase, rollout.state.step) == (Phase.PROGRESSING, 0)
    assert rollout.until(ended) == ["50", "Promote"]
    assert rollout.replies == [
        "Paused at 10% in step 1; what is shown to be worse is rolled back.",
        "It goes on; its share is 10%.",
    ]


def test_the_time_of_a_pause_is_no_time_of_a_step() -> None:
    rollout = under_way(steps=LONG)
    stepped = rollout.state.stepped
    assert stepped is not None
    rollout.look("pause")
    rollout.looks(9)
    rollout.look("resume")
    assert rollout.state.stepped == stepped + 100


def test_safety_is_not_paused() -> None:
    rollout = under_way()
    rollout.look("pause")
    rollout.errors = WORSE
    assert rollout.until(ended) == ["RollBack"]
    assert rollout.state.why.startswith("while it was paused, at 10%: errors")


def test_a_pause_while_the_canary_is_waited_for() -> None:
    rollout = Rollout(policy()).begin(ready=False)
    rollout.look("pause")
    assert rollout.looks(30) == []  # longer than it had to become ready
    rollout.service.become_ready()
    assert rollout.looks(3) == []
    rollout.look("resume")
    assert rollout.until(ended) == ["50", "Promote"] or rollout.phase is Phase.PROMOTED


@pytest.mark.parametrize("before", [None, "pause"])
def test_abort_rolls_back(before: Verb | None) -> None:
    rollout = under_way()
    if before:
        rollout.look(before)
    assert rollout.look("abort") == ["RollBack"]
    rollout.until(ended)
    assert rollout.phase is Phase.ROLLED_BACK
    assert "a person aborts it at 10% in step 1" in rollout.state.why
    assert rollout.service.effective == {revision(1): 100}


def test_a_person_may_promote_and_that_is_said() -> None:
    rollout = under_way()
    assert rollout.look("promote") == ["Promote"]
    rollout.until(ended)
    assert rollout.phase is Phase.PROMOTED
    assert rollout.state.why.startswith("a person promotes it at 10% in step 1: errors")


def test_a_canary_that_is_not_ready_is_not_promoted() -> None:
    rollout = Rollout(policy()).begin(ready=False)
    rollout.service.trouble = "no such model"
    rollout.look()
    assert rollout.look("promote") == []
    assert rollout.replies == ["The canary is not ready and cannot be promoted: no such model."]


def promoted() -> Rollout:
    rollout = Rollout(policy()).begin()
    rollout.until(ended)
    assert rollout.phase is Phase.PROMOTED
    return rollout


def test_undo_returns_to_the_former_revision() -> None:
    rollout = promoted()
    assert rollout.look("undo") == ["Undo"]
    rollout.until(ended)
    assert rollout.phase is Phase.UNDONE
    assert rollout.service.effective == {revision(1): 100}
    assert rollout.reasons()[-2:] == ["Undoing", "Undone"]


@pytest.mark.parametrize("change", [{"template": 7}, {"percent": 30}])
def test_undo_is_refused_when_the_service_was_changed_since(change: dict[str, int]) -> None:
    rollout = promoted()
    rollout.service.patch(**change)
    rollout.service.settle()
    generation = rollout.service.generation
    assert rollout.look("undo") == []
    assert rollout.phase is Phase.PROMOTED
    assert rollout.service.generation == generation
    assert "is not the revision before any more" in rollout.replies[-1]


def test_a_share_that_somebody_sets_during_an_undo_stays() -> None:
    rollout = promoted()
    assert rollout.look("undo") == ["Undo"]
    rollout.service.patch(percent=30)
    assert rollout.looks(5) == []
    assert rollout.phase is Phase.SUPERSEDED


def test_changes_that_do_not_concern_the_rollout_leave_it_as_it_is() -> None:
    rollout = Rollout(policy()).begin()
    rollout.look(kill="written")  # it was about to set 10
    rollout.look("pause")
    for _ in range(3):
        rollout.service.generation += 1
        assert rollout.look() == []
    assert rollout.state.why.startswith("a person paused it")


def test_undo_of_what_is_not_promoted_is_refused() -> None:
    rollout = under_way()
    assert rollout.look("undo") == []
    assert rollout.replies == ["It is Progressing and not promoted; abort rolls it back."]
    rollout.errors = WORSE
    rollout.until(ended)
    rollout.look("undo")
    assert rollout.replies[-1].startswith("It has ended as RolledBack: at 10%: errors")


@pytest.mark.parametrize("verb", ["pause", "resume", "promote", "abort", "undo"])
def test_every_wish_is_answered_in_every_phase_and_again(verb: Verb) -> None:
    for looks in range(14):
        rollout = Rollout(policy(steps=[{"weight": 10, "seconds": 30}])).begin(ready=looks % 3 > 0)
        rollout.looks(looks)
        for _ in range(3):
            replies = len(rollout.replies)
            rollout.look(verb)  # which holds that there is exactly one answer
            assert rollout.replies[replies].endswith(".")
            assert len(rollout.replies[replies]) > 10


def test_a_share_of_somebodys_own_pauses_and_stays() -> None:
    rollout = under_way(steps=LONG)
    rollout.service.patch(percent=70)
    assert rollout.looks(30) == []
    assert rollout.phase is Phase.PAUSED
    assert "somebody set the canary's share to 70% while it was at 10%" in rollout.state.why
    assert rollout.service.effective == {revision(2): 70, revision(1): 30}
    assert rollout.told.count("ChangedByPerson") == 1
    rollout.service.patch(percent=60)
    rollout.looks(3)
    assert rollout.told.count("ChangedByPerson") == 2


def test_nothing_is_counted_at_a_share_of_somebodys_own_and_nothing_rolled_back() -> None:
    rollout = under_way(steps=LONG)
    rollout.service.patch(percent=70)
    rollout.look()
    counted = rollout.state.tallies
    rollout.errors = WORSE
    assert rollout.looks(20) == []
    assert rollout.state.tallies == counted


def test_resume_sets_our_share_again_and_abort_rolls_back() -> None:
    rollout = under_way()
    rollout.service.patch(percent=70)
    rollout.looks(3)
    assert rollout.look("resume") == ["10"]
    assert rollout.state.stepped is None  # and the step's time begins anew
    assert rollout.until(ended) == ["50", "Promote"]

    rollout = under_way()
    rollout.service.patch(percent=70)
    rollout.looks(3)
    assert rollout.look("abort") == ["RollBack"]
    rollout.until(ended)
    assert rollout.phase is Phase.ROLLED_BACK


def test_a_share_that_somebody_sets_while_it_is_rolled_back_stays() -> None:
    rollout = under_way()
    rollout.errors = WORSE
    assert rollout.look() == ["RollBack"]
    rollout.service.patch(percent=30)
    assert rollout.looks(10) == []
    assert rollout.phase is Phase.PAUSED
    assert rollout.look("resume") == ["RollBack"]  # it is still worse


def test_somebody_who_sets_100_has_promoted_it() -> None:
    rollout = under_way()
    rollout.service.patch(percent=100)
    assert rollout.looks(10) == []
    assert rollout.phase is Phase.SUPERSEDED
    assert "somebody gave all of the traffic to digits-predictor-00002" in rollout.state.why


@pytest.mark.parametrize("percent", [None, 10, 100])
def test_another_template_leaves_nothing_to_decide(percent: int | None) -> None:
    rollout = under_way()
    rollout.service.patch(template=9, percent=percent)
    assert rollout.looks(10) == []
    assert rollout.phase is Phase.SUPERSEDED
    assert "somebody changed what makes a revision" in rollout.state.why


def test_another_revision_of_the_same_template_leaves_nothing_to_decide() -> None:
    rollout = under_way()
    rollout.service.built = 0  # as when a runtime was changed
    assert rollout.looks(10) == []
    assert rollout.phase is Phase.SUPERSEDED
    assert f"{revision(3)} came with the same template" in rollout.state.why


def test_a_service_that_is_gone_ends_it() -> None:
    rollout = under_way()
    rollout.gone = True
    rollout.look("abort")
    assert rollout.phase is Phase.SUPERSEDED
    assert rollout.replies == ["It has ended as Superseded: the InferenceService was deleted."]


def test_another_service_of_that_name_is_not_touched() -> None:
    rollout = under_way()
    rollout.service.generation = 1
    assert rollout.looks(5) == []
    assert rollout.phase is Phase.SUPERSEDED


def test_a_share_that_somebody_sets_again_after_resume_stays() -> None:
    rollout = under_way(steps=LONG)
    rollout.service.patch(percent=70)
    rollout.look()
    assert rollout.look("resume") == ["10"]
    rollout.service.patch(percent=70)  # before the rollout has seen its own change
    assert rollout.looks(10) == []
    assert rollout.phase is Phase.PAUSED
    assert rollout.look("resume") == ["10"]


def test_somebody_who_applies_our_next_share_with_another_template_is_somebody() -> None:
    rollout = Rollout(policy()).begin()
    rollout.look(kill="written")  # it was about to set 10
    rollout.service.patch(template=9, percent=10)
    assert rollout.looks(5) == []
    assert rollout.phase is Phase.SUPERSEDED


def test_a_step_that_somebody_takes_back_pauses() -> None:
    rollout = under_way()
    while rollout.look() != ["50"]:
        pass
    rollout.service.patch(percent=10)
    assert rollout.looks(10) == []
    assert rollout.phase is Phase.PAUSED


def test_a_share_that_was_another_one_for_a_moment_costs_that_look() -> None:
    rollout = under_way(steps=LONG)
    counted = rollout.state.requests
    rollout.service.patch(percent=70)
    rollout.service.patch(percent=10)
    rollout.look()
    assert rollout.phase is Phase.PROGRESSING
    assert rollout.state.requests == counted
    rollout.look()
    assert rollout.state.requests > counted

"""What follows from each look: steps, verdicts, deadlines, and the safe side."""

from __future__ import annotations

import dataclasses

import pytest

from calumma import errors
from calumma.rollout import decision
from calumma.rollout.state import Phase, Reading, State, Verdict
from support.rollouts import ERRORS, INTERVAL, Rollout, Service, policy, revision, serving

PROVEN = (0.1, 0.1)
WORSE = (0.5, 0.1)
UNCLEAR = (0.12, 0.1)
TIMES = {"interval": INTERVAL, "deadline": 300}


def ended(state: State) -> bool:
    return state.phase.ended


def test_a_good_canary_goes_through_all_steps_and_is_promoted() -> None:
    rollout = Rollout(policy(), errors=PROVEN).begin()
    assert rollout.until(ended) == ["10", "50", "Promote"]
    assert rollout.phase is Phase.PROMOTED
    assert rollout.service.effective == {revision(2): 100}
    assert rollout.reasons() == [
        "CanaryReady",
        "StepStarted",
        "StepPassed",
        "StepStarted",
        "Promoting",
        "Promoted",
    ]
    assert rollout.told == rollout.reasons()
    assert "all 2 steps are passed: errors is not worse (+0 points" in rollout.state.why
    evidence = [each.step for each in rollout.done if isinstance(each, decision.KeepEvidence)]
    assert evidence == [0, 1]
    assert [note.evidence for note in rollout.state.notes if note.evidence] == ["evidence/1"] * 2


def test_a_step_lasts_its_least_time_from_when_its_share_is_in_effect() -> None:
    rollout = Rollout(policy()).begin()
    assert rollout.look() == ["10"]  # ready is seen, and the share is set
    rollout.look()
    assert rollout.state.stepped == rollout.now
    assert rollout.looks(2) == []
    assert rollout.look() == ["50"]  # 30 s later
    assert rollout.state.stepped is None


def test_a_step_needs_its_requests_too() -> None:
    steps = [{"weight": 10, "requests": 500}, {"weight": 50, "seconds": 30}]
    rollout = Rollout(policy(steps=steps), rate=100).begin()
    rollout.looks(2)
    assert rollout.looks(4) == []
    assert rollout.state.requests == 400
    assert rollout.look() == ["50"]
    assert rollout.state.requests == 0


def test_the_warm_up_counts_for_nothing() -> None:
    steps = [{"weight": 10, "seconds": 100}]
    rollout = Rollout(policy(steps=steps, warmUp=25), rate=100).begin()
    rollout.looks(4)
    begun = rollout.state.stepped
    assert begun is not None
    assert decision.counts_from(rollout.state, begun + 25) is None
    assert (rollout.state.requests, rollout.state.tallies) == (0, {})
    rollout.look()
    assert rollout.now == begun + 30
    assert rollout.state.requests == 50  # the last five seconds, 10% of 100 a second
    assert len(rollout.state.tallies["errors"].windows) == 1


def test_nothing_counts_while_another_share_is_in_effect() -> None:
    rollout = Rollout(policy()).begin()
    rollout.looks(3)
    counted = rollout.state.requests
    before = rollout.service.view()
    seen = decision.Seen(
        now=rollout.now + INTERVAL,
        view=dataclasses.replace(before, effective={revision(1): 100}),
        tallies=dict(rollout.state.tallies),
        requests=700,
    )
    found = decision.decide(rollout.state, seen).state
    assert found.requests == counted
    assert found.tallies == rollout.state.tallies
    assert "share" in found.troubles
    whole = decision.decide(rollout.state, dataclasses.replace(seen, view=before)).state
    assert whole.requests == counted + 700


@pytest.mark.parametrize("strategy", ["progressive", "rolling"])
def test_a_worse_canary_is_rolled_back_at_once_at_every_step(strategy: str) -> None:
    for looks in (2, 7):
        rollout = Rollout(policy(strategy=strategy), errors=PROVEN).begin()
        rollout.looks(looks)
        assert not ended(rollout.state)
        rollout.errors = WORSE
        rollout.until(ended)
        assert rollout.phase is Phase.ROLLED_BACK
        assert rollout.service.effective == {revision(1): 100}
        assert "errors is worse (+" in rollout.state.why
        assert rollout.reasons()[-2:] == ["RollingBack", "RolledBack"]


def test_one_look_is_enough_to_roll_back() -> None:
    rollout = Rollout(policy(), errors=WORSE).begin()
    assert rollout.looks(3) == ["10", "RollBack"]
    assert not ended(rollout.state)
    rollout.look()
    assert rollout.phase is Phase.ROLLED_BACK


def test_rolled_back_is_said_only_when_stable_has_all_of_the_traffic() -> None:
    rollout = Rollout(policy(), errors=WORSE).begin()
    rollout.looks(3)
    rollout.service.settle()
    done = rollout.service.view()
    for unfinished in (
        dataclasses.replace(done, observed=False),
        dataclasses.replace(done, effective={revision(1): 90, revision(2): 10}),
    ):
        seen = decision.Seen(now=rollout.now + INTERVAL, view=unfinished)
        assert not ended(decision.decide(rollout.state, seen).state)
    rollout.look()
    assert rollout.phase is Phase.ROLLED_BACK


def test_promoted_is_said_only_when_the_canary_has_all_of_the_traffic_and_is_ready() -> None:
    rollout = Rollout(policy()).begin()
    rollout.until(lambda state: state.phase is Phase.PROMOTING)
    rollout.service.settle()
    done = rollout.service.view()
    for unfinished in (
        dataclasses.replace(done, ready=False),
        dataclasses.replace(done, observed=False),
        dataclasses.replace(done, effective={revision(1): 50, revision(2): 50}),
    ):
        seen = decision.Seen(now=rollout.now + INTERVAL, view=unfinished)
        assert not ended(decision.decide(rollout.state, seen).state)
    rollout.look()
    assert rollout.phase is Phase.PROMOTED


def test_a_steps_time_does_not_begin_before_the_service_is_ready() -> None:
    rollout = Rollout(policy()).begin()
    rollout.look()
    rollout.service.settle()
    view = dataclasses.replace(rollout.service.view(), ready=False)
    seen = decision.Seen(now=rollout.now + INTERVAL, view=view)
    assert decision.decide(rollout.state, seen).state.stepped is None
    rollout.look()
    assert rollout.state.stepped == rollout.now


@pytest.mark.parametrize(
    ("inconclusive", "phase"),
    [
        ("hold", Phase.PAUSED),
        ("rollback", Phase.ROLLED_BACK),
        ("promote", Phase.PROMOTED),
    ],
)
def test_at_the_deadline_the_declared_thing_is_done(inconclusive: str, phase: Phase) -> None:
    rollout = Rollout(policy(inconclusive=inconclusive, **TIMES), errors=UNCLEAR, rate=2).begin()
    changes = rollout.until(lambda state: state.phase is phase)
    assert changes[:2] == ["10", "50"]
    assert rollout.now - 1000 >= 300
    assert "the deadline of 300 s is over" in rollout.state.why
    assert "errors to be shown not worse" in rollout.state.why


def test_a_hold_goes_on_with_all_of_its_time() -> None:
    rollout = Rollout(policy(**TIMES), errors=UNCLEAR, rate=2).begin()
    rollout.until(lambda state: state.phase is Phase.PAUSED)
    assert rollout.looks(20) == []
    rollout.look("resume")
    assert rollout.phase is Phase.PROGRESSING
    rollout.errors, rollout.rate = PROVEN, 1000
    assert rollout.until(ended) == ["Promote"]


def test_a_steps_timeout_is_inconclusive_too() -> None:
    steps = [{"weight": 10, "requests": 10**6, "timeout": 60}]
    rollout = Rollout(policy(steps=steps, inconclusive="rollback"), rate=2).begin()
    rollout.until(ended)
    assert rollout.phase is Phase.ROLLED_BACK
    assert "step 1 took its 60 s" in rollout.state.why


def test_what_nobody_saw_is_never_promoted() -> None:
    rollout = Rollout(policy(inconclusive="promote", **TIMES), rate=0).begin()
    assert rollout.until(lambda state: state.phase is Phase.PAUSED) == ["10"]
    assert "nothing was observed of the canary" in rollout.state.why
    assert rollout.service.effective == {revision(2): 10, revision(1): 90}


def test_a_step_without_a_share_lasts_longer_than_quiet() -> None:
    steps = [{"weight": 0, "seconds": 150}, {"weight": 10, "seconds": 30}]
    pairs = {"name": "correct", "kind": "correct", "margin": 0.05}
    given = policy(steps=steps, metrics=[ERRORS, pairs], sources={"pairs": {"dataset": "digits"}})
    rollout = Rollout(given, errors=PROVEN, pairs=10).begin()
    assert "10" in rollout.looks(25)
    assert "NothingKnown" not in [note.reason for note in rollout.state.notes if note.step == 0]


@pytest.mark.parametrize("strategy", ["progressive", "rolling"])
def test_without_traffic_it_stays_and_tells_once(strategy: str) -> None:
    steps = [{"weight": 10, "seconds": 200}]
    rollout = Rollout(policy(strategy=strategy, steps=steps)).begin()
    rollout.looks(4)
    rollout.rate = 0
    assert rollout.looks(30) == []
    assert rollout.told.count("NoTraffic") == 1
    assert "no request has reached digits-predictor-00002" in rollout.state.troubles["traffic"]
    rollout.rate = 1000
    rollout.look()
    assert rollout.told.count("TroubleOver") == 1
    rollout.until(ended)
    assert rollout.phase is Phase.PROMOTED


def test_without_a_source_it_stays_and_tells_once_what_lasts() -> None:
    rollout = Rollout(policy()).begin()
    rollout.looks(3)
    rollout.troubles = {"prometheus": "Prometheus at http://localhost:9090 does not answer"}
    assert rollout.looks(3) == []
    assert "NothingKnown" not in rollout.told  # a short one is nobody's matter
    assert rollout.looks(30) == []
    assert rollout.told.count("NothingKnown") == 1
    rollout.troubles = {}
    rollout.until(ended)
    assert rollout.told.count("TroubleOver") == 1
    assert rollout.phase is Phase.PROMOTED


def test_labels_that_never_come_hold_and_then_the_deadline_decides() -> None:
    correct = {"name": "correct", "kind": "correct", "margin": 0.05, "source": "feedback"}
    rollout = Rollout(
        policy(
            metrics=[{"name": "errors", "kind": "errors", "margin": 0.05}, correct],
            sources={"feedback": {"folder": "feedback"}},
            inconclusive="rollback",
            **TIMES,
        )
    ).begin()
    rollout.until(ended)
    assert "nothing is known of correct after 100 s" in rollout.state.why
    assert rollout.phase is Phase.ROLLED_BACK


def test_a_canary_that_never_becomes_ready_is_rolled_back_in_the_clusters_words() -> None:
    rollout = Rollout(policy()).begin(ready=False)
    rollout.service.trouble = "Model digits failed to load: no such file"
    assert rollout.until(ended) == []  # it never had a share
    assert rollout.phase is Phase.ROLLED_BACK
    assert "Model digits failed to load: no such file" in rollout.state.why
    assert rollout.now - 1000 >= 100
    assert rollout.service.effective == {revision(1): 100}


def test_a_canary_that_stops_being_ready_is_rolled_back_when_that_lasts() -> None:
    rollout = Rollout(policy(), rate=0).begin()
    rollout.looks(3)
    rollout.service.down = True
    assert rollout.looks(5) == []
    rollout.service.down = False
    assert rollout.looks(20) == []
    rollout.service.down = True
    assert rollout.until(ended) == ["RollBack"]
    assert "was not ready for 100 s" in rollout.state.why


def test_a_rolled_back_revision_does_not_get_the_share_of_the_next_one() -> None:
    service = serving()
    first = Rollout(policy(), service, errors=WORSE).begin()
    first.until(ended)
    second = Rollout(policy(), service, errors=PROVEN).begin(ready=False)
    second.looks(5)
    assert service.effective == {revision(1): 100}  # kserve/kserve#2130
    assert second.state.canary == revision(3)
    service.become_ready()
    service.settle()
    second.until(ended)
    assert service.effective == {revision(3): 100}


def test_the_newest_revision_of_a_late_status_is_not_taken_for_the_canary() -> None:
    service = serving()
    Rollout(policy(), service, errors=WORSE).begin().until(ended)
    before = service.view()
    service.patch(template=9, percent=0)  # and the status still tells of revision 2, which is ready
    state = decision.begin(policy(), service.view(), "late", 0.0, before=before)
    found = decision.decide(state, decision.Seen(now=10.0, view=service.view())).state
    assert (found.phase, found.canary) == (Phase.PENDING, None)


def test_a_share_in_the_manifest_is_taken_back_until_the_canary_is_ready() -> None:
    rollout = Rollout(policy())
    rollout.service.patch(template=2, percent=30)
    rollout.service.settle()
    rollout.record = decision.begin(
        rollout.policy, rollout.service.view(), "a", rollout.now
    ).model_dump_json()
    assert rollout.look() == ["0"]
    rollout.service.become_ready()
    assert rollout.until(ended) == ["10", "50", "Promote"]


def test_a_patch_that_makes_no_revision_ends_without_touching_the_service() -> None:
    rollout = Rollout(policy())
    rollout.record = (
        decision.begin(rollout.policy, rollout.service.view(), "a", rollout.now)
        .model_copy(update={"weight": 0, "canary": None})
        .model_dump_json()
    )
    rollout.service.patch(percent=100)
    generation = rollout.service.generation
    rollout.until(ended)
    assert rollout.phase is Phase.SUPERSEDED
    assert rollout.service.generation == generation


def test_a_service_without_a_stable_revision_is_refused() -> None:
    with pytest.raises(errors.RolloutError, match="no revision that serves"):
        decision.begin(policy(), Service().view(), "a", 0.0)


def test_requests_that_are_divided_otherwise_than_declared_hold_it() -> None:
    rollout = Rollout(policy()).begin()
    rollout.looks(2)
    view = rollout.service.view()
    state = rollout.state
    for number in range(1, 12):
        seen = decision.Seen(
            now=rollout.now + number * INTERVAL, view=view, requests=900, users=(900, 1100)
        )
        state = decision.decide(state, seen).state
    assert (state.phase, state.step) == (Phase.PROGRESSING, 0)
    assert "split" in state.troubles
    assert [note.reason for note in state.notes].count("SplitMismatch") == 1
    assert state.shares == ((10, 900 * 11, 1100 * 11),)


def test_with_an_assignment_the_split_of_requests_says_nothing() -> None:
    rollout = Rollout(policy(assignment={"header": "X-User"})).begin()
    rollout.looks(2)
    seen = decision.Seen(
        now=rollout.now + INTERVAL, view=rollout.service.view(), requests=9, users=(90000, 110000)
    )
    assert "split" not in decision.decide(rollout.state, seen).state.troubles


def test_rolling_goes_on_by_time_though_nothing_is_proven() -> None:
    rollout = Rollout(policy(strategy="rolling"), errors=UNCLEAR, rate=2).begin()
    assert rollout.until(ended) == ["10", "50", "Promote"]
    assert {reading.verdict for reading in rollout.state.readings} == {Verdict.UNCLEAR}


def reading(low: float, high: float, n: int) -> Reading:
    return Reading(
        name="errors",
        verdict=Verdict.FINE if high < 0.05 else Verdict.UNCLEAR,
        estimate=(low + high) / 2 if n else None,
        low=low,
        high=high,
        margin=0.05,
        alpha=0.05,
        n=n,
        other_n=n,
    )


@pytest.mark.parametrize(
    ("found", "phase"),
    [
        (reading(-0.02, -0.01, 999), Phase.PROGRESSING),
        (reading(-0.02, -0.01, 1000), Phase.PROMOTING),
        (reading(-0.02, 0.01, 1000), Phase.ROLLING_BACK),  # not worse is not better
    ],
)
def test_ab_decides_at_the_planned_size_and_promotes_only_what_is_better(
    found: Reading, phase: Phase
) -> None:
    errors_ = {"name": "errors", "kind": "errors", "margin": 0.05, "planned": 1000}
    steps = [{"weight": 50, "seconds": 10}]
    rollout = Rollout(policy(strategy="ab", steps=steps, metrics=[errors_]), rate=0).begin()
    rollout.looks(4)
    assert rollout.phase is Phase.PROGRESSING
    state = rollout.state.model_copy(update={"readings": (found,)})
    seen = decision.Seen(now=rollout.now + INTERVAL, view=rollout.service.view(), requests=1)
    assert decision.decide(state, seen).state.phase is phase


def test_a_state_with_infinite_bounds_is_read_as_it_was_written() -> None:
    rollout = Rollout(policy(), rate=1).begin()
    state = rollout.state.model_copy(
        update={"readings": (reading(float("-inf"), float("inf"), 0),)}
    )
    assert State.model_validate_json(state.model_dump_json()) == state


def test_people_are_told_again_until_that_is_recorded() -> None:
    rollout = Rollout(policy()).begin()
    rollout.look(kill="written")
    assert rollout.told == []
    rollout.look()
    assert rollout.told == ["CanaryReady"]
    rollout.look()
    assert rollout.told == ["CanaryReady", "StepStarted"]

"""A canary's traps: who gets traffic that nobody meant to send, and the warning that tells it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from calumma.cluster.objects import Object
from support.simulation import Simulation, digits, predictor_revision
from support.traps import commands, told

R2, R3 = predictor_revision(2), predictor_revision(3)
TRANSFORMER = "digits-transformer-00001"


def edit(
    version: str | None = None, percent: int | None = None, component: str = "predictor"
) -> Callable[[Object], None]:
    """An edit of one component: its template, and its canary's share (None removes it)."""

    def change(isvc: Object) -> None:
        spec = isvc["spec"][component]
        if version is not None and component == "predictor":
            spec["model"]["storageUri"] = f"pvc://models/digits/{version}"
        elif version is not None:
            spec["containers"][0]["image"] = f"calumma/digits:{version}"
        spec.pop("canaryTrafficPercent", None)
        if percent is not None:
            spec["canaryTrafficPercent"] = percent

    return change


@pytest.fixture
def canary(serving: Simulation) -> Simulation:
    """v2 is ready and has 10 percent; nothing was warned of."""
    serving.change(edit("v2", 10))
    serving.become_ready(R2)
    assert serving.warnings() == []
    return serving


@pytest.fixture
def promoted(canary: Simulation) -> Simulation:
    """v2 has everything; nothing was warned of."""
    canary.change(edit("v2"))
    assert canary.warnings() == []
    return canary


def test_an_ordinary_rollout_warns_of_nothing(promoted: Simulation) -> None:
    promoted.change(edit("v3", 20))
    promoted.become_ready(R3)
    promoted.change(edit("v3", 0))
    promoted.change(edit("v3", 50))
    promoted.change(edit("v3", 100))
    promoted.change(edit("v4"))
    promoted.become_ready(predictor_revision(4))
    assert promoted.warnings() == []


def test_a_rollback_after_a_promotion_warns_of_nothing(promoted: Simulation) -> None:
    promoted.change(edit("v2", 0))
    assert promoted.traffic == "L:2=0 P:1=100"
    assert promoted.warnings() == []


def test_an_old_manifest_while_a_canary_runs(canary: Simulation) -> None:
    canary.change(edit("v1"))
    reason, message = told(canary)
    assert canary.traffic == "L:2=100"
    assert reason == "CanaryPromotedByUpdate"
    assert "promotes the canary digits-predictor-00002 from 10% to all traffic" in message
    assert "digits-predictor-00001 gets none" in message
    canary.become_ready(R3)
    assert canary.warnings() == []


def test_the_way_back_that_the_warning_names_never_serves_the_canary(canary: Simulation) -> None:
    canary.change(edit("v1"))
    (roll_back,) = commands(told(canary)[1])
    again = Simulation()
    again.apply(digits())
    again.become_ready(predictor_revision(1), TRANSFORMER)
    again.change(edit("v2", 10))
    again.become_ready(R2)
    again.passed()
    again.change(roll_back)
    again.change(edit("v1", 0))
    again.become_ready(R3)
    again.change(edit("v1"))
    shares = [state.traffic for state in again.passed()]
    assert shares[1:] == [
        "L:2=0 P:1=100",
        "L:2=0 P:1=100",
        "L:2=0 P:1=100",
        "L:3=0 P:1=100",
        "L:3=0 P:1=100",
        "L:3=100",
    ]
    assert again.warnings() == []


def test_a_new_canary_after_a_rollback(canary: Simulation) -> None:
    canary.change(edit("v2", 0))
    assert canary.warnings() == []
    canary.change(edit("v3", 20))
    reason, message = told(canary)
    assert canary.traffic == "L:2=20 P:1=80"
    assert reason == "RolledBackRevisionServes"
    assert "digits-predictor-00002, which was rolled back, gets 20% of the traffic" in message
    stop, resume = commands(message)
    canary.change(stop)
    assert canary.traffic == "L:2=0 P:1=100"
    canary.become_ready(R3)
    canary.change(resume)
    assert canary.traffic == "L:3=20 P:1=80"
    assert canary.warnings() == []


def test_a_bigger_share_with_a_new_template(canary: Simulation) -> None:
    canary.change(edit("v3", 50))
    reason, message = told(canary)
    assert canary.traffic == "L:2=50 P:1=50"
    assert reason == "OldCanaryServes"
    assert "digits-predictor-00002, the canary of before (10%), gets 50%" in message


def test_the_same_share_with_a_new_template_is_no_trap(canary: Simulation) -> None:
    canary.change(edit("v3", 10))
    assert canary.traffic == "L:2=10 P:1=90"
    assert canary.warnings() == []


def test_a_percentage_after_a_promotion(promoted: Simulation) -> None:
    promoted.change(edit(percent=30))
    reason, message = told(promoted)
    assert promoted.traffic == "L:2=30 P:1=70"
    assert reason == "PreviousRevisionServes"
    assert "70% of the traffic return to digits-predictor-00001" in message
    (undo,) = commands(message)
    promoted.change(undo)
    assert promoted.traffic == "L:2=100"
    assert promoted.rollout == (2, 1)
    assert promoted.warnings() == []


def test_a_percentage_on_the_only_revision(serving: Simulation) -> None:
    serving.events.clear()
    serving.change(edit(percent=30))
    reason, message = told(serving)
    assert reason == "CanaryWithoutPrevious"
    assert "digits-predictor-00001 gets all traffic" in message
    (remove,) = commands(message)
    serving.change(remove)
    assert serving.traffic == "L:1=100"
    assert serving.warnings() == []


def test_a_percentage_from_the_start(simulation: Simulation) -> None:
    simulation.apply(digits("v1", canaryTrafficPercent=10))
    simulation.become_ready(predictor_revision(1), TRANSFORMER)
    assert simulation.traffic == "L:1=10 P:1=90"
    reason, message = told(simulation)
    assert reason == "CanaryWithoutPrevious"
    assert "the first one gets all traffic" in message


def test_a_service_that_was_stopped_in_a_canary_forgets_the_stable_revision(
    canary: Simulation,
) -> None:
    key = "serving.kserve.io/stop"
    canary.change(lambda isvc: isvc["metadata"]["annotations"].update({key: "true"}))
    assert canary.warnings() == []
    canary.change(lambda isvc: isvc["metadata"]["annotations"].pop(key))
    assert told(canary)[0] == "CanaryWithoutPrevious"


@pytest.mark.parametrize("percent", [150, -5])
def test_a_percentage_out_of_range_before_it_bites(simulation: Simulation, percent: int) -> None:
    simulation.apply(digits("v1", canaryTrafficPercent=percent))
    reason, message = told(simulation)
    assert reason == "CanaryPercentOutOfRange"
    assert f"canaryTrafficPercent {percent} is accepted now" in message
    simulation.become_ready(predictor_revision(1), TRANSFORMER)
    assert simulation.condition("PredictorReady")[1] == "ReconcileFailed"
    (remove,) = commands(message)
    simulation.change(remove)
    assert simulation.condition("Ready")[0] == "True"


def test_a_canary_that_fails(serving: Simulation) -> None:
    serving.events.clear()
    serving.change(edit("v2", 10))
    serving.fail(R2, "no such model")
    reason, message = told(serving)
    assert reason == "CanaryFailed"
    assert "Its 10% go to digits-predictor-00001" in message
    assert "Ready is False although the service answers" in message
    assert "-l serving.knative.dev/revision=digits-predictor-00002" in message
    serving.become_ready(R2)
    serving.fail(R2)
    assert serving.warnings() == []


def test_an_update_that_fails(serving: Simulation) -> None:
    serving.events.clear()
    serving.change(edit("v2"))
    serving.fail(R2)
    reason, message = told(serving)
    assert reason == "NewRevisionFailed"
    assert "digits-predictor-00001 keeps serving" in message


def test_a_transformer_that_fails_where_ready_does_not_show_it(serving: Simulation) -> None:
    serving.events.clear()
    serving.change(edit("2", component="transformer"))
    serving.fail("digits-transformer-00002")
    assert serving.condition("Ready")[0] == "True"
    assert "Ready stays True, as on KServe" in told(serving)[1]


def test_a_first_revision_that_fails_leaves_nothing_to_warn_of(simulation: Simulation) -> None:
    simulation.apply(digits())
    simulation.fail(predictor_revision(1))
    assert simulation.warnings() == []


def test_two_canaries_at_once(canary: Simulation) -> None:
    canary.change(edit("2", 20, "transformer"))
    reason, message = told(canary)
    assert reason == "UnpairedCanaries"
    assert (
        "2% meet both new revisions, 8% only the new predictor, 18% only the new transformer, "
        "72% none" in message
    )
    canary.become_ready("digits-transformer-00002")
    canary.change(edit("v2", 30))
    assert canary.warnings() == []
    (hold_back,) = commands(message)
    canary.change(hold_back)
    canary.change(edit(None, 5, "transformer"))
    assert told(canary)[0] == "UnpairedCanaries"

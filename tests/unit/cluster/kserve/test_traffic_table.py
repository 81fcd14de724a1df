"""The canary behaviour of KServe in Knative mode, row by row of the measured table."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from calumma.cluster.objects import Object
from support.simulation import Simulation, digits, predictor_revision


def predictor(version: str, percent: int | None = None) -> Callable[[Object], None]:
    """An edit that sets the model and the canary's share (None removes it)."""

    def edit(isvc: Object) -> None:
        spec = isvc["spec"]["predictor"]
        spec["model"]["storageUri"] = f"pvc://models/digits/{version}"
        spec.pop("canaryTrafficPercent", None)
        if percent is not None:
            spec["canaryTrafficPercent"] = percent

    return edit


@pytest.fixture
def canary(serving: Simulation) -> Simulation:
    """Row A3: v2 is ready and has 10 percent."""
    serving.change(predictor("v2", 10))
    serving.become_ready(predictor_revision(2))
    return serving


@pytest.fixture
def promoted(canary: Simulation) -> Simulation:
    """Row A5: v2 has everything."""
    canary.change(predictor("v2"))
    return canary


def latest(cluster: Simulation) -> tuple[str, str]:
    return (
        cluster.predictor["latestCreatedRevision"],
        cluster.predictor["latestReadyRevision"],
    )


def test_a1_first_revision_takes_everything(serving: Simulation) -> None:
    assert serving.traffic == "L:1=100"
    assert serving.rollout == (1, 0)
    assert serving.condition("Ready")[0] == "True"


def test_a2_canary_that_is_not_ready_leaves_all_traffic_on_the_old(serving: Simulation) -> None:
    serving.change(predictor("v2", 10))
    assert serving.traffic == "L:1=10 P:1=90"
    assert latest(serving) == (predictor_revision(2), predictor_revision(1))
    assert serving.condition("Ready")[0] == "Unknown"
    assert serving.condition("PredictorConfigurationReady")[0] == "Unknown"
    assert serving.condition("PredictorRouteReady")[0] == "True"


def test_a3_ready_canary_takes_its_share(canary: Simulation) -> None:
    assert canary.traffic == "L:2=10 P:1=90"
    assert canary.rollout == (1, 0)
    assert canary.condition("Ready")[0] == "True"


def test_a4_weight_alone_makes_no_revision(canary: Simulation) -> None:
    canary.change(predictor("v2", 50))
    assert canary.traffic == "L:2=50 P:1=50"
    assert predictor_revision(3) not in canary.revisions


@pytest.mark.parametrize("percent", [None, 100])
def test_a5_promotion(canary: Simulation, percent: int | None) -> None:
    canary.change(predictor("v2", percent))
    assert canary.traffic == "L:2=100"
    assert canary.rollout == (2, 1)


def test_a6_next_canary(promoted: Simulation) -> None:
    promoted.change(predictor("v3", 20))
    assert promoted.traffic == "L:2=20 P:2=80"
    promoted.become_ready(predictor_revision(3))
    assert promoted.traffic == "L:3=20 P:2=80"


def test_b_rollback_keeps_the_canary_referenced(canary: Simulation) -> None:
    canary.change(predictor("v2", 0))
    assert canary.traffic == "L:2=0 P:1=100"
    assert canary.rollout == (1, 0)


def test_b2_next_canary_gives_its_share_to_the_one_rolled_back(canary: Simulation) -> None:
    canary.change(predictor("v2", 0))
    canary.change(predictor("v3", 20))
    assert canary.traffic == "L:2=20 P:1=80"
    canary.become_ready(predictor_revision(3))
    assert canary.traffic == "L:3=20 P:1=80"


def test_c_rollback_after_promotion(promoted: Simulation) -> None:
    promoted.change(predictor("v2", 0))
    assert promoted.traffic == "L:2=0 P:1=100"
    assert promoted.rollout == (1, 1)
    promoted.change(predictor("v2"))
    assert promoted.traffic == "L:2=100"
    assert promoted.rollout == (2, 1)


def test_c_passes_through_a_split_over_the_new_revision(promoted: Simulation) -> None:
    promoted.isvc["spec"]["predictor"]["canaryTrafficPercent"] = 0
    seen = []
    while promoted.step():
        seen.append(promoted.traffic)
    assert "L:2=0 P:2=100" in seen


def test_d_canary_on_the_first_create(simulation: Simulation) -> None:
    simulation.apply(digits("v1", canaryTrafficPercent=10))
    simulation.become_ready(predictor_revision(1), "digits-transformer-00001")
    assert simulation.traffic == "L:1=10 P:1=90"
    simulation.change(predictor("v2", 10))
    simulation.become_ready(predictor_revision(2))
    assert simulation.traffic == "L:2=10 P:1=90"


def test_e_failing_canary(serving: Simulation) -> None:
    serving.change(predictor("v2", 10))
    serving.fail(predictor_revision(2), "no such model")
    assert serving.traffic == "L:1=10 P:1=90"
    assert latest(serving) == (predictor_revision(2), predictor_revision(1))
    assert serving.condition("PredictorConfigurationReady") == (
        "False",
        "RevisionFailed",
        'Revision "digits-predictor-00002" failed with message: '
        "Container failed with: no such model.",
    )
    assert serving.condition("Ready")[0] == "False"
    assert serving.isvc["status"]["modelStatus"]["states"] == {
        "activeModelState": "Loaded",
        "targetModelState": "FailedToLoad",
    }


def test_f_failing_update_without_canary(serving: Simulation) -> None:
    serving.change(predictor("v2"))
    serving.fail(predictor_revision(2))
    assert serving.traffic == "L:1=100"
    assert serving.condition("Ready")[:2] == ("False", "RevisionFailed")


def test_g_reapplying_the_old_manifest_promotes_the_canary_first(canary: Simulation) -> None:
    canary.change(predictor("v1"))
    assert canary.traffic == "L:2=100"
    assert canary.rollout == (2, 1)
    canary.become_ready(predictor_revision(3))
    assert canary.traffic == "L:3=100"


def test_h_old_template_with_the_canary_kept(canary: Simulation) -> None:
    canary.change(predictor("v1", 10))
    assert canary.traffic == "L:2=10 P:1=90"
    canary.become_ready(predictor_revision(3))
    assert canary.traffic == "L:3=10 P:1=90"


def test_i_percentage_after_promotion_returns_to_the_old_revision(promoted: Simulation) -> None:
    promoted.change(predictor("v2", 30))
    assert promoted.traffic == "L:2=30 P:1=70"


def test_j_percentage_with_only_one_revision(serving: Simulation) -> None:
    serving.change(predictor("v1", 30))
    assert serving.traffic == "L:1=30 P:1=70"


def test_k_tag_routing(serving: Simulation) -> None:
    def tags(isvc: Object) -> None:
        isvc["metadata"].setdefault("annotations", {})["serving.kserve.io/enable-tag-routing"] = (
            "true"
        )
        predictor("v2", 10)(isvc)

    serving.change(tags)
    serving.become_ready(predictor_revision(2), "digits-transformer-00002")
    assert [entry["tag"] for entry in serving.predictor["traffic"]] == ["latest", "prev"]
    assert serving.predictor["traffic"][0]["url"] == (
        "http://latest-digits-predictor.default.localhost:8080"
    )
    serving.change(predictor("v2"))
    assert [entry.get("tag") for entry in serving.predictor["traffic"]] == ["latest"]


@pytest.mark.parametrize(
    ("percent", "complaint"),
    [
        (
            150,
            "expected 0 <= 150 <= 100: spec.traffic[0].percent\n"
            "Traffic targets sum to 150, want 100: spec.traffic",
        ),
        (
            -5,
            "expected 0 <= -5 <= 100: spec.traffic[0].percent\n"
            "expected 0 <= 105 <= 100: spec.traffic[1].percent",
        ),
    ],
)
def test_percentage_out_of_range_is_refused_by_knative(
    serving: Simulation, percent: int, complaint: str
) -> None:
    serving.change(predictor("v1", percent))
    status, reason, message = serving.condition("PredictorReady")
    assert (status, reason) == ("False", "ReconcileFailed")
    assert message == (
        "fails to reconcile predictor: fails to reconcile knative service: admission webhook "
        '"validation.webhook.serving.knative.dev" denied the request: validation failed: '
        + complaint
    )
    assert serving.traffic == "L:1=100"

"""The canary behaviour of KServe in Knative mode, row by row of the measured table.

Each row asserts every state that its change passes through: the split, KServe's four names for a
revision (latest created, latest ready, latest and previous rolled out) and Ready.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from calumma.cluster.objects import Object
from support.simulation import Simulation, State, digits, predictor_revision

R1, R2, R3 = (predictor_revision(number) for number in (1, 2, 3))
TRANSFORMER = "digits-transformer-00001"


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
def stable(serving: Simulation) -> Simulation:
    """Row A1: v1 has everything."""
    serving.passed()
    return serving


@pytest.fixture
def canary(stable: Simulation) -> Simulation:
    """Row A3: v2 is ready and has 10 percent."""
    stable.change(predictor("v2", 10))
    stable.become_ready(R2)
    stable.passed()
    return stable


@pytest.fixture
def promoted(canary: Simulation) -> Simulation:
    """Row A5: v2 has everything."""
    canary.change(predictor("v2"))
    canary.passed()
    return canary


@pytest.fixture
def rolled_back(canary: Simulation) -> Simulation:
    """Row B: v2 has nothing, and stays."""
    canary.change(predictor("v2", 0))
    canary.passed()
    return canary


def conditions(cluster: Simulation) -> list[tuple[str, str, str]]:
    """Type, status and reason of every condition, as they are stored."""
    return [
        (each["type"], each["status"], each.get("reason", ""))
        for each in cluster.isvc["status"]["conditions"]
    ]


ALL_READY = [
    ("IngressReady", "True", ""),
    ("LatestDeploymentReady", "True", ""),
    ("PredictorConfigurationReady", "True", ""),
    ("PredictorReady", "True", ""),
    ("PredictorRouteReady", "True", ""),
    ("Ready", "True", ""),
    ("RoutesReady", "True", ""),
    ("Stopped", "False", ""),
    ("TransformerConfigurationReady", "True", ""),
    ("TransformerReady", "True", ""),
    ("TransformerRouteReady", "True", ""),
]


def but(**changed: tuple[str, str]) -> list[tuple[str, str, str]]:
    """All conditions true but some."""
    return [(kind, *changed.get(kind, (status, why))) for kind, status, why in ALL_READY]


PENDING = but(
    LatestDeploymentReady=("Unknown", "PredictorConfigurationReady not ready"),
    PredictorConfigurationReady=("Unknown", ""),
    PredictorReady=("Unknown", ""),
    Ready=("Unknown", ""),
)
"""A new predictor revision is not ready: IngressReady stays True, KServe's quirk."""

FAILED = but(
    LatestDeploymentReady=("False", "PredictorConfigurationReady not ready"),
    PredictorConfigurationReady=("False", "RevisionFailed"),
    PredictorReady=("False", "RevisionFailed"),
    Ready=("False", "RevisionFailed"),
)


def test_a1_first_revision_takes_everything(simulation: Simulation) -> None:
    simulation.apply(digits())
    assert simulation.passed() == [
        State("", 0, 0, 0, 0, "Unknown"),
        State("", 1, 0, 0, 0, "Unknown"),
    ]
    assert conditions(simulation) == [
        ("IngressReady", "Unknown", "Predictor ingress not created"),
        ("LatestDeploymentReady", "Unknown", "TransformerConfigurationReady not ready"),
        ("PredictorConfigurationReady", "Unknown", ""),
        ("PredictorReady", "Unknown", "RevisionMissing"),
        ("PredictorRouteReady", "Unknown", "RevisionMissing"),
        ("Ready", "Unknown", "Predictor ingress not created"),
        ("RoutesReady", "Unknown", "TransformerRouteReady not ready"),
        ("Stopped", "False", ""),
        ("TransformerConfigurationReady", "Unknown", ""),
        ("TransformerReady", "Unknown", "RevisionMissing"),
        ("TransformerRouteReady", "Unknown", "RevisionMissing"),
    ]
    simulation.become_ready(R1, TRANSFORMER)
    assert simulation.passed() == [
        State("", 1, 1, 0, 0, "Unknown"),
        State("L:1=100", 1, 1, 1, 0, "True"),
    ]
    assert conditions(simulation) == ALL_READY


def test_a2_canary_that_is_not_ready_leaves_all_traffic_on_the_old(stable: Simulation) -> None:
    stable.change(predictor("v2", 10))
    assert stable.passed() == [
        State("L:1=100", 2, 1, 1, 0, "Unknown"),
        State("L:1=10 P:1=90", 2, 1, 1, 0, "Unknown"),
    ]
    assert conditions(stable) == PENDING


def test_a3_ready_canary_takes_its_share(stable: Simulation) -> None:
    stable.change(predictor("v2", 10))
    stable.passed()
    stable.become_ready(R2)
    assert stable.passed() == [
        State("L:1=10 P:1=90", 2, 2, 1, 0, "Unknown"),
        State("L:2=10 P:1=90", 2, 2, 1, 0, "True"),
    ]
    assert conditions(stable) == ALL_READY


def test_a4_weight_alone_makes_no_revision(canary: Simulation) -> None:
    canary.change(predictor("v2", 50))
    assert canary.passed() == [
        State("L:2=10 P:1=90", 2, 2, 1, 0, "Unknown"),
        State("L:2=50 P:1=50", 2, 2, 1, 0, "True"),
    ]
    assert R3 not in canary.revisions


@pytest.mark.parametrize("percent", [None, 100])
def test_a5_promotion(canary: Simulation, percent: int | None) -> None:
    canary.change(predictor("v2", percent))
    assert canary.passed() == [
        State("L:2=10 P:1=90", 2, 2, 1, 0, "Unknown"),
        State("L:2=100", 2, 2, 2, 1, "True"),
    ]
    assert [entry.get("tag") for entry in canary.predictor["traffic"]] == [None]


def test_a6_next_canary(promoted: Simulation) -> None:
    promoted.change(predictor("v3", 20))
    assert promoted.passed() == [
        State("L:2=100", 3, 2, 2, 1, "Unknown"),
        State("L:2=20 P:2=80", 3, 2, 2, 1, "Unknown"),
    ]
    promoted.become_ready(R3)
    assert promoted.passed() == [
        State("L:2=20 P:2=80", 3, 3, 2, 1, "Unknown"),
        State("L:3=20 P:2=80", 3, 3, 2, 1, "True"),
    ]


def test_b_rollback_keeps_the_canary_referenced(canary: Simulation) -> None:
    canary.change(predictor("v2", 0))
    assert canary.passed() == [
        State("L:2=10 P:1=90", 2, 2, 1, 0, "Unknown"),
        State("L:2=0 P:1=100", 2, 2, 1, 0, "True"),
    ]
    assert conditions(canary) == ALL_READY


def test_b2_next_canary_gives_its_share_to_the_one_rolled_back(rolled_back: Simulation) -> None:
    rolled_back.change(predictor("v3", 20))
    assert rolled_back.passed() == [
        State("L:2=0 P:1=100", 3, 2, 1, 0, "Unknown"),
        State("L:2=20 P:1=80", 3, 2, 1, 0, "Unknown"),
    ]
    rolled_back.become_ready(R3)
    assert rolled_back.passed() == [
        State("L:2=20 P:1=80", 3, 3, 1, 0, "Unknown"),
        State("L:3=20 P:1=80", 3, 3, 1, 0, "True"),
    ]


def test_c_rollback_after_promotion(promoted: Simulation) -> None:
    promoted.change(predictor("v2", 0))
    assert promoted.passed() == [
        State("L:2=100", 2, 2, 2, 1, "Unknown"),
        State("L:2=0 P:2=100", 2, 2, 1, 1, "True"),
        State("L:2=0 P:2=100", 2, 2, 1, 1, "Unknown"),
        State("L:2=0 P:1=100", 2, 2, 1, 1, "True"),
    ]
    promoted.change(predictor("v2"))
    assert promoted.passed() == [
        State("L:2=0 P:1=100", 2, 2, 1, 1, "Unknown"),
        State("L:2=100", 2, 2, 2, 1, "True"),
    ]


def test_d_canary_on_the_first_create(simulation: Simulation) -> None:
    simulation.apply(digits("v1", canaryTrafficPercent=10))
    simulation.passed()
    simulation.become_ready(R1, TRANSFORMER)
    assert simulation.passed() == [
        State("", 1, 1, 0, 0, "Unknown"),
        State("L:1=100", 1, 1, 1, 0, "True"),
        State("L:1=100", 1, 1, 1, 0, "Unknown"),
        State("L:1=10 P:1=90", 1, 1, 1, 0, "True"),
    ]
    simulation.change(predictor("v2", 10))
    assert simulation.passed() == [State("L:1=10 P:1=90", 2, 1, 1, 0, "Unknown")]
    simulation.become_ready(R2)
    assert simulation.passed() == [
        State("L:1=10 P:1=90", 2, 2, 1, 0, "Unknown"),
        State("L:2=10 P:1=90", 2, 2, 1, 0, "True"),
    ]


def test_e_failing_canary(stable: Simulation) -> None:
    stable.change(predictor("v2", 10))
    stable.fail(R2, "no such model")
    assert stable.passed() == [
        State("L:1=100", 2, 1, 1, 0, "Unknown"),
        State("L:1=10 P:1=90", 2, 1, 1, 0, "Unknown"),
        State("L:1=10 P:1=90", 2, 1, 1, 0, "False"),
    ]
    assert conditions(stable) == FAILED
    assert stable.condition("PredictorConfigurationReady")[2] == (
        'Revision "digits-predictor-00002" failed with message: '
        "Container failed with: no such model."
    )
    assert stable.isvc["status"]["modelStatus"]["states"] == {
        "activeModelState": "Loaded",
        "targetModelState": "FailedToLoad",
    }


def test_f_failing_update_without_canary(stable: Simulation) -> None:
    stable.change(predictor("v2"))
    stable.fail(R2)
    assert stable.passed() == [
        State("L:1=100", 2, 1, 1, 0, "Unknown"),
        State("L:1=100", 2, 1, 1, 0, "False"),
    ]
    assert conditions(stable) == FAILED


def test_g_reapplying_the_old_manifest_promotes_the_canary_first(canary: Simulation) -> None:
    canary.change(predictor("v1"))
    assert canary.passed() == [
        State("L:2=10 P:1=90", 3, 2, 1, 0, "Unknown"),
        State("L:2=100", 3, 2, 2, 1, "Unknown"),
    ]
    assert conditions(canary) == PENDING
    canary.become_ready(R3)
    assert canary.passed() == [
        State("L:2=100", 3, 3, 2, 1, "Unknown"),
        State("L:3=100", 3, 3, 3, 2, "True"),
    ]


def test_h_old_template_with_the_canary_kept(canary: Simulation) -> None:
    canary.change(predictor("v1", 10))
    assert canary.passed() == [State("L:2=10 P:1=90", 3, 2, 1, 0, "Unknown")]
    canary.become_ready(R3)
    assert canary.passed() == [
        State("L:2=10 P:1=90", 3, 3, 1, 0, "Unknown"),
        State("L:3=10 P:1=90", 3, 3, 1, 0, "True"),
    ]


def test_i_percentage_after_promotion_returns_to_the_old_revision(promoted: Simulation) -> None:
    promoted.change(predictor("v2", 30))
    assert promoted.passed() == [
        State("L:2=100", 2, 2, 2, 1, "Unknown"),
        State("L:2=30 P:2=70", 2, 2, 1, 1, "True"),
        State("L:2=30 P:2=70", 2, 2, 1, 1, "Unknown"),
        State("L:2=30 P:1=70", 2, 2, 1, 1, "True"),
    ]


def test_j_percentage_with_only_one_revision(stable: Simulation) -> None:
    stable.change(predictor("v1", 30))
    assert stable.passed() == [
        State("L:1=100", 1, 1, 1, 0, "Unknown"),
        State("L:1=30 P:1=70", 1, 1, 1, 0, "True"),
    ]


def test_k_tag_routing(stable: Simulation) -> None:
    def tagged(isvc: Object) -> None:
        key = "serving.kserve.io/enable-tag-routing"
        isvc["metadata"].setdefault("annotations", {})[key] = "true"
        predictor("v2", 10)(isvc)

    stable.change(tagged)
    assert "digits-transformer-00002" in stable.revisions
    assert stable.traffic == "L:1=10 P:1=90"
    stable.become_ready(R2, "digits-transformer-00002")
    assert stable.predictor["traffic"] == [
        {
            "latestRevision": True,
            "percent": 10,
            "revisionName": R2,
            "tag": "latest",
            "url": "http://latest-digits-predictor.default.localhost:8080",
        },
        {
            "latestRevision": False,
            "percent": 90,
            "revisionName": R1,
            "tag": "prev",
            "url": "http://prev-digits-predictor.default.localhost:8080",
        },
    ]
    transformer = stable.isvc["status"]["components"]["transformer"]["traffic"]
    assert [entry["url"] for entry in transformer] == [
        "http://latest-digits-transformer.default.localhost:8080"
    ]
    stable.change(predictor("v2"))
    assert [entry.get("tag") for entry in stable.predictor["traffic"]] == ["latest"]


def test_every_entry_has_what_clients_index(canary: Simulation) -> None:
    for component in canary.isvc["status"]["components"].values():
        for entry in component["traffic"]:
            assert {"latestRevision", "percent", "revisionName"} <= set(entry)


def test_components_split_on_their_own(canary: Simulation) -> None:
    def edit(isvc: Object) -> None:
        isvc["spec"]["transformer"]["containers"][0]["image"] = "calumma/digits:2"
        isvc["spec"]["transformer"]["canaryTrafficPercent"] = 25

    canary.change(edit)
    canary.become_ready("digits-transformer-00002")
    assert canary.traffic == "L:2=10 P:1=90"
    transformer = canary.isvc["status"]["components"]["transformer"]["traffic"]
    assert [entry["percent"] for entry in transformer] == [25, 75]


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

"""A rollout's patches in Standard mode, carried out by the real plan for Deployments."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from calumma import errors
from calumma.cluster.objects import Object
from calumma.rollout import names, service
from support.patched import Knative, Standard, uri

STABLE, CANARY = "digits-predictor", "digits-v2-predictor"
PARTS = ("predictor",)


@pytest.fixture
def stable(tmp_path: Path) -> Standard:
    return Standard(tmp_path, minReplicas=2)


@pytest.fixture
def canary(stable: Standard) -> Standard:
    """v2 is ready and has nothing yet."""
    stable.patch(service.begin(stable.isvc, uri("v2"), "v2"))
    stable.ready()
    return stable


def refusal(function: Any, *arguments: Any) -> str:
    with pytest.raises(errors.RolloutError) as caught:
        function(*arguments)
    return str(caught.value)


def promote(rollout: Standard) -> dict[str, object]:
    """Ask for the promotion until it is done; what an undo needs."""
    kept = copy.deepcopy(service.previous(rollout.isvc))
    for _ in range(4):
        if rollout.view.stable == CANARY:
            return kept
        rollout.patch(service.promote(rollout.isvc, PARTS))
        rollout.ready()
    raise AssertionError(rollout.view)


def test_a_stable_service_has_no_canary(stable: Standard) -> None:
    seen = stable.view
    assert (seen.stable, seen.canary, seen.newest, seen.weight) == (STABLE, None, STABLE, 100)
    assert seen.effective == {STABLE: 100}
    assert seen.standard and seen.observed and seen.ready and not seen.canary_ready
    assert "nothing to roll out" in refusal(service.adopt, stable.isvc)
    assert "no canary" in refusal(service.weigh, stable.isvc, PARTS, 5)


def test_a_canary_begins_with_a_pod_and_no_share(stable: Standard) -> None:
    change = service.begin(stable.isvc, uri("v2"), "v2")
    (entry,) = change["spec"]["canary"]
    assert entry["trafficPercent"] == 0
    assert entry["predictor"]["minReplicas"] == 1, "KServe would give it none at 0%"
    stable.patch(change)
    seen = stable.view
    assert (seen.canary, seen.canary_ready, seen.weight) == (CANARY, False, 0)
    stable.ready()
    seen = stable.view
    assert seen.canary_ready and seen.observed
    assert seen.effective == stable.shares | {CANARY: 0} == {STABLE: 100, CANARY: 0}


def test_the_share_grows_and_its_pods_with_it(canary: Standard) -> None:
    template = canary.view.template
    canary.patch(service.weigh(canary.isvc, PARTS, 60))
    assert canary.view.weight == 60
    canary.ready()
    assert canary.shares == canary.view.effective == {STABLE: 40, CANARY: 60}
    assert canary.isvc["spec"]["canary"][0]["predictor"]["minReplicas"] == 2
    assert canary.view.template == template
    assert service.weigh(canary.isvc, PARTS, 60) == {}
    canary.patch(service.weigh(canary.isvc, PARTS, 5))
    assert canary.isvc["spec"]["canary"][0]["predictor"]["minReplicas"] == 2


def test_a_promoted_canary_has_everything_before_the_old_one_may_go(canary: Standard) -> None:
    canary.patch(service.weigh(canary.isvc, PARTS, 10))
    canary.patch(service.promote(canary.isvc, PARTS))
    assert canary.view.weight == 100
    assert canary.view.stable == STABLE
    canary.ready()
    assert canary.shares == {STABLE: 0, CANARY: 100} or canary.shares == {CANARY: 100}
    pods = canary.node.names("Pod")
    canary.patch(service.promote(canary.isvc, PARTS))
    spec = canary.isvc["spec"]
    assert spec["predictor"]["name"] == "v2"
    assert spec["predictor"]["model"]["storageUri"] == uri("v2")
    assert spec["predictor"]["minReplicas"] == 2
    assert "canary" not in spec
    canary.ready()
    assert canary.shares == {CANARY: 100}
    assert canary.node.names("Deployment") == [CANARY]
    kept = [name for name in canary.node.names("Pod") if name in pods]
    assert kept == canary.node.names("Pod"), "no pod of the canary was replaced"
    assert (canary.view.stable, canary.view.canary) == (CANARY, None)


def test_a_promotion_waits_until_the_share_is_in_effect(canary: Standard) -> None:
    canary.patch(service.promote(canary.isvc, PARTS))
    canary.isvc["status"]["canaryStatuses"][0]["trafficPercent"] = 10
    assert service.promote(canary.isvc, PARTS) == {}


def test_a_canary_that_is_not_ready_is_not_promoted(stable: Standard) -> None:
    stable.patch(service.begin(stable.isvc, uri("v2"), "v2"))
    stable.node.crash("digits-v2-predictor", "no such model")
    seen = stable.view
    assert seen.trouble == "no such model"
    assert refusal(service.promote, stable.isvc, PARTS).endswith(
        "is not ready to take all traffic: no such model"
    )
    assert stable.shares == {STABLE: 100}


def test_a_rollback_takes_the_share_first_and_then_the_entry(canary: Standard) -> None:
    canary.patch(service.weigh(canary.isvc, PARTS, 50))
    canary.patch(service.roll_back(canary.isvc, PARTS))
    assert canary.view.weight == 0
    assert canary.isvc["spec"]["canary"]
    canary.ready()
    canary.patch(service.roll_back(canary.isvc, PARTS))
    canary.ready()
    assert "canary" not in canary.isvc["spec"]
    assert canary.node.names("Deployment") == [STABLE]
    assert service.roll_back(canary.isvc, PARTS) == {}
    assert (canary.view.canary, canary.shares) == (None, {STABLE: 100})


def test_an_undo_brings_the_former_predictor_back_behind_the_promoted_one(
    canary: Standard,
) -> None:
    before = copy.deepcopy(canary.isvc["spec"]["predictor"])
    kept = promote(canary)
    assert canary.node.names("Deployment") == [CANARY]
    canary.patch(service.undo(canary.isvc, kept))
    assert canary.node.names("Deployment") == [STABLE, CANARY]
    assert canary.shares == {CANARY: 100}, "the former one is not ready yet"
    assert service.undo(canary.isvc, kept) == {}
    canary.ready()
    assert canary.shares[CANARY] == 100
    for _ in range(3):
        canary.patch(service.undo(canary.isvc, kept))
        canary.ready()
    assert canary.shares == {STABLE: 100}
    assert canary.isvc["spec"]["predictor"] == before
    assert canary.node.names("Deployment") == [STABLE]
    assert service.undo(canary.isvc, kept) == {}


def test_an_undo_is_refused_after_a_later_change(canary: Standard) -> None:
    kept = promote(canary)
    changed = copy.deepcopy(canary.isvc)
    changed["spec"]["predictor"]["model"]["storageUri"] = uri("v4")
    assert "was changed after it" in refusal(service.undo, changed, kept)
    assert "nothing is known" in refusal(service.undo, canary.isvc, {})
    canary.patch(service.begin(canary.isvc, uri("v3"), "v3"))
    assert "the promotion of v2 cannot be undone" in refusal(service.undo, canary.isvc, kept)


def test_what_a_canary_sets_is_promoted_with_it(stable: Standard) -> None:
    """Its own entry's fields are laid over the stable predictor's, as KServe does it."""
    model = {"modelFormat": {"name": "triton"}, "storageUri": uri("v2"), "args": ["--x=1"]}
    entry = {"trafficPercent": 0, "predictor": {"name": "v2", "model": model, "timeout": 9}}
    edited = copy.deepcopy(stable.isvc)
    edited["spec"]["canary"] = [entry]
    stable.node.apply(edited)
    stable.ready()
    assert service.adopt(stable.isvc) == {}
    before = copy.deepcopy(stable.isvc["spec"]["predictor"])
    kept = promote(stable)
    own = stable.isvc["spec"]["predictor"]
    assert (own["timeout"], own["model"]["args"], own["minReplicas"]) == (9, ["--x=1"], 2)
    for _ in range(4):
        stable.patch(service.undo(stable.isvc, kept))
        stable.ready()
    assert stable.isvc["spec"]["predictor"] == before, "what the canary had added is gone"


def test_a_transformer_would_never_ask_the_canary() -> None:
    isvc = Knative().serve().isvc
    isvc["status"]["deploymentMode"] = "Standard"
    assert "the stable predictor only" in refusal(service.begin, isvc, uri("v2"), "v2")
    assert "Use Knative mode" in refusal(service.adopt, isvc)


def with_entries(isvc: Object, *entries: tuple[str, int]) -> Object:
    canary = [
        {"trafficPercent": percent, "predictor": {"name": name, "model": {"storageUri": uri(name)}}}
        for name, percent in entries
    ]
    return {**isvc, "spec": {**isvc["spec"], "canary": canary}}


def test_a_rollout_has_one_canary(stable: Standard) -> None:
    two = with_entries(stable.isvc, ("a", 10), ("b", 0))
    for function in (service.adopt, lambda isvc: service.weigh(isvc, PARTS, 5)):
        assert "has the canaries a, b" in refusal(function, two)
    assert "2 canaries" in service.view(two).trouble
    assert "a has 10%" in refusal(service.begin, two, uri("v2"), "v2")


def test_a_model_that_was_rolled_back_is_tried_again_or_replaced(stable: Standard) -> None:
    one = with_entries(stable.isvc, ("v2", 0))
    assert service.begin(one, uri("v2"), "v2") == {}
    change = service.begin(one, uri("v3"), "v3")
    assert [each["predictor"]["name"] for each in change["spec"]["canary"]] == ["v3"]


@pytest.mark.parametrize(
    ("predictor", "sentence"),
    [
        ({"model": {"storageUri": uri("v2")}}, "serves pvc://models/digits/v2 already"),
        ({"containers": []}, "start without --to"),
        (
            {"model": {"storageUri": uri("v1"), "modelFormat": {}}, "minReplicas": 0},
            "set minReplicas to at least 1",
        ),
    ],
)
def test_what_cannot_begin(stable: Standard, predictor: Object, sentence: str) -> None:
    isvc = {**stable.isvc, "spec": {"predictor": predictor}}
    assert sentence in refusal(service.begin, isvc, uri("v2"), "v2")


@pytest.mark.parametrize(
    ("to", "name"),
    [
        ("pvc://models/digits/v2", "v2"),
        ("s3://bucket/Model_2.1/", "model-2-1"),
        ("pvc://models/digits/" + "x" * 60, "c3da11e7"),
        ("pvc://models/digits/now", "c"),
    ],
)
def test_a_canary_is_named_after_its_model(to: str, name: str) -> None:
    isvc = {"metadata": {"name": "digits"}, "spec": {"predictor": {"name": "now"}}}
    found = service.canary_name(isvc, to)
    assert found == name or (found.startswith("c") and len(found) == 8)


def test_a_change_of_the_predictor_itself_is_past_the_policy(stable: Standard) -> None:
    annotations = {**stable.isvc["metadata"]["annotations"], names.POLICY: "careful"}
    stable.isvc["metadata"]["annotations"] = annotations
    before = stable.view
    edited = copy.deepcopy(stable.isvc)
    edited["spec"]["predictor"]["model"]["storageUri"] = uri("v2")
    stable.node.apply(edited)
    text = service.bypass(before, stable.view)
    assert text is not None and "spec.canary with trafficPercent: 0" in text
    assert service.bypass(None, stable.view) is None
    before = stable.view
    stable.patch(service.begin(stable.isvc, uri("v3"), "v3"))
    assert service.bypass(before, stable.view) is None

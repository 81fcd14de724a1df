"""Every row of KServe's canary table, driven by the patches of a rollout.

The controllers' own decisions run; ``L`` is the latest revision's share, ``P`` the previous one's.
"""

from __future__ import annotations

from typing import Any

import pytest

from calumma import errors
from calumma.rollout import names, service
from support.patched import Knative, uri
from support.simulation import predictor_revision

R1, R2, R3 = (predictor_revision(number) for number in (1, 2, 3))
TRANSFORMER = "digits-transformer-00002"
BOTH = ("predictor", "transformer")


@pytest.fixture
def stable() -> Knative:
    return Knative().serve()


@pytest.fixture
def canary(stable: Knative) -> Knative:
    """v2 is ready and has nothing yet."""
    stable.patch(service.begin(stable.isvc, uri("v2"), "v2"))
    stable.ready(2)
    stable.cluster.passed()
    return stable


@pytest.fixture
def promoted(canary: Knative) -> Knative:
    """v2 was promoted; what an undo needs is in ``before``."""
    canary.patch(service.promote(canary.isvc, canary.view.components))
    return canary


def refusal(function: Any, *arguments: Any, **named: Any) -> str:
    with pytest.raises(errors.RolloutError) as caught:
        function(*arguments, **named)
    return str(caught.value)


def test_a1_a_stable_service_has_no_canary(stable: Knative) -> None:
    seen = stable.view
    assert (seen.stable, seen.canary, seen.newest) == (R1, None, R1)
    assert (seen.weight, seen.effective, seen.components) == (100, {R1: 100}, ("predictor",))
    assert seen.observed and seen.ready and not seen.canary_ready and not seen.standard
    assert (seen.trouble, seen.policy) == ("", None)


def test_a2_a_canary_begins_with_nothing_and_is_awaited(stable: Knative) -> None:
    change = service.begin(stable.isvc, uri("v2"), "v2")
    assert change["spec"] == {
        "predictor": {"canaryTrafficPercent": 0, "model": {"storageUri": uri("v2")}}
    }
    before = stable.view.template
    assert set(stable.patch(change)) == {"L:1=100", "L:1=0 P:1=100"}
    seen = stable.view
    assert (seen.stable, seen.canary, seen.weight) == (R1, R2, 0)
    assert seen.effective == {R1: 100}
    assert not seen.canary_ready and not seen.ready
    assert seen.template != before


def test_a3_to_a5_the_share_grows_until_the_promotion(canary: Knative) -> None:
    template, seen = canary.view.template, canary.view
    assert seen.canary_ready and seen.observed and seen.effective == {R2: 0, R1: 100}
    for weight in (10, 50):
        change = service.weigh(canary.isvc, ("predictor",), weight)
        assert canary.patch(change)[-1] == f"L:2={weight} P:1={100 - weight}"
        assert canary.view.effective == {R2: weight, R1: 100 - weight}
        assert canary.view.weight == weight
    assert service.weigh(canary.isvc, ("predictor",), 50) == {}
    kept = service.previous(canary.isvc)
    assert canary.patch(service.promote(canary.isvc, ("predictor",)))[-1] == "L:2=100"
    assert (canary.view.stable, canary.view.canary, canary.view.weight) == (R2, None, 100)
    assert kept == {"predictor": {"revision": R2, "former": R1}}
    assert canary.view.template == template
    assert R3 not in canary.cluster.revisions


def test_a_share_is_observed_only_when_the_status_shows_it(canary: Knative) -> None:
    canary.isvc["spec"]["predictor"]["canaryTrafficPercent"] = 10
    assert (canary.view.weight, canary.view.observed) == (10, False)
    canary.cluster.settle()
    assert canary.view.observed


def test_a6_the_next_rollout_begins_from_the_promoted_one(promoted: Knative) -> None:
    states = promoted.patch(service.begin(promoted.isvc, uri("v3"), "v3"))
    assert set(states) == {"L:2=100", "L:2=0 P:2=100"}
    promoted.ready(3)
    assert promoted.view.effective == {R3: 0, R2: 100}
    assert promoted.view.stable == R2


def test_b_a_rollback_leaves_the_canary_without_traffic(canary: Knative) -> None:
    canary.patch(service.weigh(canary.isvc, ("predictor",), 10))
    assert canary.patch(service.roll_back(canary.isvc, ("predictor",)))[-1] == "L:2=0 P:1=100"
    assert (canary.view.stable, canary.view.canary, canary.view.weight) == (R1, R2, 0)
    assert service.roll_back(canary.isvc, ("predictor",)) == {}


def test_b2_a_new_rollout_gives_a_revision_that_was_rolled_back_nothing(canary: Knative) -> None:
    former = canary.view.newest
    states = canary.patch(service.begin(canary.isvc, uri("v3"), "v3"))
    assert not any("L:2" in state and "L:2=0" not in state for state in states)
    assert refusal(service.weigh, canary.isvc, ("predictor",), 20) == (
        f"{R3}, the canary of the InferenceService digits in namespace default, is not ready; 20% "
        f"would go to {R2}, the latest revision that is (kserve/kserve#2130)"
    )
    assert R2 in refusal(service.promote, canary.isvc, ("predictor",))
    canary.ready(3)
    assert canary.patch(service.weigh(canary.isvc, ("predictor",), 20))[-1] == "L:3=20 P:1=80"
    assert former == R2


def test_b2_a_status_that_still_names_the_old_canary_is_not_taken_for_the_new_one(
    canary: Knative,
) -> None:
    """KServe's status does not say of which generation it is."""
    seen = service.view(canary.isvc, former=R2)
    assert (seen.canary, seen.canary_ready, seen.newest) == (None, False, R2)
    canary.patch(service.begin(canary.isvc, uri("v3"), "v3"))
    assert service.view(canary.isvc, former=R2).canary == R3


def test_a_model_that_was_rolled_back_can_be_tried_again(canary: Knative) -> None:
    assert service.begin(canary.isvc, uri("v2"), "v2") == {}
    assert canary.view.canary == R2


def test_c_an_undo_returns_to_the_former_revision(canary: Knative) -> None:
    kept = service.previous(canary.isvc)
    canary.patch(service.promote(canary.isvc, ("predictor",)))
    assert canary.patch(service.undo(canary.isvc, kept))[-1] == "L:2=0 P:1=100"
    assert (canary.view.stable, canary.view.effective) == (R1, {R2: 0, R1: 100})
    assert service.undo(canary.isvc, kept) == {}
    canary.patch(service.begin(canary.isvc, uri("v3"), "v3"))
    canary.ready(3)
    assert canary.view.effective == {R3: 0, R1: 100}


def test_c_an_undo_without_what_was_kept_rests_on_kserves_own_names(promoted: Knative) -> None:
    assert promoted.patch(service.undo(promoted.isvc, {}))[-1] == "L:2=0 P:1=100"
    assert service.undo(promoted.isvc, {}) == {}


def test_c_an_undo_is_refused_when_something_came_later(canary: Knative) -> None:
    kept = service.previous(canary.isvc)
    assert "to no revision" in refusal(service.undo, Knative().serve().isvc, {})
    canary.patch(service.promote(canary.isvc, ("predictor",)))
    canary.person("v3", 0)
    assert refusal(service.undo, canary.isvc, kept) == (
        f"the promotion of {R2} cannot be undone: {R3} came after it. Roll out the former model "
        "again with --to"
    )
    canary.ready(3)
    assert R3 in refusal(service.undo, canary.isvc, kept)
    canary.person("v3")
    assert R3 in refusal(service.undo, canary.isvc, kept)


def test_c_an_undo_is_refused_where_kserve_would_return_to_another_revision(
    promoted: Knative,
) -> None:
    kept = {"predictor": {"revision": R2, "former": "digits-predictor-00007"}}
    assert f"would return to {R1}, not to digits-predictor-00007" in refusal(
        service.undo, promoted.isvc, kept
    )


def test_d_a_service_with_one_revision_has_nothing_to_roll_out(stable: Knative) -> None:
    assert "nothing to roll out: digits-predictor-00001 is the newest" in refusal(
        service.adopt, stable.isvc
    )
    fresh = Knative()
    assert "no revision yet that served all traffic" in refusal(
        service.begin, fresh.isvc, uri("v2"), "v2"
    )
    assert "no revision yet" in refusal(service.adopt, fresh.isvc)
    assert (fresh.view.stable, fresh.view.canary, fresh.view.ready) == (None, None, False)
    fresh.cluster.isvc["status"] = {}
    assert (fresh.view.newest, fresh.view.observed, fresh.view.effective) == (None, False, {})


def test_d_a_share_from_the_first_day_gives_no_revision_less(stable: Knative) -> None:
    stable.person("v1", 10)
    assert stable.view.effective == {R1: 100}
    assert stable.view.canary is None
    stable.patch(service.begin(stable.isvc, uri("v2"), "v2"))
    stable.ready(2)
    assert stable.view.effective == {R2: 0, R1: 100}


def test_e_a_canary_that_fails_says_why_in_the_clusters_words(stable: Knative) -> None:
    stable.patch(service.begin(stable.isvc, uri("v2"), "v2"))
    stable.cluster.fail(R2, "no such model")
    seen = stable.view
    assert not seen.canary_ready
    assert seen.trouble == (
        f'Revision "{R2}" failed with message: Container failed with: no such model.'
    )
    assert seen.effective == {R1: 100}
    assert service.roll_back(stable.isvc, seen.components) == {}
    assert R1 in refusal(service.promote, stable.isvc, seen.components)


def test_f_an_update_that_is_not_held_back_is_no_canary(stable: Knative) -> None:
    stable.person("v2")
    stable.cluster.fail(R2)
    assert (stable.view.weight, stable.view.canary) == (100, R2)
    text = refusal(service.adopt, stable.isvc)
    assert text.startswith(f"{R2}, the new revision of the InferenceService digits")
    assert "canaryTrafficPercent: 0" in text
    assert "has nothing to roll out" not in text
    stable.patch(service.begin(stable.isvc, uri("v3"), "v3"))
    stable.ready(3)
    assert stable.view.effective == {R3: 0, R1: 100}


@pytest.mark.parametrize("weight", [0, 10])
def test_g_no_rollback_applies_a_manifest(canary: Knative, weight: int) -> None:
    """Row G would give the bad canary everything until the old template is ready again."""
    canary.patch(service.weigh(canary.isvc, ("predictor",), weight))
    change = service.roll_back(canary.isvc, ("predictor",))
    assert change.get("spec", {}).keys() <= {"predictor"}
    assert change.get("spec", {}).get("predictor", {}).keys() <= {"canaryTrafficPercent"}
    assert all("L:2=100" not in state for state in canary.patch(change))


def test_h_a_new_template_under_a_canary_is_seen(canary: Knative) -> None:
    canary.patch(service.weigh(canary.isvc, ("predictor",), 10))
    before = canary.view
    canary.person("v1", 10)
    assert canary.view.template != before.template
    assert (canary.view.canary, canary.view.canary_ready) == (R3, False)
    assert R2 in refusal(service.weigh, canary.isvc, ("predictor",), 20)
    assert canary.patch(service.roll_back(canary.isvc, ("predictor",)))[-1] == "L:2=0 P:1=100"


@pytest.mark.parametrize("weight", [0, 30])
def test_i_a_promoted_revision_is_no_canary_again(promoted: Knative, weight: int) -> None:
    change = service.weigh if weight else lambda *given: service.roll_back(*given[:2])
    assert refusal(change, promoted.isvc, ("predictor",), weight).endswith(
        f"{R2} is rolled out and the newest; it would return traffic to {R1}"
    )


def test_i_the_same_model_again_would_return_to_the_former_one(promoted: Knative) -> None:
    assert "serves pvc://models/digits/v2 already" in refusal(
        service.begin, promoted.isvc, uri("v2"), "v2"
    )


def test_j_the_only_revision_is_no_canary(stable: Knative) -> None:
    assert "no canary that could get 30%" in refusal(service.weigh, stable.isvc, ("predictor",), 30)


def test_k_pairs_get_hosts_and_the_transformer_no_new_revision(stable: Knative) -> None:
    stable.patch(service.begin(stable.isvc, uri("v2"), "v2", pairs=True))
    stable.ready(2)
    assert [
        (each["tag"], each["revisionName"], each["percent"])
        for each in stable.cluster.predictor["traffic"]
    ] == [("latest", R2, 0), ("prev", R1, 100)]
    assert TRANSFORMER not in stable.cluster.revisions
    assert stable.view.components == ("predictor",)
    stable.patch(service.weigh(stable.isvc, ("predictor",), 20))
    stable.patch(service.promote(stable.isvc, ("predictor",)))
    change = service.begin(stable.isvc, uri("v3"), "v3", pairs=True)
    assert "annotations" not in change["spec"]["predictor"]


def test_k_a_host_that_would_be_too_long_is_refused() -> None:
    name = "d" * 47
    long = Knative(transformer=False, name=name).serve()
    text = refusal(service.begin, long.isvc, uri("v2"), "v2", pairs=True)
    assert f"latest-{name}-predictor, 64 characters" in text
    assert service.begin(long.isvc, uri("v2"), "v2")


def test_a_long_name_is_never_made_up() -> None:
    name = "d" * 50
    long = Knative(transformer=False, name=name).serve()
    long.patch(service.begin(long.isvc, uri("v2"), "v2"))
    assert long.view.canary in long.cluster.revisions
    assert len(str(long.view.canary)) <= 63


def test_a_running_canary_is_not_replaced(canary: Knative) -> None:
    canary.patch(service.weigh(canary.isvc, ("predictor",), 10))
    assert f"{R2} has 10% beside {R1}" in refusal(service.begin, canary.isvc, uri("v3"), "v3")


def test_a_predictor_without_a_storage_uri_is_rolled_out_by_its_manifest(stable: Knative) -> None:
    del stable.isvc["spec"]["predictor"]["model"]["storageUri"]
    assert "start without --to" in refusal(service.begin, stable.isvc, uri("v2"), "v2")


def test_what_a_person_applied_is_taken_up(stable: Knative) -> None:
    stable.person("v2", 0)
    assert service.adopt(stable.isvc) == {}
    stable.ready(2)
    change = service.adopt(stable.isvc, pairs=True)
    assert change["spec"]["predictor"]["canaryTrafficPercent"] == 0
    stable.patch(change)
    stable.ready(3)
    assert stable.view.canary == R3
    assert service.adopt(stable.isvc, pairs=True) == {}
    stable.patch(service.weigh(stable.isvc, ("predictor",), 5))
    assert service.adopt(stable.isvc) == {}


def test_a_share_stands_in_the_way_of_the_annotation(stable: Knative) -> None:
    stable.person("v2", 5)
    stable.ready(2)
    assert "set canaryTrafficPercent to 0 first" in refusal(service.adopt, stable.isvc, pairs=True)


class TestPairs:
    """Both components have a new revision."""

    @pytest.fixture
    def pair(self, stable: Knative) -> Knative:
        edited = stable.isvc["spec"]
        stable.cluster.change(
            lambda isvc: isvc["spec"].update(
                predictor={
                    **edited["predictor"],
                    "model": {**edited["predictor"]["model"], "storageUri": uri("v2")},
                    "canaryTrafficPercent": 0,
                },
                transformer={
                    "containers": [{"name": "main", "image": "calumma/digits:2"}],
                    "canaryTrafficPercent": 0,
                },
            )
        )
        return stable

    def test_they_are_ready_weighed_promoted_and_undone_together(self, pair: Knative) -> None:
        pair.ready(2)
        assert (pair.view.components, pair.view.canary_ready) == (BOTH, False)
        assert "the canary" in refusal(service.weigh, pair.isvc, BOTH, 10)
        pair.ready(2, "transformer")
        assert pair.view.canary_ready
        pair.patch(service.weigh(pair.isvc, BOTH, 10))
        assert self.shares(pair) == [[10, 90], [10, 90]]
        kept = service.previous(pair.isvc)
        assert kept.keys() == set(BOTH)
        pair.patch(service.promote(pair.isvc, BOTH))
        assert self.shares(pair) == [[100], [100]]
        pair.patch(service.undo(pair.isvc, kept))
        assert self.shares(pair) == [[0, 100], [0, 100]]
        parts = pair.isvc["status"]["components"]
        assert [parts[each]["latestRolledoutRevision"][-1] for each in BOTH] == ["1", "1"]
        assert service.undo(pair.isvc, kept) == {}

    def test_they_are_rolled_back_together(self, pair: Knative) -> None:
        pair.ready(2)
        pair.ready(2, "transformer")
        pair.patch(service.weigh(pair.isvc, BOTH, 10))
        pair.patch(service.roll_back(pair.isvc, BOTH))
        assert self.shares(pair) == [[0, 100], [0, 100]]

    def test_a_transformers_failure_is_the_canarys(self, pair: Knative) -> None:
        pair.ready(2)
        pair.cluster.fail(TRANSFORMER, "no module")
        assert "no module" in pair.view.trouble

    def test_a_transformer_that_was_rolled_back_is_not_taken_along(self, pair: Knative) -> None:
        text = refusal(service.begin, pair.isvc, uri("v3"), "v3")
        assert text.startswith("the transformer of the InferenceService digits")

    def test_a_transformer_that_is_not_held_back_is_no_canary(self, stable: Knative) -> None:
        def edit(isvc: Any) -> None:
            isvc["spec"]["transformer"]["containers"][0]["image"] = "calumma/digits:2"

        stable.cluster.change(edit)
        assert stable.view.components == ("predictor",)
        assert "only its transformer has a new revision" in refusal(service.adopt, stable.isvc)

    @staticmethod
    def shares(of: Knative) -> list[list[int]]:
        parts = of.isvc["status"]["components"]
        return [[each["percent"] for each in parts[name]["traffic"]] for name in BOTH]


def test_a_change_past_the_policy_is_told(stable: Knative) -> None:
    before = stable.view
    assert service.bypass(before, stable.view) is None
    stable.person("v2")
    assert service.bypass(before, stable.view) is None, "no policy is attached"
    stable.isvc["metadata"]["annotations"] = {names.POLICY: "careful"}
    attached = stable.view
    assert attached.policy == "careful"
    assert service.bypass(before, attached) is None, "the annotation has made the revision"
    text = service.bypass(None, attached)
    assert text is not None and "canaryTrafficPercent: 0" in text and "careful" in text
    stable.ready(2)
    stable.ready(3)
    settled = stable.view
    assert service.bypass(settled, settled) is None
    stable.person("v3")
    assert service.bypass(settled, stable.view) == text
    stable.person("v4", 0)
    assert service.bypass(settled, stable.view) is None


def test_the_digest_is_of_what_makes_a_revision(stable: Knative) -> None:
    template = stable.view.template

    def after(**changes: Any) -> str:
        isvc = {**stable.isvc, **changes}
        return service.view(isvc).template

    metadata, spec = stable.isvc["metadata"], stable.isvc["spec"]
    kept = {"kubectl.kubernetes.io/last-applied-configuration": "{}"}
    assert after(metadata={**metadata, "annotations": kept}) == template
    share = {**spec["predictor"], "canaryTrafficPercent": 5}
    assert after(spec={**spec, "predictor": share}) == template
    assert after(metadata={**metadata, "annotations": {"team": "a"}}) != template
    assert after(metadata={**metadata, "labels": {"team": "a"}}) != template
    scaled = {**spec["predictor"], "minReplicas": 2}
    assert after(spec={**spec, "predictor": scaled}) != template

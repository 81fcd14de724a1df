"""Deployments and ReplicaSets: what is made of a template, and what is reported of it."""

from __future__ import annotations

import copy

import pytest

from calumma.cluster import conditions
from calumma.cluster.apps import deployment, replicaset
from calumma.cluster.objects import Object

NOW, LATER, TOO_LATE = (
    "2026-01-01T00:00:00Z",
    "2026-01-01T00:05:00Z",
    "2026-01-01T00:10:01Z",
)


def made(image: str = "a", replicas: int = 1, **spec: object) -> Object:
    """A Deployment as it is stored, without a status."""
    labels = {"app": "isvc.digits-predictor"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "digits-predictor",
            "namespace": "default",
            "uid": "u",
            "generation": 1,
        },
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels, "annotations": {"a": "b"}},
                "spec": {"containers": [{"name": "kserve-container", "image": image}]},
            },
            **spec,
        },
    }


def scaled(replica_set: Object, ready: int, pods: int | None = None) -> deployment.Owned:
    """A ReplicaSet whose pods are all there, some of them ready."""
    wanted = replicaset.wanted(replica_set)
    status = replicaset.status(replica_set, wanted, ready)
    return deployment.Owned({**replica_set, "status": status}, wanted if pods is None else pods)


def condition(status: Object, kind: str) -> tuple[str, str, str]:
    found = conditions.find(status["conditions"], kind)
    assert found is not None
    return found["status"], found["reason"], found["message"]


def test_a_replica_set_is_named_after_its_template() -> None:
    first = replicaset.make(made(), 1, 1)
    again = replicaset.make(made(replicas=3), 2, 5)
    other = replicaset.make(made("b"), 1, 1)
    assert first["metadata"]["name"] == again["metadata"]["name"]
    assert first["metadata"]["name"] != other["metadata"]["name"]
    name, _, tag = first["metadata"]["name"].rpartition("-")
    assert name == "digits-predictor"
    assert len(tag) == 10
    assert set(tag) <= set(replicaset.LETTERS)
    assert first["spec"]["selector"]["matchLabels"]["pod-template-hash"] == tag
    assert replicaset.has_template(first, made()["spec"]["template"])
    assert not replicaset.has_template(first, made("b")["spec"]["template"])


def test_pods_are_made_from_the_template_under_the_replica_sets_identity() -> None:
    stored = replicaset.make(made(), 1, 1)
    stored["metadata"]["uid"] = "rs"
    revision = replicaset.revision(stored)
    assert revision["metadata"]["uid"] == "rs"
    assert revision["metadata"]["annotations"] == {"a": "b"}
    assert revision["metadata"]["ownerReferences"][0]["name"] == "digits-predictor"
    assert revision["spec"] == made()["spec"]["template"]["spec"]


@pytest.mark.parametrize(
    ("count", "present", "expected"),
    [
        (2, {}, [0, 1]),
        (1, {0: True, 1: True}, [0]),
        (1, {0: False, 1: True}, [1]),
        (3, {1: True, 4: False}, [0, 1, 4]),
        (0, {0: True}, []),
        (2, {0: False, 1: True, 2: True}, [1, 2]),
    ],
)
def test_the_pods_that_stay_are_those_that_are_ready(
    count: int, present: dict[int, bool], expected: list[int]
) -> None:
    assert replicaset.members(count, present) == expected


def test_a_new_deployment_makes_a_replica_set_and_then_reports_its_pods() -> None:
    stored = made()
    first = deployment.decide(stored, [], NOW)
    (created,) = first.create
    assert replicaset.wanted(created) == 1
    text = f'Created new replica set "{created["metadata"]["name"]}"'
    assert condition(first.status, "Progressing") == ("True", "NewReplicaSetCreated", text)
    assert condition(first.status, "Available") == (
        "False",
        "MinimumReplicasUnavailable",
        "Deployment does not have minimum availability.",
    )
    stored["status"] = first.status
    coming = deployment.decide(stored, [scaled(created, 0)], NOW)
    assert coming.create == coming.update == coming.delete == []
    assert condition(coming.status, "Progressing")[1] == "ReplicaSetUpdated"
    assert "availableReplicas" not in coming.status
    stored["status"] = coming.status
    ready = deployment.decide(stored, [scaled(created, 1)], LATER)
    name = created["metadata"]["name"]
    assert condition(ready.status, "Progressing") == (
        "True",
        "NewReplicaSetAvailable",
        f'ReplicaSet "{name}" has successfully progressed.',
    )
    assert condition(ready.status, "Available")[:2] == ("True", "MinimumReplicasAvailable")
    counts = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
    assert [ready.status[each] for each in counts] == [1, 1, 1, 1]
    stored["status"] = ready.status
    assert deployment.is_complete(stored)
    assert deployment.decide(stored, [scaled(created, 1)], TOO_LATE).status == ready.status


def test_an_update_that_comes_to_a_standstill_runs_out_of_time() -> None:
    old = replicaset.make(made(), 1, 1)
    new = replicaset.make(made("broken"), 1, 2)
    stored = made("broken")
    stored["status"] = deployment.decide(stored, [scaled(old, 1)], NOW).status
    owned = [scaled(old, 1), scaled(new, 0)]
    stored["status"] = deployment.decide(stored, owned, NOW).status
    assert deployment.decide(stored, owned, LATER).status == stored["status"]
    assert not deployment.is_settled(stored)
    stored["status"] = deployment.decide(stored, owned, TOO_LATE).status
    assert condition(stored["status"], "Progressing") == (
        "False",
        "ProgressDeadlineExceeded",
        f'ReplicaSet "{new["metadata"]["name"]}" has timed out progressing.',
    )
    assert deployment.is_settled(stored)
    assert not deployment.is_complete(stored)
    assert condition(stored["status"], "Available")[0] == "True"
    assert deployment.available(stored) == 1


def test_an_update_that_is_taken_back_finds_its_replica_set_again() -> None:
    old, new = replicaset.make(made(), 1, 1), replicaset.make(made("b"), 1, 2)
    decided = deployment.decide(made(), [scaled(old, 1), scaled(new, 0)], NOW)
    assert decided.create == []
    numbers = {each["metadata"]["name"]: replicaset.number(each) for each in decided.update}
    assert numbers[old["metadata"]["name"]] == 3
    counts = {each["metadata"]["name"]: replicaset.wanted(each) for each in decided.update}
    assert counts[new["metadata"]["name"]] == 0
    assert decided.number == 3


def test_recreate_waits_for_the_last_old_pod() -> None:
    plan = {"type": "Recreate"}
    old = replicaset.make(made(strategy=plan), 1, 1)
    stored = made("b", strategy=plan)
    first = deployment.decide(stored, [scaled(old, 1)], NOW)
    assert first.create == []
    (emptied,) = first.update
    assert replicaset.wanted(emptied) == 0
    assert deployment.decide(stored, [scaled(emptied, 0, pods=1)], NOW).create == []
    (created,) = deployment.decide(stored, [scaled(emptied, 0, pods=0)], NOW).create
    assert replicaset.wanted(created) == 1


def test_only_so_many_empty_replica_sets_are_kept() -> None:
    history = [replicaset.make(made(str(number)), 0, number) for number in range(1, 14)]
    current = replicaset.make(made("now"), 1, 14)
    owned = [scaled(copy.deepcopy(each), 0) for each in history]
    decided = deployment.decide(made("now"), [*owned, scaled(current, 1)], NOW)
    assert [replicaset.number(each) for each in decided.delete] == [1, 2, 3]


def test_a_status_about_an_earlier_spec_is_not_complete() -> None:
    current = replicaset.make(made(), 1, 1)
    stored = made()
    stored["status"] = deployment.decide(stored, [scaled(current, 1)], NOW).status
    assert deployment.is_complete(stored)
    stored["metadata"]["generation"] = 2
    assert not deployment.is_settled(stored)

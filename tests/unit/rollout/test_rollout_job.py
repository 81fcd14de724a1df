"""A rollout's Job, judged by the schemas of the installed Kubernetes client."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from calumma.cluster.api import names
from calumma.evaluation import document
from calumma.rollout import job
from calumma.rollout import names as rollout_names
from calumma.rollout.policy import Policy
from support import manifests
from support.rollouts import policy

MODELS = {
    "ServiceAccount": "V1ServiceAccount",
    "Role": "V1Role",
    "RoleBinding": "V1RoleBinding",
    "ConfigMap": "V1ConfigMap",
    "PersistentVolumeClaim": "V1PersistentVolumeClaim",
    "Job": "V1Job",
}
TO = "pvc://models/digits/v2"
GATES = [
    {"webhook": {"environment": "GATE"}},
    {"webhook": {"file": "/secrets/gate"}},
    {"person": "Is it the right model?"},
]
FULL = policy(
    service="s" * 63,
    namespace="team",
    project="/home/somebody",
    steps=[{"weight": 10, "gates": GATES}],
    notify={"webhook": {"environment": "ALERTS"}},
)


@pytest.fixture(scope="module")
def schemas(tmp_path_factory: pytest.TempPathFactory) -> manifests.Schemas:
    return manifests.Schemas(tmp_path_factory.mktemp("schemas"), MODELS)


def rendered(asked: Policy = FULL, to: str | None = TO, **named: Any) -> dict[str, dict[str, Any]]:
    """What a person would apply, by kind, after it was text."""
    text = job.text(job.objects(asked, to, **named))
    return {each["kind"]: each for each in yaml.safe_load_all(text)}


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize(
    ("asked", "to", "named"),
    [(FULL, TO, {"image": "i", "storage": "2Gi", "storage_class": "fast"}), (policy(), None, {})],
    ids=["everything", "the least"],
)
def test_it_passes_strict_validation(
    schemas: manifests.Schemas, kind: str, asked: Policy, to: str | None, named: dict[str, str]
) -> None:
    found = rendered(asked, to, **named)[kind]
    assert schemas.objections(found) == []
    assert found["metadata"]["namespace"] == asked.namespace
    assert names.dns_subdomain(found["metadata"]["name"]) == []
    assert len(found["metadata"]["name"]) <= 63, "a Job's pods have its name as a label"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("spec.backoffLimit", "20"),
        ("spec.template.spec.restart", "Never"),
        ("spec.template.spec.initContainers", {"name": "begin"}),
        ("spec.template", None),
    ],
)
def test_the_validation_would_notice(schemas: manifests.Schemas, path: str, value: Any) -> None:
    found = rendered()["Job"]
    *folders, field = path.split(".")
    inner = found
    for each in folders:
        inner = inner[each]
    inner[field] = value
    if value is None:
        del inner[field]
    assert schemas.objections(found) != []


def test_it_carries_out_this_one_service_and_begins_it_where_asked() -> None:
    pod = rendered()["Job"]["spec"]["template"]["spec"]
    (driver,), (begin,) = pod["containers"], pod["initContainers"]
    words = f"python -m calumma.rollout --service {'s' * 63} --namespace team --once-ended"
    assert driver["command"] == words.split()
    path = begin["volumeMounts"][1]["mountPath"]
    assert begin["command"] == ["calumma", "rollout", "start", path, "--to", TO]
    assert "initContainers" not in rendered(to=None)["Job"]["spec"]["template"]["spec"]
    assert pod["restartPolicy"] == "OnFailure", "the next process goes on where one was killed"


def test_the_policy_is_the_same_there() -> None:
    found = rendered()["ConfigMap"]["data"]["policy.yaml"]
    there = document.parse(found, Policy, "the rendered policy")
    assert there == FULL.model_copy(update={"project": "/app"})


def test_everything_refers_to_what_is_there() -> None:
    found = rendered()
    pod = found["Job"]["spec"]["template"]["spec"]
    name = job.name_of(FULL.service)
    assert {each["metadata"]["name"] for each in found.values()} == {name}
    volumes = {each["name"]: each for each in pod["volumes"]}
    assert volumes["runs"]["persistentVolumeClaim"]["claimName"] == name
    assert volumes["policy"]["configMap"]["name"] == name
    for container in (*pod["containers"], *pod["initContainers"]):
        assert {each["name"] for each in container["volumeMounts"]} == set(volumes)
    assert found["RoleBinding"]["roleRef"]["name"] == found["Role"]["metadata"]["name"]
    assert found["RoleBinding"]["subjects"] == [
        {"kind": "ServiceAccount", "name": pod["serviceAccountName"], "namespace": "team"}
    ]


def test_it_may_do_as_little_as_possible() -> None:
    rules = rendered()["Role"]["rules"]
    rights = {
        (each["resources"][0], *each.get("resourceNames", ["(any)"])): each["verbs"]
        for each in rules
    }
    assert rights == {
        ("inferenceservices", "s" * 63): ["get", "patch"],
        ("configmaps", rollout_names.config_map("s" * 63)): ["get", "update", "patch"],
        ("configmaps", job.name_of("s" * 63)): ["get"],
        ("configmaps", "(any)"): ["create"],
        ("events", "(any)"): ["create", "get", "patch"],
    }
    assert rendered()["Role"]["kind"] == "Role", "its own namespace only"


def test_secrets_are_named_and_never_rendered() -> None:
    found = rendered()
    (driver,) = found["Job"]["spec"]["template"]["spec"]["containers"]
    name = job.name_of(FULL.service)
    assert driver["env"][1:] == [
        {"name": each, "valueFrom": {"secretKeyRef": {"name": name, "key": each}}}
        for each in ("ALERTS", "GATE")
    ]
    assert "Secret" not in found

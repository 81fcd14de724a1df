"""Canaries of Standard mode: overlay, replicas, weights; and the objects of a component."""

from __future__ import annotations

from typing import Any

import pytest

from calumma.cluster import conditions
from calumma.cluster.kserve import availability, deployment, predictor, variant
from calumma.cluster.objects import Object
from support.simulation import digits


def split(least: int | None, *canaries: tuple[str, int, int | None]) -> Object:
    """An InferenceService with canaries: name, percent and pods."""
    isvc = digits() if least is None else digits(minReplicas=least)
    isvc["spec"]["canary"] = []
    for name, percent, pods in canaries:
        model = {"modelFormat": {"name": "triton"}, "storageUri": f"pvc://models/{name}"}
        own: Object = {"name": name, "model": model}
        if pods is not None:
            own["minReplicas"] = pods
        isvc["spec"]["canary"].append({"trafficPercent": percent, "predictor": own})
    return isvc


@pytest.mark.parametrize(
    ("stable", "canary", "merged"),
    [
        ({"a": 1}, {"a": 2}, {"a": 2}),
        ({"a": 1}, {"b": 2}, {"a": 1, "b": 2}),
        ({"model": {"storageUri": "x", "args": ["1"]}}, {"model": {"storageUri": "y"}}, None),
        (
            {"env": [{"name": "A"}, {"name": "B"}]},
            {"env": [{"name": "C"}]},
            {"env": [{"name": "C"}]},
        ),
        ({"env": [1]}, {"env": []}, {"env": [1]}),
        ({"minReplicas": 2}, {"minReplicas": 0}, {"minReplicas": 2}),
        ({"host": "a"}, {"host": ""}, {"host": "a"}),
        ({"flag": True}, {"flag": False}, {"flag": True}),
        (
            {"labels": {"a": "1", "b": "1"}},
            {"labels": {"b": "2"}},
            {"labels": {"a": "1", "b": "2"}},
        ),
        ({}, {"minReplicas": 0}, {"minReplicas": 0}),
    ],
)
def test_what_a_canary_lays_over_the_stable_predictor(
    stable: Object, canary: Object, merged: Object | None
) -> None:
    if merged is None:
        merged = {"model": {"storageUri": "y", "args": ["1"]}}
    assert variant.overlay(stable, canary) == merged


@pytest.mark.parametrize(
    ("least", "percent", "asked", "pods"),
    [
        (None, 20, None, 1),
        (2, 20, None, 1),
        (10, 20, None, 2),
        (10, 25, None, 3),
        (10, 25, 5, 5),
        (10, 0, None, 1),
        (0, 50, None, 1),
    ],
)
def test_how_many_pods_a_canary_has(
    least: int | None, percent: int, asked: int | None, pods: int
) -> None:
    (found,) = variant.canaries(split(least, ("v2", percent, asked)))
    assert found.replicas == pods
    assert found.deployment == "digits-v2-predictor"


@pytest.mark.parametrize(
    ("least", "ready", "pods"),
    [(None, {"v2"}, 1), (4, set(), 4), (4, {"v2"}, 3), (4, {"v2", "v3"}, 2), (1, {"v2", "v3"}, 1)],
)
def test_the_stable_predictor_gives_pods_to_ready_canaries(
    least: int | None, ready: set[str], pods: int
) -> None:
    isvc = split(least, ("v2", 20, None), ("v3", 10, None))
    assert variant.stable_replicas(isvc, variant.canaries(isvc), ready) == pods


@pytest.mark.parametrize(
    ("ready", "expected"),
    [
        (set(), [("digits-predictor", 100)]),
        ({"v2"}, [("digits-predictor", 80), ("digits-v2-predictor", 20)]),
        (
            {"v2", "v3"},
            [("digits-predictor", 70), ("digits-v2-predictor", 20), ("digits-v3-predictor", 10)],
        ),
    ],
)
def test_a_canary_that_is_not_ready_gets_no_traffic(
    ready: set[str], expected: list[tuple[str, int]]
) -> None:
    found = variant.canaries(split(None, ("v2", 20, None), ("v3", 10, None)))
    assert variant.shares("digits-predictor", found, ready) == expected


def test_a_canary_may_use_a_framework_key_and_never_scales() -> None:
    isvc = digits(maxReplicas=5, scaleTarget=3)
    isvc["spec"]["predictor"]["model"]["args"] = ["--log-verbose=1"]
    own = {"name": "v2", "triton": {"storageUri": "pvc://models/v2"}}
    isvc["spec"]["canary"] = [{"trafficPercent": 1, "predictor": own}]
    (found,) = variant.canaries(isvc)
    laid = found.isvc["spec"]["predictor"]
    assert laid["model"]["storageUri"] == "pvc://models/v2"
    assert laid["model"]["args"] == ["--log-verbose=1"]
    assert not {"maxReplicas", "scaleTarget", "triton"} & set(laid)


TEMPLATE = predictor.Template({"containers": [{"name": "kserve-container"}]}, {}, {})


@pytest.mark.parametrize(
    ("asked", "settings", "expected"),
    [
        (None, {}, {"maxSurge": "25%", "maxUnavailable": "25%"}),
        (
            {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 2}},
            {},
            {"maxSurge": 2, "maxUnavailable": "25%"},
        ),
        ({"type": "Recreate"}, {}, None),
        (
            None,
            {
                "deploy": {
                    "defaultDeploymentMode": "Standard",
                    "deploymentRolloutStrategy": {"defaultRollout": {"maxSurge": "1"}},
                }
            },
            {"maxSurge": "1", "maxUnavailable": "25%"},
        ),
    ],
)
def test_the_strategy_of_a_deployment(
    asked: Object | None, settings: Object, expected: Object | None
) -> None:
    isvc = digits() if asked is None else digits(deploymentStrategy=asked)
    made = deployment.deployment(isvc, "predictor", TEMPLATE, 1, settings)
    found = made["spec"]["strategy"]
    if expected is None:
        assert found == {"type": "Recreate"}
    else:
        assert found == {"type": "RollingUpdate", "rollingUpdate": expected}


def test_a_deployment_is_labelled_and_probed_as_kserves() -> None:
    isvc = digits()
    isvc["metadata"]["labels"] = {"team": "a"}
    made = deployment.deployment(isvc, "predictor", TEMPLATE, 2, {})
    labels = {
        "team": "a",
        "app": "isvc.digits-predictor",
        "component": "predictor",
        "serving.kserve.io/inferenceservice": "digits",
    }
    assert made["metadata"]["labels"] == made["spec"]["template"]["metadata"]["labels"] == labels
    assert made["spec"]["selector"]["matchLabels"] == {"app": "isvc.digits-predictor"}
    annotations = made["spec"]["template"]["metadata"]["annotations"]
    uri = annotations["internal.serving.kserve.io/storage-initializer-sourceuri"]
    assert uri == "pvc://models/digits/v1"
    assert not any(key.startswith("autoscaling.knative.dev") for key in annotations)
    (container,) = made["spec"]["template"]["spec"]["containers"]
    assert container["readinessProbe"]["tcpSocket"] == {"port": 8080}
    assert made["spec"]["progressDeadlineSeconds"] == 600


@pytest.mark.parametrize(
    ("ports", "expected"),
    [
        ([], [{"name": "digits-predictor", "port": 80, "targetPort": 8080}]),
        (
            [{"name": "h2c", "containerPort": 9000}],
            [{"name": "h2c", "port": 80, "targetPort": 9000, "appProtocol": "kubernetes.io/h2c"}],
        ),
        (
            [
                {"containerPort": 8080, "protocol": "TCP"},
                {"name": "grpc-port", "containerPort": 9000},
            ],
            [
                {"port": 80, "targetPort": 8080},
                {
                    "name": "grpc-port",
                    "port": 9000,
                    "targetPort": 9000,
                    "appProtocol": "kubernetes.io/h2c",
                },
            ],
        ),
    ],
)
def test_the_ports_of_a_service(ports: list[Object], expected: list[Object]) -> None:
    container = {"name": "kserve-container", "ports": ports}
    built = predictor.Template({"containers": [container]}, {}, {})
    made = deployment.service(digits(), "predictor", built)
    assert made["spec"]["ports"] == [{**each, "protocol": "TCP"} for each in expected]
    assert made["spec"]["selector"] == {"app": "isvc.digits-predictor"}


def test_a_service_leads_to_the_agent_where_there_is_one() -> None:
    isvc = digits(logger={"mode": "all", "url": "http://dumper"})
    made = deployment.service(isvc, "predictor", TEMPLATE)
    assert [each["targetPort"] for each in made["spec"]["ports"]] == [9081]


@pytest.mark.parametrize(
    ("available", "progressing", "expected"),
    [
        (None, None, ("False", "")),
        (None, ("True", "NewReplicaSetCreated"), ("Unknown", "NewReplicaSetCreated")),
        (("False", "MinimumReplicasUnavailable"), None, ("False", "MinimumReplicasUnavailable")),
        (
            ("False", "MinimumReplicasUnavailable"),
            ("True", "ReplicaSetUpdated"),
            ("False", "MinimumReplicasUnavailable"),
        ),
        (
            ("True", "MinimumReplicasAvailable"),
            ("True", "ReplicaSetUpdated"),
            ("True", "MinimumReplicasAvailable"),
        ),
        (
            ("True", "MinimumReplicasAvailable"),
            ("True", "NewReplicaSetAvailable"),
            ("True", "NewReplicaSetAvailable"),
        ),
        (
            ("True", "MinimumReplicasAvailable"),
            ("False", "ProgressDeadlineExceeded"),
            ("False", "ProgressDeadlineExceeded"),
        ),
    ],
)
def test_what_a_deployments_conditions_mean_for_its_component(
    available: tuple[str, str] | None,
    progressing: tuple[str, str] | None,
    expected: tuple[str, str],
) -> None:
    stated: list[Any] = [
        {"type": kind, "status": found[0], "reason": found[1], "message": "text"}
        for kind, found in (("Available", available), ("Progressing", progressing))
        if found is not None
    ]
    found = availability.readiness({"status": {"conditions": stated}})
    assert found[:2] == expected
    managed = conditions.Conditions((), ("PredictorReady",), "now")
    made = {"status": {"conditions": stated}}
    assert availability.mark(managed, "predictor", made) is (expected[0] == "True")
    first = availability.first_unready(managed, ["predictor"])
    assert first == (None if expected[0] == "True" else "Predictor")

"""The status of an InferenceService beside its traffic."""

from __future__ import annotations

import pytest

from calumma.cluster.kserve import controller
from calumma.cluster.objects import Object
from support.simulation import Simulation, digits, predictor_revision


def test_conditions_are_those_of_kserve_in_order(serving: Simulation) -> None:
    assert [each["type"] for each in serving.isvc["status"]["conditions"]] == [
        "IngressReady",
        "LatestDeploymentReady",
        "PredictorConfigurationReady",
        "PredictorReady",
        "PredictorRouteReady",
        "Ready",
        "RoutesReady",
        "Stopped",
        "TransformerConfigurationReady",
        "TransformerReady",
        "TransformerRouteReady",
    ]
    without_severity = {
        each["type"] for each in serving.isvc["status"]["conditions"] if "severity" not in each
    }
    assert without_severity == {"IngressReady", "PredictorReady", "Ready"}


def test_urls(serving: Simulation) -> None:
    status = serving.isvc["status"]
    assert status["url"] == "http://digits.default.localhost:8080"
    assert status["address"] == {"url": "http://digits.default.svc.cluster.local"}
    assert serving.predictor["url"] == "http://digits-predictor.default.localhost:8080"
    assert serving.predictor["address"] == {
        "url": "http://digits-predictor.default.svc.cluster.local"
    }
    assert status["clusterServingRuntimeName"] == "kserve-tritonserver"
    assert status["deploymentMode"] == "Knative"
    assert status["observedGeneration"] == 1


def test_while_the_first_revision_is_not_ready(simulation: Simulation) -> None:
    simulation.apply(digits())
    assert simulation.condition("IngressReady") == (
        "Unknown",
        "Predictor ingress not created",
        "",
    )
    assert simulation.condition("PredictorRouteReady") == (
        "Unknown",
        "RevisionMissing",
        'Configuration "digits-predictor" is waiting for a Revision to become ready.',
    )
    assert "url" not in simulation.isvc["status"]
    assert "traffic" not in simulation.predictor
    simulation.become_ready(predictor_revision(1))
    assert simulation.condition("IngressReady")[1] == "Transformer ingress not created"


def test_a_first_revision_that_fails(simulation: Simulation) -> None:
    simulation.apply(digits())
    simulation.fail(predictor_revision(1), "no model")
    assert simulation.condition("Ready")[0] == "False"
    assert simulation.condition("PredictorRouteReady") == (
        "False",
        "RevisionMissing",
        'Configuration "digits-predictor" does not have any ready Revision.',
    )
    model = simulation.isvc["status"]["modelStatus"]
    assert model["transitionStatus"] == "BlockedByFailedLoad"
    assert model["lastFailureInfo"] == {
        "reason": "ModelLoadFailed",
        "message": "Container failed with: no model",
        "exitCode": 1,
    }


def test_a_failing_new_transformer_leaves_ready_true_as_in_kserve(serving: Simulation) -> None:
    serving.change(
        lambda isvc: isvc["spec"]["transformer"]["containers"][0].update(image="calumma/digits:2")
    )
    serving.fail("digits-transformer-00002")
    assert serving.condition("TransformerReady")[0] == "False"
    assert serving.condition("LatestDeploymentReady")[0] == "False"
    assert serving.condition("Ready")[0] == "True"


def test_events_when_readiness_is_won_and_lost(serving: Simulation) -> None:
    assert serving.events[-1] == controller.Event(
        "Normal",
        "InferenceServiceReady",
        "InferenceService [digits] is Ready",
    )
    serving.fail(predictor_revision(1))
    event = serving.events[-1]
    assert (event.type, event.reason) == ("Warning", "InferenceServiceNotReady")
    assert event.message.startswith("InferenceService [digits] is no longer Ready because of: ")
    assert "PredictorReady" in event.message


def test_a_model_that_no_runtime_takes(simulation: Simulation) -> None:
    isvc = digits()
    isvc["spec"]["predictor"]["model"]["modelFormat"] = {"name": "sklearn"}
    simulation.apply(isvc)
    assert simulation.services == {}
    assert simulation.isvc["status"]["modelStatus"] == {
        "transitionStatus": "InvalidSpec",
        "states": {"activeModelState": "", "targetModelState": "FailedToLoad"},
        "lastFailureInfo": {
            "reason": "NoSupportingRuntime",
            "message": "No runtime found to support specified framework/version",
        },
    }
    assert simulation.events[0] == controller.Event(
        "Warning",
        "InternalError",
        "no runtime found to support predictor with model type: {sklearn <nil>}",
    )


def test_an_update_that_cannot_be_built_leaves_the_old_one_serving(serving: Simulation) -> None:
    serving.change(
        lambda isvc: isvc["spec"]["predictor"]["model"].update(storageUri="ftp://nowhere")
    )
    assert serving.traffic == "L:1=100"
    assert serving.events[-1].reason == "InternalError"
    assert set(serving.services) == {"predictor", "transformer"}


def test_stop_removes_the_services_and_resets_the_status(serving: Simulation) -> None:
    def stop(isvc: Object) -> None:
        isvc["metadata"]["annotations"]["serving.kserve.io/stop"] = "true"

    serving.change(stop)
    assert serving.services == {}
    assert serving.condition("Stopped")[0] == "True"
    for kind in ("PredictorReady", "TransformerReady", "IngressReady", "Ready"):
        assert serving.condition(kind)[:2] == ("False", "Stopped")
    assert serving.isvc["status"]["deploymentMode"] == "Knative"
    assert "components" not in serving.isvc["status"]


@pytest.mark.parametrize("value", ["true", "TRUE", "True"])
def test_stopping_takes_any_case(serving: Simulation, value: str) -> None:
    serving.change(
        lambda isvc: isvc["metadata"]["annotations"].update({"serving.kserve.io/stop": value})
    )
    assert serving.services == {}


def test_a_stopped_service_resumes(serving: Simulation) -> None:
    key = "serving.kserve.io/stop"
    serving.change(lambda isvc: isvc["metadata"]["annotations"].update({key: "true"}))
    serving.revisions.clear()
    serving.programmed.clear()
    serving.scales.clear()
    serving.change(lambda isvc: isvc["metadata"]["annotations"].pop(key))
    assert serving.condition("Stopped")[0] == "False"
    assert serving.condition("Ready")[0] != "True"
    serving.become_ready(predictor_revision(1), "digits-transformer-00001")
    assert serving.condition("Ready")[0] == "True"
    assert serving.rollout == (1, 0)


def test_disabled_updates_are_ignored_while_ready(serving: Simulation) -> None:
    key = "serving.kserve.io/disable-auto-update"

    def edit(isvc: Object) -> None:
        isvc["metadata"]["annotations"][key] = "true"
        isvc["spec"]["predictor"]["model"]["storageUri"] = "pvc://models/digits/v2"

    before = serving.isvc["status"]
    serving.change(edit)
    assert predictor_revision(2) not in serving.revisions
    assert serving.isvc["status"] == before
    serving.change(lambda isvc: isvc["metadata"]["annotations"].update({key: "false"}))
    assert predictor_revision(2) in serving.revisions


def test_disabled_updates_are_made_while_it_is_not_ready(simulation: Simulation) -> None:
    isvc = digits()
    isvc["metadata"]["annotations"] = {"serving.kserve.io/disable-auto-update": "true"}
    simulation.apply(isvc)
    assert predictor_revision(1) in simulation.revisions


def test_a_removed_transformer_goes_and_the_predictor_is_the_entrance(
    serving: Simulation,
) -> None:
    serving.change(lambda isvc: isvc["spec"].pop("transformer"))
    assert set(serving.services) == {"predictor"}
    status = serving.isvc["status"]
    assert set(status["components"]) == {"predictor"}
    assert not [each for each in status["conditions"] if each["type"].startswith("Transformer")]
    assert serving.condition("Ready")[0] == "True"
    assert serving.condition("LatestDeploymentReady")[0] == "True"
    assert status["url"] == "http://digits.default.localhost:8080"
    serving.change(lambda isvc: isvc["spec"].update(digits()["spec"]))
    assert serving.condition("TransformerReady")[0] == "True"


def test_the_first_transformer_of_a_running_service_becomes_its_entrance(
    simulation: Simulation,
) -> None:
    alone = digits()
    transformer = alone["spec"].pop("transformer")
    simulation.apply(alone)
    simulation.become_ready(predictor_revision(1))
    assert simulation.condition("Ready")[0] == "True"
    simulation.change(lambda isvc: isvc["spec"].update(transformer=transformer))
    assert simulation.condition("IngressReady")[:2] == (
        "Unknown",
        "Transformer ingress not created",
    )
    simulation.become_ready("digits-transformer-00001")
    assert simulation.condition("Ready")[0] == "True"


def test_an_update_keeps_ingress_ready_by_kserves_quirk(serving: Simulation) -> None:
    serving.change(
        lambda isvc: isvc["spec"]["predictor"]["model"].update(storageUri="pvc://models/v2")
    )
    assert serving.condition("PredictorReady")[0] == "Unknown"
    assert serving.condition("IngressReady") == ("True", "", "")
    assert serving.condition("Ready")[0] == "Unknown"


@pytest.mark.parametrize("component", ["predictor", "transformer"])
def test_a_service_for_the_cluster_only(simulation: Simulation, component: str) -> None:
    isvc = digits()
    isvc["metadata"]["labels"] = {"networking.knative.dev/visibility": "cluster-local"}
    simulation.apply(isvc)
    simulation.become_ready(predictor_revision(1), "digits-transformer-00001")
    status = simulation.isvc["status"]
    assert status["components"][component]["url"] == (
        f"http://digits-{component}.default.svc.cluster.local"
    )
    assert status["url"] == "http://digits.default.svc.cluster.local"
    assert status["address"] == {"url": "http://digits.default.svc.cluster.local"}
    assert simulation.warnings() == []


def test_only_one_component_for_the_cluster_only(simulation: Simulation) -> None:
    isvc = digits(labels={"networking.knative.dev/visibility": "cluster-local"})
    simulation.apply(isvc)
    simulation.become_ready(predictor_revision(1), "digits-transformer-00001")
    assert simulation.predictor["url"] == "http://digits-predictor.default.svc.cluster.local"
    assert simulation.isvc["status"]["url"] == "http://digits.default.localhost:8080"


def test_a_service_that_is_new_again_forgets_what_the_old_one_said(serving: Simulation) -> None:
    """KServe takes the Knative Service's status over as it is, except what it keeps itself."""
    serving.services["predictor"]["status"] = {}
    serving.step()
    assert "traffic" not in serving.predictor
    assert "latestReadyRevision" not in serving.predictor
    assert serving.rollout == (1, 0)


def test_a_revision_that_is_never_ready_fails_at_its_deadline(serving: Simulation) -> None:
    key = "serving.knative.dev/progress-deadline"
    serving.change(lambda isvc: isvc["metadata"]["annotations"].update({key: "30s"}))
    for _ in range(40):
        serving.step()
    text = 'ReplicaSet "digits-predictor-00002-deployment" has timed out progressing.'
    assert serving.condition("PredictorConfigurationReady") == (
        "False",
        "RevisionFailed",
        f'Revision "{predictor_revision(2)}" failed with message: {text}.',
    )
    assert serving.traffic == "L:1=100"
    serving.become_ready(predictor_revision(2), "digits-transformer-00002")
    assert serving.condition("Ready")[0] == "True"
    assert serving.traffic == "L:2=100"


@pytest.mark.parametrize(
    ("component", "added", "named"),
    [
        ("explainer", {"containers": [{"name": "c", "image": "i"}]}, "spec.explainer"),
        ("predictor", {"logger": {"mode": "all", "url": "s3://b"}}, "spec.predictor.logger.url"),
        (
            "transformer",
            {"logger": {"mode": "all", "batchSize": 8}},
            "transformer.logger.batchSize",
        ),
        ("transformer", {"storageUris": [{"uri": "s3://a"}]}, "spec.transformer.storageUris"),
        ("predictor", {"storageContainerName": "mine"}, "spec.predictor.storageContainerName"),
    ],
)
def test_parts_that_do_not_run_here_are_refused_by_name(
    simulation: Simulation, component: str, added: Object, named: str
) -> None:
    isvc = digits()
    isvc["spec"].setdefault(component, {}).update(added)
    simulation.apply(isvc)
    message = simulation.events[-1].message
    assert named in message
    assert "does not run" in message


def test_another_deployment_mode_is_refused_by_name(simulation: Simulation) -> None:
    isvc = digits()
    isvc["metadata"]["annotations"] = {"serving.kserve.io/deploymentMode": "ModelMesh"}
    simulation.apply(isvc)
    assert simulation.services == {}
    status, reason, message = simulation.condition("PredictorReady")
    assert (status, reason) == ("False", "ReconcileFailed")
    assert "the deployment mode ModelMesh does not run" in message

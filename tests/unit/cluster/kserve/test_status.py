"""The status of an InferenceService beside its traffic."""

from __future__ import annotations

import pytest

from calumma.cluster.kserve import controller, model_status
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


def test_disabled_updates_are_ignored_while_ready(serving: Simulation) -> None:
    def edit(isvc: Object) -> None:
        isvc["metadata"]["annotations"]["serving.kserve.io/disable-auto-update"] = "true"
        isvc["spec"]["predictor"]["model"]["storageUri"] = "pvc://models/digits/v2"

    serving.change(edit)
    assert predictor_revision(2) not in serving.revisions


def test_a_removed_transformer_goes(serving: Simulation) -> None:
    serving.change(lambda isvc: isvc["spec"].pop("transformer"))
    assert set(serving.services) == {"predictor"}


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


def pod(**status: object) -> Object:
    return {"metadata": {"name": "p"}, "status": status}


def observed(*pods: Object, ready: bool = False) -> Object:
    seen = model_status.Observation(pods, (), ready, ready)
    return model_status.propagate({}, seen)


def test_a_model_is_loading_while_the_initializer_runs() -> None:
    initializer = {"name": "storage-initializer", "state": {"running": {}}}
    assert observed(pod(initContainerStatuses=[initializer]))["states"]["targetModelState"] == (
        "Loading"
    )


def test_a_crash_loop_reports_how_it_ended() -> None:
    container = {
        "name": "kserve-container",
        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": {"exitCode": 2, "message": "bad model"}},
    }
    status = observed(pod(containerStatuses=[container]))
    assert status["lastFailureInfo"] == {
        "reason": "ModelLoadFailed",
        "message": "bad model",
        "exitCode": 2,
    }


def test_ready_pods_are_counted() -> None:
    ready = pod(phase="Running", conditions=[{"type": "Ready", "status": "True"}])
    status = observed(ready, pod(phase="Pending"), ready=True)
    assert status["copies"] == {"failedCopies": 0, "totalCopies": 1}
    assert status["states"] == {"activeModelState": "Loaded", "targetModelState": "Loaded"}

"""``status.modelStatus``: what is loading, what is loaded, and why something is not."""

from __future__ import annotations

from typing import Any

import pytest

from calumma.cluster.kserve import model_status, runtimes
from calumma.cluster.objects import Object
from support.simulation import READY, Simulation, bundled, digits, predictor_revision

RUNNING: Object = {"state": {"running": {}}}
ERROR: Object = {"state": {"terminated": {"reason": "Error", "exitCode": 1, "message": "boom"}}}
COMPLETED: Object = {"state": {"terminated": {"reason": "Completed", "exitCode": 0}}}
LOOPING: Object = {
    "state": {"waiting": {"reason": "CrashLoopBackOff"}},
    "lastState": {"terminated": {"exitCode": 2, "message": "bad model"}},
}
STARTING: Object = {"state": {"waiting": {"reason": "PodInitializing"}}}
RETRYING: Object = {**RUNNING, "lastState": ERROR["state"]}

LOADED: Object = {
    "copies": {"failedCopies": 0, "totalCopies": 1},
    "states": {"activeModelState": "Loaded", "targetModelState": "Loaded"},
    "transitionStatus": "UpToDate",
}


def pod(initializer: Object | None, main: Object | None, *, ready: bool = False) -> Object:
    status: Object = {
        "phase": "Running" if ready else "Pending",
        "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
    }
    if initializer is not None:
        named = {"name": "storage-initializer", **initializer}
        status["initContainerStatuses"] = [named]
    if main is not None:
        status["containerStatuses"] = [{"name": "kserve-container", **main}]
    return {"metadata": {"name": "p"}, "status": status}


def after(
    *pods: Object, stored: Object | None = None, ready: bool = False, failed: bool = False
) -> Object:
    conditions = [{"type": "Ready", "status": "False" if failed else "Unknown"}]
    seen = model_status.Observation(pods, conditions, ready, ready)
    return model_status.propagate(stored or {}, seen)


def failure(message: str, code: int) -> Object:
    return {"reason": "ModelLoadFailed", "message": message, "exitCode": code}


@pytest.mark.parametrize(
    ("pods", "target", "transition", "why"),
    [
        ([], "Pending", "InProgress", None),
        ([pod(RUNNING, STARTING)], "Loading", "InProgress", None),
        ([pod(ERROR, STARTING)], "FailedToLoad", "BlockedByFailedLoad", failure("boom", 1)),
        (
            [pod(LOOPING, STARTING)],
            "FailedToLoad",
            "BlockedByFailedLoad",
            failure("bad model", 2),
        ),
        ([pod(COMPLETED, RUNNING)], "Pending", "InProgress", None),
        ([pod(None, STARTING)], "Pending", "InProgress", None),
        ([pod(COMPLETED, ERROR)], "FailedToLoad", "BlockedByFailedLoad", failure("boom", 1)),
        (
            [pod(COMPLETED, LOOPING)],
            "FailedToLoad",
            "BlockedByFailedLoad",
            failure("bad model", 2),
        ),
    ],
)
@pytest.mark.parametrize("stored", [{}, LOADED])
def test_what_the_newest_pod_says(
    stored: Object, pods: list[Object], target: str, transition: str, why: Object | None
) -> None:
    found = after(*pods, stored=stored)
    active = "Loaded" if stored else ""
    assert found["states"] == {"activeModelState": active, "targetModelState": target}
    assert found["transitionStatus"] == transition
    assert found.get("lastFailureInfo") == why


def test_without_pods_a_failed_service_means_a_failed_model() -> None:
    found = after(failed=True)
    assert found["states"]["targetModelState"] == "FailedToLoad"
    assert found["transitionStatus"] == "BlockedByFailedLoad"


def test_ready_means_loaded_and_keeps_the_last_failure() -> None:
    broken = after(pod(COMPLETED, LOOPING))
    found = after(pod(COMPLETED, RUNNING, ready=True), stored=broken, ready=True)
    assert {key: found[key] for key in LOADED} == LOADED
    assert found["lastFailureInfo"] == failure("bad model", 2)


def test_an_initializer_that_tries_again_is_not_loading() -> None:
    failed = after(pod(LOOPING, STARTING))
    assert after(pod(RETRYING, STARTING), stored=failed) == failed


def test_ready_pods_are_counted_and_none_are_left_out() -> None:
    ready, other = pod(None, RUNNING, ready=True), pod(None, RUNNING)
    assert after(ready, other, ready=True)["copies"] == {"failedCopies": 0, "totalCopies": 1}
    assert after(other)["copies"] == {"failedCopies": 0}


def test_the_new_is_broken_and_the_old_one_serves(serving: Simulation) -> None:
    def edit(isvc: Object) -> None:
        isvc["spec"]["predictor"]["model"]["storageUri"] = "pvc://models/digits/v2"

    assert serving.isvc["status"]["modelStatus"] == LOADED
    serving.change(edit)
    assert serving.isvc["status"]["modelStatus"] == {
        "copies": {"failedCopies": 0},
        "states": {"activeModelState": "Loaded", "targetModelState": "Pending"},
        "transitionStatus": "InProgress",
    }
    serving.fail(predictor_revision(2), "no such model")
    assert serving.isvc["status"]["modelStatus"] == {
        "copies": {"failedCopies": 0},
        "states": {"activeModelState": "Loaded", "targetModelState": "FailedToLoad"},
        "transitionStatus": "BlockedByFailedLoad",
        "lastFailureInfo": failure("Container failed with: no such model", 1),
    }
    serving.become_ready(predictor_revision(2))
    assert serving.isvc["status"]["modelStatus"]["transitionStatus"] == "UpToDate"


def test_loaded_comes_one_pass_after_ready(simulation: Simulation) -> None:
    simulation.apply(digits())
    seen = []
    for name in (predictor_revision(1), "digits-transformer-00001"):
        simulation.scales[name] = READY
    while simulation.step():
        status = simulation.isvc["status"]
        seen.append((simulation.condition("Ready")[0], status["modelStatus"]["transitionStatus"]))
    assert seen[-2:] == [("True", "InProgress"), ("True", "UpToDate")]


def runtime(**spec: Any) -> Object:
    return {
        "metadata": {"name": "mine", "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {
            "supportedModelFormats": [{"name": "triton", "version": "2", "autoSelect": True}],
            "protocolVersions": ["v2"],
            "containers": [{"name": "kserve-container", "image": "i"}],
            **spec,
        },
    }


@pytest.mark.parametrize(
    ("model", "available", "reason", "message", "event"),
    [
        (
            {"runtime": "nope"},
            runtime(),
            "RuntimeNotRecognized",
            "Waiting for runtime to become available",
            "No ServingRuntimes or ClusterServingRuntimes with the name: nope",
        ),
        (
            {"runtime": "mine"},
            runtime(disabled=True),
            "RuntimeDisabled",
            "Specified runtime is disabled",
            "specified runtime mine is disabled",
        ),
        (
            {"runtime": "mine", "protocolVersion": "v1"},
            runtime(),
            "NoSupportingRuntime",
            "Specified runtime does not support specified protocol version",
            "specified runtime mine does not support specified protocol version",
        ),
        (
            {"runtime": "mine", "modelFormat": {"name": "triton", "version": "9"}},
            runtime(),
            "NoSupportingRuntime",
            "Specified runtime does not support specified framework/version",
            "specified runtime mine does not support specified framework/version",
        ),
        (
            {"modelFormat": {"name": "sklearn"}},
            runtime(),
            "NoSupportingRuntime",
            "No runtime found to support specified framework/version",
            "no runtime found to support predictor with model type: {sklearn <nil>}",
        ),
        (
            {"runtime": "mine"},
            runtime(containers=[]),
            "InvalidPredictorSpec",
            "no container configuration found in selected serving runtime",
            "no container configuration found in selected serving runtime",
        ),
        (
            {"runtime": "mine"},
            runtime(containers=[{"name": "other", "image": "i"}]),
            "InvalidPredictorSpec",
            "failed to find kserve-container in ServingRuntime containers",
            "failed to find kserve-container in ServingRuntime containers",
        ),
        (
            {"runtime": "mine"},
            runtime(containers=[{"name": "kserve-container", "args": ["{{.Spec}}"]}]),
            "InvalidPredictorSpec",
            "failed to replace placeholders in serving runtime mine Container kserve-container",
            "failed to replace placeholders in serving runtime mine Container kserve-container: "
            "{{.Spec}} is not one of .Name, .Namespace, .Labels.<key>, .Annotations.<key>",
        ),
    ],
)
def test_a_spec_that_nothing_can_serve(
    serving: Simulation, model: Object, available: Object, reason: str, message: str, event: str
) -> None:
    serving.runtimes = runtimes.Runtimes([], [*bundled("ClusterServingRuntime"), available])
    serving.change(lambda isvc: isvc["spec"]["predictor"]["model"].update(model))
    assert serving.isvc["status"]["modelStatus"] == {
        "copies": {"failedCopies": 0, "totalCopies": 1},
        "states": {"activeModelState": "Loaded", "targetModelState": "FailedToLoad"},
        "transitionStatus": "InvalidSpec",
        "lastFailureInfo": {"reason": reason, "message": message},
    }
    assert event in [each.message for each in serving.events]
    assert serving.traffic == "L:1=100"

"""Traps on a running cluster: what happens is KServe's, and ``kubectl describe`` warns of it."""

from __future__ import annotations

import json
import re
import shlex

import httpx
import pytest

from support.cluster import Cluster, Object, condition, image, manifest, shares


def warned(cluster: Cluster, reason: str, name: str = "digits") -> Object:
    """The one event with a reason about an InferenceService, once it is recorded."""
    selector = f"involvedObject.name={name},reason={reason}"
    found: list[Object] = []

    def recorded() -> bool:
        answer = cluster.kubectl("get", "events", "--field-selector", selector, "-o", "json")
        found[:] = json.loads(answer.output)["items"]
        return bool(found)

    cluster.until(f"{reason} told", recorded)
    assert len(found) == 1
    assert reason in cluster.kubectl("describe", "isvc", name).output
    return found[0]


def apply(cluster: Cluster, document: Object) -> None:
    """Apply a manifest and wait until it is in effect."""
    answer = cluster.kubectl("apply", "-f", "-", document=document)
    assert answer.code == 0, answer.error
    cluster.until_ready()


def do(cluster: Cluster, command: str) -> None:
    """Run a kubectl command as a message names it."""
    program, *words = shlex.split(command)
    assert program == "kubectl"
    answer = cluster.kubectl(*words)
    assert answer.code == 0, answer.error


def test_an_old_manifest_is_no_rollback_and_the_warning_names_one(digits_service: Cluster) -> None:
    cluster = digits_service
    apply(cluster, manifest("v2", canaryTrafficPercent=10))
    assert shares(cluster.get()) == {"00002": 10, "00001": 90}
    apply(cluster, manifest("v1"))
    assert shares(cluster.get()) == {"00003": 100}
    part = cluster.get()["status"]["components"]["predictor"]
    assert part["previousRolledoutRevision"] == "digits-predictor-00002"
    event = warned(cluster, "CanaryPromotedByUpdate")
    assert (event["type"], event["count"]) == ("Warning", 1)
    assert "digits-predictor-00002 from 10% to all traffic" in event["message"]

    cluster.canary("v2", 10)
    (roll_back,) = re.findall(r"kubectl patch .*?'\{.*?\}'", event["message"])
    do(cluster, roll_back)
    cluster.until_ready()
    assert shares(cluster.get()) == {"00004": 0, "00003": 100}
    cluster.canary("v1", 20)
    event = warned(cluster, "RolledBackRevisionServes")
    assert "digits-predictor-00004, which was rolled back, gets 20%" in event["message"]
    assert warned(cluster, "CanaryPromotedByUpdate")["count"] == 1


def test_a_transformer_that_is_never_ready_fails_at_its_deadline(digits_service: Cluster) -> None:
    """The deadline counts from the revision's creation, whoever decides in between."""
    cluster = digits_service
    base = manifest()["spec"]["transformer"]["containers"][0]
    probe = {"httpGet": {"path": "/no/such/page", "port": 8080}}
    cluster.patch(
        {
            "transformer": {
                "annotations": {"serving.knative.dev/progress-deadline": "12s"},
                "containers": [{**base, "readinessProbe": probe}],
            }
        }
    )
    revision = "digits-transformer-00002"
    cluster.until("started", lambda: any(revision in name for name in cluster.programs()))
    cluster.kill("agent")
    cluster.until(
        "failed", lambda: condition(cluster.get(), "TransformerReady")["status"] == "False"
    )
    message = condition(cluster.get(), "TransformerConfigurationReady")["message"]
    assert f'ReplicaSet "{revision}-deployment" has timed out progressing.' in message
    assert condition(cluster.get(), "Ready")["status"] == "True"
    assert "Ready stays True, as on KServe" in warned(cluster, "NewRevisionFailed")["message"]
    picture, label = image(0)
    assert cluster.predict(picture).json()["predictions"][0]["label"] == label


def test_a_service_for_the_cluster_only_has_no_public_name(digits_service: Cluster) -> None:
    cluster = digits_service
    label = "networking.knative.dev/visibility"
    assert cluster.kubectl("label", "isvc", "digits", f"{label}=cluster-local").code == 0
    inside = "http://digits.default.svc.cluster.local"
    cluster.until("local", lambda: cluster.get()["status"].get("url") == inside)
    picture, _ = image(0)
    cluster.until("no public host", lambda: cluster.predict(picture).status_code == 404)
    assert cluster.predict(picture, "digits.default.svc.cluster.local").status_code == 200
    assert cluster.kubectl("label", "isvc", "digits", f"{label}-").code == 0
    cluster.until("public again", lambda: cluster.predict(picture).status_code == 200)


def test_tags_lead_to_one_revision_each(digits_service: Cluster) -> None:
    cluster = digits_service
    key = "serving.kserve.io/enable-tag-routing"
    assert cluster.kubectl("annotate", "isvc", "digits", f"{key}=true").code == 0
    cluster.canary("v2", 10)
    traffic = cluster.get()["status"]["components"]["predictor"]["traffic"]
    assert [entry["tag"] for entry in traffic] == ["latest", "prev"]
    for entry in traffic:
        host = httpx.URL(entry["url"]).host
        for _ in range(5):
            answer = httpx.get(f"{cluster.gateway}/v2/models/digits", headers={"host": host})
            assert answer.status_code == 200, answer.text
            assert answer.headers["x-calumma-predictor-revision"] == entry["revisionName"]


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ({"modelFormat": {"name": "onnx"}}, "ProtocolVersionMissing"),
        ({"storageUri": "file:///nowhere"}, "StorageNotPortable"),
    ],
)
def test_a_manifest_that_does_not_do_what_it_says(
    cluster: Cluster, model: Object, reason: str
) -> None:
    name = reason.lower()
    isvc = manifest(name=name)
    del isvc["spec"]["predictor"]["model"]["protocolVersion"]
    isvc["spec"]["predictor"]["model"].update(model)
    assert cluster.kubectl("apply", "-f", "-", document=isvc).code == 0
    assert warned(cluster, reason, name)["type"] == "Warning"
    cluster.kubectl("delete", "isvc", name)

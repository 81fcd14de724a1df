"""From a manifest to a canary, its promotion and its rollback, while users are there."""

from __future__ import annotations

import math
from collections import Counter

import kserve
import kubernetes

from calumma.load import users
from support.cluster import Cluster, condition, image, manifest, shares


def test_a_manifest_becomes_a_service_that_answers(digits_service: Cluster) -> None:
    picture, label = image(0)
    answer = digits_service.predict(picture)
    assert answer.status_code == 200
    assert answer.json()["predictions"][0]["label"] == label
    assert answer.headers["x-calumma-predictor-revision"] == "digits-predictor-00001"
    assert answer.headers["x-calumma-transformer-revision"] == "digits-transformer-00001"
    isvc = digits_service.get()
    port = digits_service.settings()["gateway_port"]
    assert isvc["status"]["url"] == f"http://digits.default.localhost:{port}"
    assert isvc["status"]["modelStatus"]["states"]["activeModelState"] == "Loaded"


def test_all_host_names_lead_where_they_should(digits_service: Cluster) -> None:
    picture, _ = image(0)
    for host in (
        "digits.default.example.com",
        "digits.default.svc.cluster.local",
        "digits-transformer.default.localhost",
        "digits.default",
    ):
        assert digits_service.predict(picture, host).status_code == 200, host
    predictor = digits_service.post(
        b"", "digits-predictor.default.localhost", "/v2/models/digits/infer"
    )
    assert predictor.status_code == 400
    assert "x-calumma-transformer-revision" not in predictor.headers
    assert digits_service.predict(picture, "nobody.default.localhost").status_code == 404


def test_canary_promotion_and_rollback_under_traffic(digits_service: Cluster) -> None:
    cluster = digits_service
    isvc = cluster.get()
    with users.Users(isvc["status"]["url"], "digits", rate=60.0) as live:
        cluster.canary("v2", 10)
        assert shares(cluster.get()) == {"00002": 10, "00001": 90}
        began = live.count
        cluster.until("enough traffic", lambda: live.count > began + 400)
        ended = live.count
        cluster.canary("v2", 50)
        cluster.canary("v2", None)
        assert shares(cluster.get()) == {"00002": 100}
        cluster.canary("v3", 10)
        cluster.canary("v3", 0)
        assert shares(cluster.get()) == {"00003": 0, "00002": 100}
        settled = live.count
        cluster.until("more traffic", lambda: live.count > settled + 60)
    assert live.summary.failures == {}
    revisions = Counter(o.answer.revision for o in live.outcomes[began:ended])
    share = revisions["digits-predictor-00002"] / (ended - began)
    bound = 3.3 * math.sqrt(0.1 * 0.9 / (ended - began))
    assert abs(share - 0.1) < bound
    last = {outcome.answer.revision for outcome in live.outcomes[-40:]}
    assert last == {"digits-predictor-00002"}


def test_the_stable_side_of_a_canary_has_a_host_of_its_own(digits_service: Cluster) -> None:
    digits_service.canary("v2", 10)
    for _ in range(10):
        answer = digits_service.post(
            b"{}", "prev-digits-predictor.default.localhost", "/v2/models/digits/infer"
        )
        assert answer.headers["x-calumma-predictor-revision"] == "digits-predictor-00001"


def test_kubectl_shows_it_all(digits_service: Cluster) -> None:
    cluster = digits_service
    cluster.canary("v2", 10)
    table = cluster.kubectl("get", "isvc").output.splitlines()
    assert table[0].split() == [
        "NAME",
        "URL",
        "READY",
        "PREV",
        "LATEST",
        "PREVROLLEDOUTREVISION",
        "LATESTREADYREVISION",
        "AGE",
    ]
    assert table[1].split()[2:7] == [
        "True",
        "90",
        "10",
        "digits-predictor-00001",
        "digits-predictor-00002",
    ]
    pods = cluster.kubectl("get", "pods", "-l", "serving.kserve.io/inferenceservice=digits")
    rows = [line.split() for line in pods.output.splitlines()[1:]]
    assert len(rows) == 3
    assert {(row[1], row[2]) for row in rows} == {("1/1", "Running")}
    predictor = next(row[0] for row in rows if "predictor" in row[0])
    assert "Started HTTPService" in cluster.kubectl("logs", predictor).output
    described = cluster.kubectl("describe", "isvc", "digits").output
    assert "InferenceService [digits] is Ready" in described
    services = cluster.kubectl("get", "ksvc,revisions").output
    assert "digits-predictor-00002" in services


def test_a_deleted_service_leaves_nothing(cluster: Cluster) -> None:
    cluster.kubectl("apply", "-f", "-", document=manifest())
    cluster.until_ready()
    assert cluster.kubectl("delete", "isvc", "digits").code == 0
    cluster.until("gone", lambda: "pods/" not in cluster.calumma("status").output)
    cluster.until("no objects", lambda: not cluster.kubectl("get", "pods,ksvc,revisions").output)
    picture, _ = image(0)
    assert cluster.predict(picture).status_code == 404
    folders = cluster.home.models / "default"
    assert not folders.exists() or not list(folders.iterdir())


def test_two_namespaces_do_not_meet(digits_service: Cluster) -> None:
    cluster = digits_service
    assert cluster.kubectl("create", "namespace", "team").code == 0
    cluster.kubectl("apply", "-n", "team", "-f", "-", document=manifest("v2"))
    cluster.until_ready(namespace="team")
    picture, label = image(0)
    theirs = cluster.predict(picture, "digits.team.localhost")
    assert theirs.json()["predictions"][0]["label"] == label
    assert cluster.kubectl("delete", "namespace", "team").code == 0
    assert cluster.predict(picture, "digits.team.localhost").status_code == 404
    assert cluster.predict(picture).status_code == 200


def test_kserves_own_client_waits_and_patches(digits_service: Cluster) -> None:
    predictor = kserve.V1beta1PredictorSpec(min_replicas=2)
    asked = kserve.V1beta1InferenceService(
        api_version="serving.kserve.io/v1beta1",
        kind="InferenceService",
        metadata=kubernetes.client.V1ObjectMeta(name="digits", namespace="default"),
        spec=kserve.V1beta1InferenceServiceSpec(predictor=predictor),
    )
    client = kserve.KServeClient(config_file=str(digits_service.home.kubeconfig))
    patched = client.patch("digits", asked, namespace="default")
    client.wait_isvc_ready(
        "digits",
        namespace="default",
        timeout_seconds=60,
        polling_interval=1,
        expected_generation=patched["metadata"]["generation"],
    )
    pods = digits_service.kubectl("get", "pods", "-o", "name").output.split()
    assert len([pod for pod in pods if "predictor-00002" in pod]) == 2
    assert condition(digits_service.get(), "PredictorReady")["status"] == "True"

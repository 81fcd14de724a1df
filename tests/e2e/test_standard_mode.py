"""Standard mode: Deployments, updates that nobody notices, and the canaries of ``spec.canary``."""

from __future__ import annotations

import asyncio
import json
import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

import kserve
import kubernetes
import pytest

from calumma.load import users
from support.askers import Askers
from support.cluster import Cluster, Object, condition, image, manifest

STABLE, CANARY = "digits-predictor", "digits-v2-predictor"


OWN = ("get", "deploy,rs,svc,pods", "-l", "serving.kserve.io/inferenceservice=digits")
"""The words by which kubectl lists what the example owns."""


def standard(version: str = "v1", *, transformer: bool = False, **predictor: Any) -> Object:
    """The example in Standard mode, by the old word for it, as a rule without its transformer."""
    isvc = manifest(version, **predictor)
    isvc["metadata"]["annotations"] = {"serving.kserve.io/deploymentMode": "RawDeployment"}
    if not transformer:
        del isvc["spec"]["transformer"]
    return isvc


def with_canary(isvc: Object, percent: int, version: str = "v2") -> Object:
    """A manifest with one canary, which is named v2 and says no more than it has to."""
    model = {"modelFormat": {"name": "triton"}, "storageUri": f"pvc://models/digits/{version}"}
    entry = {"trafficPercent": percent, "predictor": {"name": "v2", "model": model}}
    return {**isvc, "spec": {**isvc["spec"], "canary": [entry]}}


def promotion(isvc: Object) -> Object:
    """A manifest whose predictor is the former canary."""
    isvc["spec"]["predictor"]["name"] = "v2"
    return isvc


def apply(cluster: Cluster, isvc: Object) -> None:
    """Apply a manifest and wait until it is in effect."""
    applied = cluster.kubectl("apply", "-f", "-", document=isvc)
    assert applied.code == 0, applied.error
    cluster.until_ready()


def canaries(cluster: Cluster, reason: str = "AllCanariesReady") -> None:
    """Wait until the condition of the canaries has this reason."""
    kind = "CanaryPredictorReady"
    cluster.until(reason, lambda: condition(cluster.get(), kind).get("reason") == reason)


def pods_of(cluster: Cluster, name: str) -> dict[str, str]:
    """The uids of the pods of a Deployment by name."""
    listing = cluster.kubectl("get", "pods", "-l", f"app=isvc.{name}", "-o", "json")
    items = json.loads(listing.output)["items"]
    return {each["metadata"]["name"]: each["metadata"]["uid"] for each in items}


@pytest.fixture
def served(cluster: Cluster) -> Iterator[Cluster]:
    """The example in Standard mode with v1, ready; deleted afterwards."""
    apply(cluster, standard())
    yield cluster
    cluster.kubectl("delete", "isvc", "--all")
    cluster.until("clean", lambda: "pods/" not in cluster.calumma("status").output)
    cluster.until("no objects", lambda: not cluster.kubectl(*OWN).output)


def test_a_manifest_becomes_a_deployment_that_answers(served: Cluster) -> None:
    isvc = served.get()
    port = served.settings()["gateway_port"]
    assert isvc["status"]["deploymentMode"] == "Standard"
    assert isvc["status"]["url"] == f"http://digits-default.localhost:{port}"
    address = isvc["status"]["address"]["url"]
    assert address == "http://digits-predictor.default.svc.cluster.local"
    kinds = [each["type"] for each in isvc["status"]["conditions"]]
    assert kinds == ["IngressReady", "PredictorReady", "Ready", "Stopped"]
    assert condition(isvc, "PredictorReady")["reason"] == "NewReplicaSetAvailable"
    assert isvc["status"]["modelStatus"]["states"]["activeModelState"] == "Loaded"
    for host in (
        "digits-default.example.com",
        "digits-predictor-default.localhost",
        "digits-predictor.default.svc.cluster.local",
        "digits-predictor.default",
    ):
        answer = served.post(b"", host, "/v2/models/digits/infer")
        assert answer.status_code == 400, host
        assert answer.headers["x-calumma-predictor-revision"] == STABLE
    assert served.post(b"", "digits.default.localhost").status_code == 404
    (name,) = pods_of(served, STABLE)
    assert name.startswith(f"{STABLE}-")
    environment = served.programs()
    assert f"pods/default/{name}/kserve-container" in environment


def test_kubectl_and_the_client_of_kubernetes_show_the_deployment(served: Cluster) -> None:
    rows = served.kubectl("get", "deploy").output.splitlines()
    assert rows[0].split() == ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"]
    assert rows[1].split()[:4] == [STABLE, "1/1", "1", "1"]
    everything = served.kubectl("get", "rs,svc").output
    assert f"replicaset.apps/{STABLE}-" in everything
    assert f"service/{STABLE}" in everything
    assert "80/TCP" in everything
    done = served.kubectl("rollout", "status", f"deployment/{STABLE}", "--timeout=30s")
    assert f'deployment "{STABLE}" successfully rolled out' in done.output
    assert "Started HTTPService" in served.kubectl("logs", f"deployment/{STABLE}").output
    described = served.kubectl("describe", "deployment", STABLE).output
    assert "25% max unavailable, 25% max surge" in described
    refused = served.kubectl("rollout", "restart", f"deployment/{STABLE}")
    assert "cannot patch resource" in refused.error
    kubernetes.config.load_kube_config(str(served.home.kubeconfig))
    with kubernetes.client.ApiClient() as client:
        found = kubernetes.client.AppsV1Api(client).read_namespaced_deployment(STABLE, "default")
    assert found.status.available_replicas == 1
    assert found.spec.selector.match_labels == {"app": f"isvc.{STABLE}"}


def test_an_update_under_load_loses_no_request(served: Cluster) -> None:
    url = served.get()["status"]["url"]
    with Askers(url) as live:
        served.until("traffic", lambda: len(live.replies) > 100)
        apply(served, standard("v2"))
        updated = len(live.replies) + 4  # those under way were sent before
        served.until("more traffic", lambda: len(live.replies) > updated + 100)
        apply(served, standard("v2", minReplicas=2))
        apply(served, standard("v1", minReplicas=2))
        served.until("two pods", lambda: len(pods_of(served, STABLE)) == 2)
        apply(served, standard("v1"))
        served.until("shrunk", lambda: len(pods_of(served, STABLE)) == 1)
        settled = len(live.replies)
        served.until("still more traffic", lambda: len(live.replies) > settled + 100)
    assert live.failures == []
    old = live.answers(settled + 4)
    assert len(old) == 1
    answers = live.answers()
    assert len(answers) == 2
    new = live.answers(updated)
    assert new[next(iter(answers.keys() - old.keys()))] > 90
    history = served.kubectl("rollout", "history", f"deployment/{STABLE}").output
    assert [line.split()[0] for line in history.splitlines()[2:] if line] == ["2", "3"]


def test_a_canary_is_promoted_without_a_restart(served: Cluster) -> None:
    url = served.get()["status"]["url"]
    with Askers(url) as live:
        apply(served, with_canary(standard(), 20))
        canaries(served)
        status = served.get()["status"]["canaryStatuses"]
        assert [(each["name"], each["ready"], each["trafficPercent"]) for each in status] == [
            ("v2", True, 20)
        ]
        began = len(live.replies) + 4
        served.until("enough traffic", lambda: len(live.replies) > began + 500)
        ended = len(live.replies)
        before = pods_of(served, CANARY)
        assert len(before) == 1
        agent = served.programs()["agent"]
        served.kill("agent")
        served.until("restarted", lambda: served.programs().get("agent") not in (None, agent))
        apply(served, promotion(standard("v2")))
        promoted = len(live.replies) + 4
        served.until("more traffic", lambda: len(live.replies) > promoted + 100)
        served.until("one left", lambda: not served.kubectl("get", "deploy", STABLE).output)
    assert live.failures == []
    split = Counter(reply.revisions.predictor for reply in live.replies[began:ended])
    bound = 3.3 * math.sqrt(0.2 * 0.8 / (ended - began))
    assert abs(split[CANARY] / (ended - began) - 0.2) < bound
    assert {name for name, _ in live.answers(promoted)} == {CANARY}
    assert pods_of(served, CANARY) == before
    assert condition(served.get(), "CanaryPredictorReady") == {"status": "Unknown"}
    assert served.get()["status"]["url"] == url


def test_a_canary_that_fails_gets_no_traffic_and_is_rolled_back(served: Cluster) -> None:
    url = served.get()["status"]["url"]
    with Askers(url) as live:
        apply(served, with_canary(standard(), 50, "v9"))
        canaries(served, "CanariesNotReady")
        failed = "no 'digits/v9' in the claim 'models'"
        served.until("told", lambda: failed in served.kubectl("describe", "isvc", "digits").output)
        (status,) = served.get()["status"]["canaryStatuses"]
        assert status["modelStatus"]["states"]["targetModelState"] == "FailedToLoad"
        assert condition(served.get(), "Ready")["status"] == "True"
        apply(served, standard())
        served.until("gone", lambda: not served.kubectl("get", "deploy", CANARY).output)
        served.until("traffic", lambda: len(live.replies) > 100)
    assert live.failures == []
    assert {name for name, _ in live.answers()} == {STABLE}
    status = served.get()["status"]
    assert "canaryStatuses" not in status
    assert "CanaryPredictorReady" not in {each["type"] for each in status["conditions"]}


def test_both_protocols_have_a_port(served: Cluster) -> None:
    isvc = standard()
    ports = [{"name": "http1", "containerPort": 8080}, {"name": "h2c", "containerPort": 9000}]
    isvc["spec"]["predictor"]["model"]["ports"] = ports
    apply(served, isvc)
    host = "digits-default.localhost"
    answer = served.post(b"", host, "/v2/models/digits/infer")
    assert answer.status_code == 400
    assert answer.headers["x-calumma-predictor-revision"] == STABLE

    async def ready() -> bool:
        options = [("grpc.ssl_target_name_override", host)]
        address = served.gateway.removeprefix("http://")
        async with kserve.InferenceGRPCClient(address, channel_args=options) as client:
            return bool(await client.is_model_ready("digits"))

    assert asyncio.run(ready())
    assert "80/TCP,9000/TCP" in served.kubectl("get", "svc").output


def test_stopping_ends_everything_and_resuming_brings_it_back(served: Cluster) -> None:
    apply(served, with_canary(standard(), 20))
    canaries(served)
    stop = "serving.kserve.io/stop"
    assert served.kubectl("annotate", "isvc", "digits", f"{stop}=true").code == 0
    canaries(served, "Stopped")
    served.until("ended", lambda: "pods/" not in served.calumma("status").output)
    served.until("no objects", lambda: not served.kubectl(*OWN).output)
    assert condition(served.get(), "Stopped")["status"] == "True"
    assert condition(served.get(), "PredictorReady")["reason"] == "Stopped"
    assert served.post(b"", "digits-default.localhost").status_code == 404
    assert served.kubectl("annotate", "isvc", "digits", f"{stop}-").code == 0
    served.until_ready()
    canaries(served)


def test_a_transformer_and_its_predictor_are_updated_under_load(served: Cluster) -> None:
    apply(served, standard(transformer=True))
    picture, label = image(0)
    answer = served.predict(picture, "digits-default.localhost")
    assert answer.json()["predictions"][0]["label"] == label
    assert answer.headers["x-calumma-transformer-revision"] == "digits-transformer"
    with users.Users(served.get()["status"]["url"], "digits", rate=40.0) as live:
        apply(served, standard("v2", transformer=True))
        apply(served, standard(transformer=True, canaryTrafficPercent=10))
        apply(served, with_canary(standard(transformer=True), 50))
        canaries(served)
        began = live.count
        served.until("traffic", lambda: live.count > began + 40)
        ended = live.count
        apply(served, promotion(standard("v2", transformer=True)))
        served.until("one left", lambda: not served.kubectl("get", "deploy", STABLE).output)
    assert live.summary.failures == {}, live.summary.sentence
    transformers = {
        outcome.reply.revisions.transformer for outcome in live.outcomes if outcome.reply
    }
    assert transformers == {"digits-transformer"}
    while_split = live.outcomes[began:ended]
    assert {outcome.answer.revision for outcome in while_split} == {STABLE}
    assert live.outcomes[-1].answer.revision == CANARY
    described = served.kubectl("describe", "isvc", "digits").output
    assert "the transformer calls the stable predictor only" in described
    assert "spec.predictor.canaryTrafficPercent has no effect in Standard mode" in described
    assert "TransformerReady" in described

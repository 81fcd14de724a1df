"""KServe's webhooks behind the API: defaults, denials, and the settings that they read."""

from __future__ import annotations

import json

import httpx

from support.api_server import MERGE, isvc

SETTINGS = "/api/v1/namespaces/kserve/configmaps/inferenceservice-config"


def test_the_bundle_is_there(client: httpx.Client) -> None:
    path = "/apis/serving.kserve.io/v1alpha1/clusterservingruntimes"
    names = [item["metadata"]["name"] for item in client.get(path).json()["items"]]
    assert "kserve-tritonserver" in names
    assert json.loads(client.get(SETTINGS).json()["data"]["ingress"])


def test_a_service_is_completed(client: httpx.Client, services: str) -> None:
    created = client.post(services, json=isvc("a")).json()
    assert created["metadata"]["annotations"]["modelFormat"] == "onnx"


def test_a_denial_is_forbidden_in_kserves_words(client: httpx.Client, services: str) -> None:
    answer = client.post(services, json=isvc("1a"))
    assert answer.status_code == 403
    message = answer.json()["message"]
    assert message.startswith(
        'admission webhook "inferenceservice.kserve-webhook-server.validator" denied the request: '
    )
    assert answer.json()["reason"] == "Forbidden"
    assert client.get(f"{services}/1a").status_code == 404


def test_a_value_of_the_wrong_type_is_the_schemas_affair(
    client: httpx.Client, services: str
) -> None:
    answer = client.post(services, json=isvc("1a", minReplicas={}))
    assert answer.status_code == 422


def test_an_update_is_judged_as_well(client: httpx.Client, services: str) -> None:
    client.post(services, json=isvc("a"))
    broken = {"spec": {"predictor": {"minReplicas": 5, "maxReplicas": 2}}}
    answer = client.patch(f"{services}/a", json=broken, headers={"content-type": MERGE})
    assert answer.status_code == 403
    assert "denied the request" in answer.json()["message"]


def test_an_ending_service_is_not_judged(client: httpx.Client, services: str) -> None:
    body = isvc("a")
    body["metadata"]["finalizers"] = ["calumma.test/hold"]
    client.post(services, json=body)
    client.delete(f"{services}/a")
    released = {"metadata": {"finalizers": None}}
    answer = client.patch(f"{services}/a", json=released, headers={"content-type": MERGE})
    assert answer.status_code == 200
    assert client.get(f"{services}/a").status_code == 404


def test_broken_settings_are_named(client: httpx.Client, services: str) -> None:
    before = client.get(SETTINGS).json()["data"]
    merge = {"content-type": MERGE}
    client.patch(SETTINGS, json={"data": {"ingress": "{"}}, headers=merge)
    try:
        answer = client.post(services, json=isvc("a"))
        assert answer.status_code == 500
        assert "inferenceservice-config" in answer.json()["message"]
    finally:
        client.patch(SETTINGS, json={"data": before}, headers=merge)
    assert client.post(services, json=isvc("a")).status_code == 201

"""KServe's own client, method by method, against a cluster that runs what it asks for."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kserve
import pytest
from kubernetes import client
from kubernetes.client.rest import ApiException

from support.cluster import Cluster, manifest, shares

GROUP = "serving.kserve.io"
SERVICE = f"{GROUP}/v1beta1"
DEFAULT_ACCOUNT = "kserve-service-credentials"
Client = Any  # kserve.KServeClient, which has no types


@pytest.fixture
def api(cluster: Cluster) -> Iterator[Client]:
    """A client in the cluster's default namespace, which is empty afterwards."""
    yield kserve.KServeClient(config_file=str(cluster.home.kubeconfig))
    cluster.kubectl("delete", "isvc", "--all")
    cluster.until("clean", lambda: "pods/" not in cluster.calumma("status").output)


@pytest.fixture
def namespace(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace of the test's own."""
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")[:60].strip("-")
    assert cluster.kubectl("create", "namespace", name).code == 0
    yield name
    cluster.kubectl("delete", "namespace", name)


def service(version: str = "v1", canary: int | None = None, **meta: Any) -> Any:
    """The example as KServe's models write it."""
    model = kserve.V1beta1ModelSpec(
        model_format=kserve.V1beta1ModelFormat(name="triton"),
        protocol_version="v2",
        storage_uri=f"pvc://models/digits/{version}",
    )
    container = client.V1Container(name="kserve-container", image="calumma/digits:0.1.0")
    return kserve.V1beta1InferenceService(
        api_version=SERVICE,
        kind="InferenceService",
        metadata=client.V1ObjectMeta(name="digits", namespace="default", **meta),
        spec=kserve.V1beta1InferenceServiceSpec(
            predictor=kserve.V1beta1PredictorSpec(model=model, canary_traffic_percent=canary),
            transformer=kserve.V1beta1TransformerSpec(containers=[container]),
        ),
    )


def wait(api: Client, stored: Any) -> Any:
    """Wait until that generation is ready; the service as it is then."""
    api.wait_isvc_ready(
        "digits",
        namespace="default",
        timeout_seconds=120,
        polling_interval=0.5,
        expected_generation=stored["metadata"]["generation"],
    )
    return api.get("digits", namespace="default")


def test_from_creation_to_deletion(
    cluster: Cluster, api: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    created = api.create(service())
    assert created["metadata"]["generation"] == 1
    assert not api.is_isvc_ready("digits", namespace="default")
    api.get("digits", namespace="default", watch=True, timeout_seconds=120)
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    url = api.get("digits", namespace="default")["status"]["url"]
    assert rows[0] == ["NAME", "READY", "PREV", "LATEST", "URL"]
    assert rows[-1] == ["digits", "True", "0", "100", url]
    assert [row[1] for row in rows if row[0] == "digits"].count("True") == 1
    assert api.is_isvc_ready("digits", namespace="default", expected_generation=1)
    assert not api.is_isvc_ready("digits", namespace="default", expected_generation=2)

    patched = api.patch("digits", service("v2", canary=10), namespace="default")
    assert shares(wait(api, patched)) == {"00002": 10, "00001": 90}
    api.wait_isvc_ready("digits", namespace="default", watch=True, expected_generation=2)
    canary = capsys.readouterr().out.splitlines()[-1].split()
    assert canary == ["digits", "True", "90", "10", url]

    replaced = api.replace("digits", service("v2"), namespace="default")
    assert replaced["metadata"]["generation"] == 3
    assert "canaryTrafficPercent" not in replaced["spec"]["predictor"]
    assert shares(wait(api, replaced)) == {"00002": 100}
    names = [each["metadata"]["name"] for each in api.get(namespace="default")["items"]]
    assert names == ["digits"]

    api.delete("digits", namespace="default")
    cluster.until("gone", lambda: not api.get(namespace="default")["items"])
    with pytest.raises(RuntimeError, match="Not Found"):
        api.get("digits", namespace="default")


def test_what_the_server_refuses_is_raised(api: Client) -> None:
    created = api.create(service())
    with pytest.raises(RuntimeError, match=r"\(409\)\s+Reason: Conflict"):
        api.create(service())
    api.patch("digits", service("v2"), namespace="default")
    stale = service("v3", resource_version=created["metadata"]["resourceVersion"])
    with pytest.raises(RuntimeError, match="the object has been modified"):
        api.replace("digits", stale, namespace="default")
    with pytest.raises(RuntimeError, match="Not Found"):
        api.replace("nobody", service(), namespace="default")
    with pytest.raises(RuntimeError, match="Not Found"):
        api.delete("nobody", namespace="default")
    with pytest.raises(RuntimeError, match="Timeout to start the InferenceService digits for"):
        api.wait_isvc_ready(
            "digits", "default", timeout_seconds=1, polling_interval=1, expected_generation=99
        )
    unnamed = service()
    unnamed.spec.predictor.model.storage_uri = None
    unnamed.metadata.name = "Digits"
    with pytest.raises(RuntimeError, match="RFC 1123"):
        api.create(unnamed)


def secret_of(account: str, namespace: str, number: int = -1) -> Any:
    """The Secret that a ServiceAccount names."""
    core = client.CoreV1Api()
    found = core.read_namespaced_service_account(account, namespace)
    assert found.secrets[number].kind == "Secret"
    secret = core.read_namespaced_secret(found.secrets[number].name, namespace)
    assert secret.metadata.name.startswith("kserve-secret-")
    assert secret.type == "Opaque"
    return secret


def test_credentials_for_s3(api: Client, namespace: str, tmp_path: Path) -> None:
    key, secret = (base64.b64encode(text).decode() for text in (b"key", b"secret"))
    file = tmp_path / "aws"
    file.write_text(f"[other]\naws_access_key_id={key}\naws_secret_access_key={secret}\n")
    settings = {
        "s3_endpoint": "s3.us-west-2.amazonaws.com",
        "s3_region": "us-west-2",
        "s3_use_https": "1",
        "s3_verify_ssl": "0",
        "s3_cabundle": "/etc/ca.pem",
    }
    api.set_credentials("s3", namespace, str(file), s3_profile="other", **settings)
    found = secret_of(DEFAULT_ACCOUNT, namespace)
    assert found.data == {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret}
    assert found.metadata.annotations == {
        f"{GROUP}/s3-endpoint": "s3.us-west-2.amazonaws.com",
        f"{GROUP}/s3-region": "us-west-2",
        f"{GROUP}/s3-usehttps": "1",
        f"{GROUP}/s3-verifyssl": "0",
        f"{GROUP}/s3-cabundle": "/etc/ca.pem",
    }


def test_credentials_for_google_and_azure(api: Client, namespace: str, tmp_path: Path) -> None:
    file = tmp_path / "gcs.json"
    content = json.dumps({"client_id": "x.apps.googleusercontent.com", "type": "authorized_user"})
    file.write_text(content)
    api.set_credentials("gcs", namespace, str(file), service_account="mine")
    google = secret_of("mine", namespace)
    assert list(google.data) == ["gcloud-application-credentials.json"]
    assert base64.b64decode(google.data["gcloud-application-credentials.json"]).decode() == content

    names = ("clientId", "clientSecret", "subscriptionId", "tenantId")
    values = {name: base64.b64encode(name.encode()).decode() for name in names}
    file.write_text(json.dumps(values))
    api.set_credentials("Azure", namespace, str(file), service_account="mine")
    account = client.CoreV1Api().read_namespaced_service_account("mine", namespace)
    assert len(account.secrets) == 2
    azure = next(
        found
        for number in range(2)
        if (found := secret_of("mine", namespace, number)).metadata.name != google.metadata.name
    )
    assert azure.data == {
        "AZURE_CLIENT_ID": values["clientId"],
        "AZURE_CLIENT_SECRET": values["clientSecret"],
        "AZURE_SUBSCRIPTION_ID": values["subscriptionId"],
        "AZURE_TENANT_ID": values["tenantId"],
    }
    with pytest.raises(RuntimeError, match="Invalid storage_type: hf"):
        api.set_credentials("hf", namespace, str(file))


@pytest.mark.parametrize(
    ("kind", "plural", "namespaced"),
    [
        ("ServingRuntime", "servingruntimes", True),
        ("ClusterServingRuntime", "clusterservingruntimes", False),
    ],
)
def test_runtimes_come_change_and_go(
    api: Client, namespace: str, kind: str, plural: str, namespaced: bool
) -> None:
    runtime = {
        "apiVersion": f"{GROUP}/v1alpha1",
        "kind": kind,
        "metadata": {"name": "own-triton"},
        "spec": {
            "supportedModelFormats": [{"name": "own", "version": "1", "autoSelect": True}],
            "protocolVersions": ["v2"],
            "containers": [{"name": "kserve-container", "image": "example/own:1"}],
        },
    }
    where = (GROUP, "v1alpha1", *([namespace] if namespaced else []), plural)
    scope = "namespaced" if namespaced else "cluster"

    def call(verb: str, *arguments: Any) -> Any:
        return getattr(api.api_instance, f"{verb}_{scope}_custom_object")(*where, *arguments)

    created = call("create", runtime)
    assert created["metadata"]["generation"] == 1
    changed = call("patch", "own-triton", {"spec": {"disabled": True}})
    assert (changed["spec"]["disabled"], changed["metadata"]["generation"]) == (True, 2)
    with pytest.raises(ApiException, match="the object has been modified"):
        call("replace", "own-triton", {**runtime, "metadata": created["metadata"]})
    call("replace", "own-triton", {**runtime, "metadata": changed["metadata"]})
    assert "disabled" not in call("get", "own-triton")["spec"]
    assert "own-triton" in [each["metadata"]["name"] for each in call("list")["items"]]
    call("delete", "own-triton")
    with pytest.raises(ApiException, match="NotFound"):
        call("get", "own-triton")


def test_a_dictionary_is_taken_as_well(api: Client) -> None:
    custom = client.CustomObjectsApi()
    place = (GROUP, "v1beta1", "default", "inferenceservices")
    stored = custom.create_namespaced_custom_object(*place, manifest("v1"))
    assert wait(api, stored)["status"]["modelStatus"]["transitionStatus"] == "UpToDate"

"""Models from an S3 server with credentials of a Secret, and from an archive of a web server."""

from __future__ import annotations

import http.server
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from support.cluster import Cluster, condition, image, manifest

BUCKET = "models"


@pytest.fixture
def s3(models: Path) -> Iterator[str]:
    """An S3 server that has v1; its address."""
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    address = f"{host}:{port}"
    client = boto3.client(
        "s3",
        endpoint_url=f"http://{address}",
        aws_access_key_id="key",
        aws_secret_access_key="secret",
        region_name="us-east-1",
    )
    client.create_bucket(Bucket=BUCKET)
    for path in sorted((models / "digits/v1").rglob("*")):
        if path.is_file():
            client.upload_file(str(path), BUCKET, str(path.relative_to(models)))
    yield address
    server.stop()


@pytest.fixture
def web(models: Path, tmp_path: Path) -> Iterator[str]:
    """A web server that has v1 as ``digits.tar.gz``; its address."""
    with tarfile.open(tmp_path / "digits.tar.gz", "w:gz") as archive:
        archive.add(models / "digits/v1", arcname=".")
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


def served_from(uri: str, **predictor: Any) -> dict[str, Any]:
    isvc = manifest(**predictor)
    isvc["spec"]["predictor"]["model"]["storageUri"] = uri
    return isvc


def assert_answers(cluster: Cluster) -> None:
    picture, label = image(0)
    assert cluster.predict(picture).json()["predictions"][0]["label"] == label


def failure(cluster: Cluster) -> str:
    """Why the first revision failed. Ready itself says in Knative's way that there is none."""
    cluster.until("failed", lambda: condition(cluster.get(), "Ready")["status"] == "False")
    text: str = condition(cluster.get(), "PredictorConfigurationReady")["message"]
    return text


@pytest.fixture(autouse=True)
def clean(cluster: Cluster) -> Iterator[None]:
    yield
    cluster.kubectl("delete", "isvc", "--all")


def test_s3_with_the_credentials_of_a_service_account(cluster: Cluster, s3: str) -> None:
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": "s3",
            "annotations": {
                "serving.kserve.io/s3-endpoint": s3,
                "serving.kserve.io/s3-usehttps": "0",
                "serving.kserve.io/s3-region": "us-east-1",
            },
        },
        "stringData": {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "very-secret"},
    }
    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "models"},
        "secrets": [{"name": "s3"}],
    }
    for document in (secret, account):
        assert cluster.kubectl("apply", "-f", "-", document=document).code == 0
    isvc = served_from(f"s3://{BUCKET}/digits/v1", serviceAccountName="models")
    applied = cluster.kubectl("apply", "-f", "-", document=isvc)
    assert applied.code == 0, applied.error
    cluster.until_ready()
    assert_answers(cluster)
    logs = cluster.home.logs.rglob("*.log")
    assert not [path for path in logs if "very-secret" in path.read_text(errors="replace")]


def test_s3_without_credentials_says_so(cluster: Cluster) -> None:
    cluster.kubectl("apply", "-f", "-", document=served_from("s3://nobodys-bucket/digits"))
    message = failure(cluster)
    assert "Container failed with: s3://nobodys-bucket/digits: " in message
    assert "Set AWS_ACCESS_KEY_ID/AWS_SECRET_ACCESS_KEY" in message


def test_an_archive_of_a_web_server(cluster: Cluster, web: str) -> None:
    isvc = served_from(f"http://{web}/digits.tar.gz")
    assert cluster.kubectl("apply", "-f", "-", document=isvc).code == 0
    cluster.until_ready()
    assert_answers(cluster)


def test_an_archive_that_is_not_there(cluster: Cluster, web: str) -> None:
    cluster.kubectl("apply", "-f", "-", document=served_from(f"http://{web}/none.tar.gz"))
    expected = f"Container failed with: HTTP resource not found at 'http://{web}/none.tar.gz'"
    assert expected in failure(cluster)


def test_a_folder_of_this_machine(cluster: Cluster, models: Path) -> None:
    isvc = served_from(f"file://{models}/digits/v1")
    assert cluster.kubectl("apply", "-f", "-", document=isvc).code == 0
    cluster.until_ready()
    assert_answers(cluster)

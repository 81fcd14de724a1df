from __future__ import annotations

import base64

from calumma.cluster.node import credentials
from calumma.cluster.objects import Object


def secret(data: dict[str, str], annotations: dict[str, str] | None = None) -> Object:
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    return {"metadata": {"name": "s", "annotations": annotations or {}}, "data": encoded}


def test_s3_credentials_and_endpoint() -> None:
    found = credentials.variables(
        secret(
            {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "key"},
            {
                "serving.kserve.io/s3-endpoint": "127.0.0.1:9000",
                "serving.kserve.io/s3-usehttps": "0",
                "serving.kserve.io/s3-region": "us-east-1",
            },
        )
    )
    assert found == {
        "AWS_ACCESS_KEY_ID": "id",
        "AWS_SECRET_ACCESS_KEY": "key",
        "AWS_DEFAULT_REGION": "us-east-1",
        "S3_USE_HTTPS": "0",
        "S3_ENDPOINT": "127.0.0.1:9000",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9000",
    }


def test_hugging_face_and_https_headers() -> None:
    assert credentials.variables(secret({"HF_TOKEN": "t"})) == {"HF_TOKEN": "t"}
    assert credentials.variables(secret({"https-host": "h", "headers": "{}"})) == {
        "h-headers": "{}"
    }


def test_other_secrets_give_nothing() -> None:
    assert credentials.variables(secret({"password": "p"})) == {}
    assert credentials.variables({"metadata": {"name": "s"}}) == {}

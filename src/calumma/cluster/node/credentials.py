"""Credentials for the storage initializer, from a ServiceAccount's Secrets.

KServe turns the Secrets of a component's ServiceAccount into environment variables of its storage
initializer; this does the same for S3, Hugging Face and HTTPS headers.
Source: kserve ``pkg/credentials`` (service_account_credentials.go, s3, hf, https).
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from calumma import errors
from calumma.cluster import objects
from calumma.cluster.node import client

_PREFIX = "serving.kserve.io/s3-"
_S3_OPTIONS = {
    "region": "AWS_DEFAULT_REGION",
    "usehttps": "S3_USE_HTTPS",
    "verifyssl": "S3_VERIFY_SSL",
    "usevirtualbucket": "S3_USER_VIRTUAL_BUCKET",
    "useaccelerate": "S3_USE_ACCELERATE",
    "useanoncredential": "awsAnonymousCredential",
    "cabundle": "AWS_CA_BUNDLE",
}


async def environment(api: client.Client, namespace: str, account: str) -> dict[str, str]:
    """The variables for a ServiceAccount; none when it or its Secrets do not exist."""
    found: dict[str, str] = {}
    try:
        service_account = await api.get(client.SERVICE_ACCOUNT, namespace, account)
    except errors.ApiError:
        return found
    for reference in service_account.get("secrets") or []:
        try:
            secret = await api.get(client.SECRET, namespace, reference["name"])
        except errors.ApiError:
            continue
        found.update(variables(secret))
    return found


def variables(secret: Mapping[str, Any]) -> dict[str, str]:
    """The variables that one Secret gives; none when it holds no storage credentials."""
    data = {
        key: base64.b64decode(value).decode()
        for key, value in objects.dig(secret, "data", default={}).items()
    }
    found = {key: data[key] for key in ("HF_TOKEN",) if key in data}
    if "AWS_ACCESS_KEY_ID" in data and "AWS_SECRET_ACCESS_KEY" in data:
        found.update(_s3(data, objects.annotations_of(secret)))
    if "https-host" in data and "headers" in data:
        found[f"{data['https-host']}-headers"] = data["headers"]
    return found


def _s3(data: Mapping[str, str], annotations: Mapping[str, str]) -> dict[str, str]:
    found = {key: data[key] for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
    for option, variable in _S3_OPTIONS.items():
        value = annotations.get(_PREFIX + option)
        if value:
            found[variable] = value
    endpoint = annotations.get(f"{_PREFIX}endpoint")
    if endpoint:
        scheme = "http" if annotations.get(f"{_PREFIX}usehttps") == "0" else "https"
        found["S3_ENDPOINT"] = endpoint
        found["AWS_ENDPOINT_URL"] = f"{scheme}://{endpoint}"
    return found

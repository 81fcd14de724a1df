"""A manifest that is wrong and a request that is none are refused with a reason."""

from __future__ import annotations

from typing import Any

import pytest

from support.cluster import Cluster, manifest


@pytest.fixture(scope="module")
def served(cluster: Cluster) -> Cluster:
    """The example's InferenceService, ready, for all tests here."""
    applied = cluster.kubectl("apply", "-f", "-", document=manifest())
    assert applied.code == 0, applied.error
    cluster.until_ready()
    return cluster


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metadata": {"name": "Digits"}}, "a lowercase RFC 1123 subdomain"),
        ({"spec": {"predictor": {"modle": {}}}}, 'unknown field "spec.predictor.modle"'),
        ({"spec": {"predictor": {"minReplicas": -1}}}, "'MinReplicas' cannot be less than 0"),
        ({"spec": {"predictor": {"minReplicas": "two"}}}, "minReplicas"),
    ],
)
def test_a_manifest_that_is_refused(served: Cluster, change: dict[str, Any], message: str) -> None:
    wrong = manifest(name="other")
    for part, fields in change.items():
        for name, value in fields.items():
            if isinstance(value, dict):
                wrong[part][name].update(value)
            else:
                wrong[part][name] = value
    answer = served.kubectl("create", "-f", "-", document=wrong)
    assert answer.code == 1
    assert message in answer.error
    assert "NotFound" in served.kubectl("get", "isvc", "other").error


@pytest.mark.parametrize(
    ("body", "code", "reason"),
    [
        (b"", 400, "The image is empty"),
        (b"{", 400, "Unrecognized request format"),
        (b"{}", 400, "instances"),
        (b'{"instances": []}', 400, "instances"),
        (b'{"instances": [{"image": {"b64": "aGVsbG8="}}]}', 400, "neither a JPEG nor a PNG"),
        (b'{"instances": [' + b" " * (30 << 20) + b"]}", 413, "bytes"),
    ],
)
def test_a_request_that_is_none(served: Cluster, body: bytes, code: int, reason: str) -> None:
    answer = served.post(body)
    assert answer.status_code == code, answer.text
    assert reason in answer.text
    assert "Traceback" not in answer.text

"""The URL of a step that names an InferenceService, by KServe's rules."""

from __future__ import annotations

from typing import Any

import pytest

from calumma import errors
from calumma.cluster.kserve import endpoint, runtimes
from calumma.cluster.objects import Object

HOST = "http://s.default.svc.cluster.local"


def runtime(name: str, *protocols: str) -> Object:
    return {"metadata": {"name": name}, "spec": {"protocolVersions": list(protocols)}}


RUNTIMES = runtimes.Runtimes(
    [runtime("own", "grpc-v2", "v2", "v1")],
    [runtime("own", "v1"), runtime("grpc", "grpc-v2"), runtime("any")],
)


def isvc(predictor: dict[str, Any], transformer: dict[str, Any] | None = None) -> Object:
    spec: Object = {"predictor": predictor}
    if transformer is not None:
        spec["transformer"] = transformer
    return {"metadata": {"name": "s"}, "spec": spec, "status": {"address": {"url": HOST}}}


def model(**fields: Any) -> dict[str, Any]:
    return {"model": {"modelFormat": {"name": "onnx"}, "storageUri": "s3://m", **fields}}


def custom(name: str = "c", **fields: Any) -> dict[str, Any]:
    return {"containers": [{"name": name, **fields}]}


def env(name: str, value: str) -> list[dict[str, str]]:
    return [{"name": name, "value": value}]


@pytest.mark.parametrize(
    ("predictor", "transformer", "path"),
    [
        (custom(), None, "/v1/models/s:predict"),
        (custom(args=["--model_name", "m"]), None, "/v1/models/m:predict"),
        (custom(args=["--model_name=m"]), None, "/v1/models/m:predict"),
        (custom(args=["--model_name", "--other"]), None, "/v1/models/s:predict"),
        (custom(env=env("PROTOCOL", "v2")), None, "/v2/models/s/infer"),
        (custom(env=env("PROTOCOL", "grpc-v2")), None, ""),
        (custom(env=env("MULTI_MODEL_SERVER", "true")), None, ""),
        (
            {"containers": [{"name": "c"}, {"name": "transformer-container",
                                            "env": env("PROTOCOL", "v2")}]},
            None,
            "/v2/models/s/infer",
        ),
        (model(), None, "/v1/models/s:predict"),
        (model(protocolVersion="v2"), None, "/v2/models/s/infer"),
        (model(args=["--model_name=m"]), None, "/v1/models/m:predict"),
        (model(env=env("MLSERVER_MODEL_NAME", "ml")), None, "/v1/models/ml:predict"),
        (model(storageUri=None), None, ""),
        (model(runtime="own"), None, "/v2/models/s/infer"),
        (model(runtime="any", protocolVersion="v2"), None, "/v2/models/s/infer"),
        (model(protocolVersion="v2"), custom(), "/v1/models/s:predict"),
        (model(), custom(args=["--model_name", "t"]), "/v1/models/t:predict"),
        (model(), custom(env=env("PROTOCOL", "v2")), "/v2/models/s/infer"),
        (model(args=["--model_name=m"]), custom(), "/v1/models/m:predict"),
    ],
)  # fmt: skip
def test_address_and_path(
    predictor: dict[str, Any], transformer: dict[str, Any] | None, path: str
) -> None:
    assert endpoint.url(isvc(predictor, transformer), RUNTIMES) == HOST + path


def test_a_service_without_an_address_is_not_ready() -> None:
    waiting = {**isvc(model()), "status": {}}
    with pytest.raises(errors.ServiceUnavailable, match=r"^service s is not ready$"):
        endpoint.url(waiting, RUNTIMES)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("grpc", "the runtime does not support a protocol compatible with Inference Graphs"),
        ("gone", "No ServingRuntimes or ClusterServingRuntimes with the name: gone"),
    ],
)
def test_a_runtime_that_a_graph_cannot_ask(name: str, message: str) -> None:
    with pytest.raises(errors.ReconcileFailed, match=message):
        endpoint.url(isvc(model(runtime=name)), RUNTIMES)

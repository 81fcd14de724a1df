"""TorchScript models of a claim, in upstream KServe's manifests, by REST and by gRPC."""

from __future__ import annotations

import base64
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kserve
import numpy as np
import pytest
import torch
import yaml
from numpy.typing import NDArray
from PIL import Image

from support import cifar10_transformer, torchscript_models
from support import cluster as support
from support.cluster import Cluster, Object, condition

SUPPORT = support.ROOT / "tests/support"
SEED = 1
URI = "pvc://models/torchscript"
REPOSITORY = {"storageUri": URI, "resources": {"requests": {"cpu": "10m", "memory": "128Mi"}}}
H2C = [{"name": "h2c", "protocol": "TCP", "containerPort": 9000}]

TRITON_KEY = {"minReplicas": 1, "triton": REPOSITORY}
BY_GRPC = {
    "minReplicas": 1,
    "model": {"modelFormat": {"name": "triton"}, "ports": H2C, **REPOSITORY},
}
TRANSFORMER = {
    "minReplicas": 1,
    "containers": [
        {
            "name": "kserve-container",
            "image": "example/cifar10-transformer:latest",
            "args": ["--model_name", "cifar10", "--predictor_protocol", "grpc-v2"],
        }
    ],
}
CUSTOM = {
    "minReplicas": 1,
    "containers": [
        {
            "name": "kserve-container",
            "image": "example/cifar10-predictor:latest",
            "args": ["--model_name", "cifar10", "--seed", str(SEED)],
            "ports": [{"name": "h2c", "protocol": "TCP", "containerPort": 8081}],
        }
    ],
}
SERVICES: dict[str, Object] = {
    "by-rest": {"predictor": TRITON_KEY},
    "by-grpc": {"predictor": BY_GRPC},
    "chain": {"predictor": BY_GRPC, "transformer": TRANSFORMER},
    "custom": {"predictor": CUSTOM, "transformer": TRANSFORMER},
}


@pytest.fixture(scope="module")
def claim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for the claim ``models``: ``torchscript`` as upstream's bucket has it."""
    folder = tmp_path_factory.mktemp("claim")
    model = torchscript_models.scripted(torchscript_models.Cifar10(SEED))
    config = torchscript_models.cifar10('platform: "pytorch_libtorch"')
    torchscript_models.add(folder / "torchscript", "cifar10", model, config)
    torchscript_models.add(folder / "corrupt", "cifar10", model[: len(model) // 2], config)
    return folder


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, claim: Path) -> Iterator[Cluster]:
    if support.KUBECTL is None:
        pytest.skip("kubectl is not installed")
    home = tmp_path_factory.mktemp("home")
    images = home.with_name("images.yaml")
    rows = [
        {
            "image": f"example/cifar10-{component}",
            "kind": "kserve",
            "command": ["python", str(SUPPORT / f"cifar10_{component}.py")],
        }
        for component in ("predictor", "transformer")
    ]
    images.write_text(yaml.safe_dump({"images": rows}))
    words = ("--claim", f"models={claim}", "--images", str(images))
    with support.running(home, *words) as running:
        for name, spec in SERVICES.items():
            applied = running.kubectl("apply", "-f", "-", document=manifest(name, spec))
            assert applied.code == 0, applied.error
        for name in SERVICES:
            running.until_ready(name)
        yield running


def manifest(name: str, spec: Object) -> Object:
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": name},
        "spec": spec,
    }


def host(service: str) -> str:
    return f"{service}.default.localhost"


def logits_of(batch: torch.Tensor) -> NDArray[Any]:
    """What torch itself says, without TorchScript and without a server."""
    with torch.inference_mode():
        logits: NDArray[Any] = torchscript_models.Cifar10(SEED)(batch).numpy()
    return logits


def agree(found: Any, expected: NDArray[Any]) -> None:
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)
    assert np.argmax(found, axis=1).tolist() == expected.argmax(1).tolist()


def by_grpc(cluster: Cluster, client: str, authority: str, batch: torch.Tensor) -> Object:
    """What a gRPC client is told on the gateway's one port; see support/ask_by_grpc.py."""
    file = cluster.home.path.with_name("batch.npy")
    np.save(file, batch.numpy())
    address = cluster.gateway.removeprefix("http://")
    words = (client, address, authority, "cifar10", str(file))
    argv = [sys.executable, str(SUPPORT / "ask_by_grpc.py"), *words]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    answer: Object = json.loads(done.stdout)
    return answer


def test_upstreams_manifest_with_the_triton_key_answers_by_rest(cluster: Cluster) -> None:
    image = torchscript_models.images(1)
    data = image.flatten().tolist()
    tensor = {"name": "INPUT__0", "shape": [1, 3, 32, 32], "datatype": "FP32", "data": data}
    body = json.dumps({"inputs": [tensor]}).encode()
    reply = cluster.post(body, host("by-rest"), "/v2/models/cifar10/infer")
    assert reply.status_code == 200, reply.text
    (output,) = reply.json()["outputs"]
    assert (output["name"], output["shape"]) == ("OUTPUT__0", [1, 10])
    agree([output["data"]], logits_of(image))
    assert reply.headers["x-calumma-predictor-revision"] == "by-rest-predictor-00001"


@pytest.mark.parametrize("client", ["nvidia", "kserve"])
@pytest.mark.parametrize("service", ["by-grpc", "by-grpc-predictor", "custom-predictor"])
def test_grpc_goes_through_the_same_port_by_its_authority(
    client: str, service: str, cluster: Cluster
) -> None:
    batch = torchscript_models.images(3)
    answer = by_grpc(cluster, client, host(service), batch)
    assert answer.get("ready") is True, answer
    agree(answer["logits"], logits_of(batch))
    if client == "nvidia" and service.startswith("by-grpc"):
        assert answer["platform"] == "pytorch_libtorch"


def test_a_host_that_nobody_answers_to_is_told_so_by_grpc(cluster: Cluster) -> None:
    answer = by_grpc(cluster, "nvidia", host("nobody"), torchscript_models.images(1))
    assert answer["code"] == "StatusCode.UNIMPLEMENTED", answer


@pytest.mark.parametrize("service", ["chain", "custom"])
def test_a_transformer_asks_its_predictor_by_grpc(service: str, cluster: Cluster) -> None:
    shades = (torchscript_models.images(2) + 1) * 127.5
    pngs = [png(each) for each in shades]
    instances = [{"image": {"b64": base64.b64encode(each).decode()}} for each in pngs]
    body = json.dumps({"instances": instances}).encode()
    reply = cluster.post(body, host(service), "/v1/models/cifar10:predict")
    assert reply.status_code == 200, reply.text
    batch = torch.from_numpy(np.stack([cifar10_transformer.pixels(each) for each in pngs]))
    agree(reply.json()["predictions"], logits_of(batch))
    assert reply.headers["x-calumma-transformer-revision"] == f"{service}-transformer-00001"


async def test_kserves_client_finds_the_model_ready_through_the_gateway(cluster: Cluster) -> None:
    config = kserve.RESTConfig(protocol="v2", timeout=30)
    client = kserve.InferenceRESTClient(config)
    try:
        for service in ("by-rest", "chain"):
            headers = {"Host": host(service)}
            assert await client.is_model_ready(cluster.gateway, "cifar10", headers=headers)
            found = await client.is_model_ready(cluster.gateway, "nobody", headers=headers)
            assert not found
    finally:
        await client.close()


def test_a_torchscript_file_that_is_corrupt_says_so(cluster: Cluster) -> None:
    changed = {"triton": {"storageUri": "pvc://models/corrupt"}, "canaryTrafficPercent": 10}
    cluster.patch({"predictor": changed}, "by-rest")
    kind = "PredictorReady"
    cluster.until("failed", lambda: condition(cluster.get("by-rest"), kind)["status"] == "False")
    isvc = cluster.get("by-rest")
    sentence = "Model 'cifar10': torch cannot load"
    assert sentence in condition(isvc, kind)["message"]
    assert sentence in isvc["status"]["modelStatus"]["lastFailureInfo"]["message"]
    cluster.until(
        "an event", lambda: sentence in cluster.kubectl("describe", "isvc", "by-rest").output
    )
    test_upstreams_manifest_with_the_triton_key_answers_by_rest(cluster)


def png(shades: torch.Tensor) -> bytes:
    """An image of shades from 0 to 255, [3, height, width], as a file."""
    file = io.BytesIO()
    Image.fromarray(shades.round().to(torch.uint8).numpy().transpose(1, 2, 0)).save(file, "PNG")
    return file.getvalue()

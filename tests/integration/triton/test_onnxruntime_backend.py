"""The onnxruntime backend inside a real tritonserver, one for all tests here."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import tritonclient.http as triton_http
from numpy.typing import NDArray
from onnx import TensorProto
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from calumma.models import digits
from support import onnx_models, pods

DIGITS = pods.ROOT / "inferenceservices" / "digits" / "config.pbtxt"

# Requests wait for up to 0.3 s until eight of them run as one batch.
BATCHING = """
backend: "onnxruntime"
max_batch_size: 8
dynamic_batching { preferred_batch_size: [ 8 ] max_queue_delay_microseconds: 300000 }
instance_group [{ count: 1 kind: KIND_CPU }]
"""

NOT_BATCHED = """
backend: "onnxruntime"
input [{ name: "x" data_type: TYPE_FP32 dims: [ 2, 3 ] }]
output [{ name: "y" data_type: TYPE_FP32 dims: [ 2, 3 ] }]
"""

OPTIONAL = """
backend: "onnxruntime"
max_batch_size: 4
input [
  { name: "x" data_type: TYPE_FP32 dims: [ 1 ] },
  { name: "z" data_type: TYPE_FP32 dims: [ 1 ] optional: true }
]
output [{ name: "y" data_type: TYPE_FP32 dims: [ 1 ] }]
"""

TUNED = """
platform: "onnxruntime_onnx"
default_model_filename: "tuned.onnx"
max_batch_size: 2
optimization { graph { level: 1 } }
parameters { key: "intra_op_thread_count" value: { string_value: "1" } }
parameters { key: "inter_op_thread_count" value: { string_value: "2" } }
parameters { key: "execution_mode" value: { string_value: "1" } }
parameters { key: "enable_mem_arena" value: { string_value: "0" } }
instance_group [{ count: 2 kind: KIND_CPU }]
"""

Arrays = Mapping[str, NDArray[Any]]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """The ONNX files of two versions of the digits model."""
    into = tmp_path_factory.mktemp("models")
    versions = digits.train(into, config=DIGITS, versions=["v1", "v2"])
    return {one.version: one.folder / "digits" / "1" / "model.onnx" for one in versions}


@pytest.fixture(scope="module")
def server(
    trained: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[pods.Server]:
    repository = tmp_path_factory.mktemp("repository")
    models: dict[str, tuple[bytes, str | None]] = {
        "bare": (onnx_models.two_outputs(), None),
        "lookup": (onnx_models.lookup(), BATCHING),
        "not_batched": (onnx_models.identity(TensorProto.FLOAT, [2, 3]), NOT_BATCHED),
        "optional": (onnx_models.sum_of_two(z=100), OPTIONAL),
        "strings": (onnx_models.identity(TensorProto.STRING, ["n", 2]), BATCHING),
        "half": (onnx_models.identity(TensorProto.FLOAT16, ["n", 3]), None),
        "scalars": (onnx_models.identity(TensorProto.INT32, ["n"]), None),
    }
    for name, (onnx, config) in models.items():
        onnx_models.add(repository, name, onnx, config)
    both = DIGITS.read_text() + "version_policy { all { } }\n"
    onnx_models.add(repository, "digits", trained["v1"].read_bytes(), both, version=1)
    onnx_models.add(repository, "digits", trained["v2"].read_bytes(), version=2)
    onnx_models.add(repository, "tuned", None, TUNED)
    (repository / "tuned" / "1" / "tuned.onnx").write_bytes(onnx_models.two_outputs())
    scratch = tmp_path_factory.mktemp("triton")
    with pods.start_triton(repository, scratch) as started:
        yield started


@pytest.fixture(scope="module")
def client(server: pods.Server) -> Iterator[triton_http.InferenceServerClient]:
    with triton_http.InferenceServerClient(
        server.url.removeprefix("http://"), concurrency=16
    ) as connected:
        yield connected


def tensors(arrays: Arrays) -> list[Any]:
    inputs = []
    for name, array in arrays.items():
        tensor = triton_http.InferInput(name, array.shape, np_to_triton_dtype(array.dtype))
        tensor.set_data_from_numpy(array)
        inputs.append(tensor)
    return inputs


@pytest.fixture
def infer(client: triton_http.InferenceServerClient) -> Callable[..., Any]:
    """Ask a model once."""

    def ask(model: str, arrays: Arrays, **options: Any) -> Any:
        return client.infer(model, tensors(arrays), **options)

    return ask


@pytest.fixture
def statistics(client: triton_http.InferenceServerClient) -> Callable[[str], tuple[int, int]]:
    """Images that a model classified so far, and executions that took."""

    def read(model: str) -> tuple[int, int]:
        (found,) = client.get_inference_statistics(model)["model_stats"]
        return found["inference_count"], found["execution_count"]

    return read


@pytest.mark.parametrize(("number", "version"), [("1", "v1"), ("2", "v2")])
def test_each_version_gives_onnxruntimes_own_logits(
    number: str, version: str, trained: Mapping[str, Path], infer: Callable[..., Any]
) -> None:
    images = digits.held_out().images
    session = onnxruntime.InferenceSession(trained[version], providers=["CPUExecutionProvider"])
    (expected,) = session.run(["logits"], {"image": images})
    parts = [images[start : start + 50] for start in range(0, len(images), 50)]
    logits = [
        infer("digits", {"image": part}, model_version=number).as_numpy("logits") for part in parts
    ]
    np.testing.assert_allclose(np.concatenate(logits), expected, rtol=1e-4, atol=1e-4)


def test_the_configuration_served_is_the_one_written(
    client: triton_http.InferenceServerClient,
) -> None:
    config = client.get_model_config("digits")
    assert config["max_batch_size"] == 64
    assert [(entry["name"], entry["dims"]) for entry in config["input"]] == [("image", [8, 8])]
    assert [(entry["name"], entry["dims"]) for entry in config["output"]] == [("logits", [10])]
    assert [group["kind"] for group in config["instance_group"]] == ["KIND_CPU"]


def test_what_no_configuration_says_is_read_from_the_file(
    client: triton_http.InferenceServerClient,
) -> None:
    config = client.get_model_config("bare")
    assert config["max_batch_size"] == 4
    assert "dynamic_batching" in config
    (entry,) = config["input"]
    assert (entry["name"], entry["data_type"], entry["dims"]) == ("x", "TYPE_FP32", [-1])
    assert {entry["name"]: entry["dims"] for entry in config["output"]} == {
        "double": [-1],
        "negative": [-1],
    }


def test_nvidias_parameters_are_taken(infer: Callable[..., Any]) -> None:
    x = np.array([[1, 2, 3]], dtype=np.float32)
    np.testing.assert_array_equal(infer("tuned", {"x": x}).as_numpy("double"), 2 * x)


def test_only_the_outputs_asked_for_are_given(infer: Callable[..., Any]) -> None:
    x = np.array([[1, 2]], dtype=np.float32)
    wanted = [triton_http.InferRequestedOutput("negative")]
    reply = infer("bare", {"x": x}, outputs=wanted)
    assert [output["name"] for output in reply.get_response()["outputs"]] == ["negative"]
    np.testing.assert_array_equal(reply.as_numpy("negative"), -x)


def test_waiting_requests_run_as_one_batch(
    client: triton_http.InferenceServerClient, statistics: Callable[[str], tuple[int, int]]
) -> None:
    inferences, executions = statistics("lookup")
    indices = [np.array([[number % 10]], dtype=np.int64) for number in range(16)]
    pending = [client.async_infer("lookup", tensors({"index": index})) for index in indices]
    values = [one.get_result().as_numpy("value").item() for one in pending]
    assert values == [number % 10 / 2 for number in range(16)]
    after = statistics("lookup")
    assert after[0] - inferences == 16
    assert after[1] - executions <= 4


def test_a_bad_request_leaves_those_batched_with_it_alone(
    client: triton_http.InferenceServerClient, statistics: Callable[[str], tuple[int, int]]
) -> None:
    executions = statistics("lookup")[1]
    indices = [3, 4, 5, 99, 6, 7, 8, 9]
    pending = [
        client.async_infer("lookup", tensors({"index": np.array([[index]], dtype=np.int64)}))
        for index in indices
    ]
    for index, one in zip(indices, pending, strict=True):
        if index == 99:
            with pytest.raises(InferenceServerException, match=r"idx=99 must be within"):
                one.get_result()
        else:
            assert one.get_result().as_numpy("value").item() == index / 2
    assert statistics("lookup")[1] - executions < len(indices)  # they were a batch


def test_batches_of_several_images_are_split_where_they_were_joined(
    client: triton_http.InferenceServerClient,
) -> None:
    requests = [np.array([[1], [2], [3]]), np.array([[4]]), np.array([[5], [6]])]
    pending = [client.async_infer("lookup", tensors({"index": index})) for index in requests]
    for index, one in zip(requests, pending, strict=True):
        np.testing.assert_array_equal(one.get_result().as_numpy("value"), index / 2)


def test_a_model_without_a_batch_dimension(infer: Callable[..., Any]) -> None:
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.testing.assert_array_equal(infer("not_batched", {"x": x}).as_numpy("y"), x)


def test_an_optional_input_may_be_left_out(infer: Callable[..., Any]) -> None:
    x, z = np.array([[1]], dtype=np.float32), np.array([[5]], dtype=np.float32)
    assert infer("optional", {"x": x}).as_numpy("y").item() == 101
    assert infer("optional", {"x": x, "z": z}).as_numpy("y").item() == 6


def test_strings_are_carried(infer: Callable[..., Any]) -> None:
    x = np.array([["grüße", ""], ["数字", "a b"]], dtype=np.object_)
    reply = infer("strings", {"x": x}).as_numpy("y")
    assert [[text.decode() for text in row] for row in reply] == x.tolist()


def test_bytes_that_are_no_text_are_refused(infer: Callable[..., Any]) -> None:
    with pytest.raises(InferenceServerException, match="Input 'x' holds bytes that are not UTF-8"):
        infer("strings", {"x": np.array([[b"\xff", b""]], dtype=np.object_)})


def test_half_precision_is_carried(infer: Callable[..., Any]) -> None:
    x = np.array([[0.1, 65504, -2]], dtype=np.float16)
    np.testing.assert_array_equal(infer("half", {"x": x}).as_numpy("y"), x)


def test_a_batch_of_scalars_has_the_shape_that_triton_knows(infer: Callable[..., Any]) -> None:
    x = np.array([[1], [2], [3]], dtype=np.int32)
    np.testing.assert_array_equal(infer("scalars", {"x": x}).as_numpy("y"), x)


def test_a_request_of_another_shape_gets_tritons_own_refusal(server: pods.Server) -> None:
    body = {"inputs": [{"name": "image", "shape": [1, 4], "datatype": "UINT8", "data": [0] * 4}]}
    reply = pods.post(f"{server.url}/v2/models/digits/infer", json.dumps(body).encode())
    assert reply.status == 400
    assert b"unexpected shape" in reply.body


def test_metrics_count_by_model_and_version(server: pods.Server, infer: Callable[..., Any]) -> None:
    infer("digits", {"image": digits.held_out().images[:3]}, model_version="2")
    metrics = pods.get(server.metrics).decode()
    assert 'nv_inference_count{model="digits",version="2"}' in metrics

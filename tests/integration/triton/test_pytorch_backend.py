"""The pytorch backend inside a real tritonserver, one for all tests here."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import tritonclient.http as triton_http
from numpy.typing import NDArray
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from support import pods, torchscript_models

PYTORCH = 'backend: "pytorch"\n'
ELEMENTS = ("bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64")


def tensor(name: str, type_: str, *dims: int, more: str = "") -> str:
    """A tensor in a configuration."""
    return (
        f'{{ name: "{name}" data_type: TYPE_{type_} dims: [ {", ".join(map(str, dims))} ] {more} }}'
    )


def configured(inputs: list[str], outputs: list[str], more: str = "") -> str:
    return f"{PYTORCH}input [ {', '.join(inputs)} ]\noutput [ {', '.join(outputs)} ]\n{more}"


# Requests wait for up to 0.3 s until eight of them run as one batch.
LOOKUP = configured(
    [tensor("INPUT__0", "INT64", 1)],
    [tensor("OUTPUT__0", "FP32", 1)],
    "max_batch_size: 8\ninstance_group [{ count: 1 kind: KIND_CPU }]\n"
    "dynamic_batching { preferred_batch_size: [ 8 ] max_queue_delay_microseconds: 300000 }\n",
)

# By the arguments' names, in another order than forward() has them; two of its three results.
SEVERAL = configured(
    [tensor("right", "FP32", 2), tensor("left", "FP32", 2)],
    [tensor("LARGER__2", "INT64", 2), tensor("SUM__0", "FP32", 2)],
    "max_batch_size: 4\n",
)

# Neither arguments' names nor numbers: the order of the configuration decides.
ORDERED = configured(
    [tensor("first", "FP32", 2), tensor("second", "FP32", 2)],
    [tensor("sum", "FP32", 2), tensor("difference", "FP32", 2), tensor("larger", "INT64", 2)],
)

BY_NAME = configured(
    [tensor("a", "FP64", -1), tensor("b", "FP64", -1)],
    [tensor("double", "FP64", -1), tensor("half", "FP64", -1)],
)

TEXTS = configured(
    [tensor("INPUT__0", "STRING", 1, more="reshape { shape: [ ] }")],
    [
        tensor("OUTPUT__0", "STRING", 1, more="reshape { shape: [ ] }"),
        tensor("OUTPUT__1", "INT64", 1, more="reshape { shape: [ ] }"),
    ],
    "max_batch_size: 4\n",
)

# The sequence batcher brings an input of its own: 1 where a sequence starts.
SEQUENCE = configured(
    [tensor("INPUT__0", "FP32", 1)],
    [tensor("SUM__0", "FP32", 1)],
    """max_batch_size: 2
sequence_batching { control_input [{
  name: "START__1"
  control [{ kind: CONTROL_SEQUENCE_START fp32_false_true: [ 0, 1 ] }]
}] }
""",
)

TUNED = """
default_model_filename: "tuned.pt"
parameters { key: "INTRA_OP_THREAD_COUNT" value: { string_value: "1" } }
parameters { key: "INTER_OP_THREAD_COUNT" value: { string_value: "1" } }
parameters { key: "DISABLE_OPTIMIZED_EXECUTION" value: { string_value: "true" } }
parameters { key: "INFERENCE_MODE" value: { string_value: "false" } }
parameters { key: "ENABLE_WEIGHT_SHARING" value: { string_value: "true" } }
parameters { key: "ENABLE_JIT_PROFILING" value: { string_value: "false" } }
parameters { key: "ENABLE_NVFUSER" value: { string_value: "true" } }
parameters { key: "DISABLE_CUDNN" value: { string_value: "true" } }
"""

OPTIMIZED = 'parameters { key: "OPTIMIZE_FOR_INFERENCE" value: { string_value: "true" } }\n'

Arrays = Mapping[str, NDArray[Any]]


def elements() -> str:
    """One argument of a dictionary, and one result, for each element type; see Elements."""
    names = [np_to_triton_dtype(np.dtype(name)) for name in ELEMENTS]
    return configured(
        [tensor(f"x{place}", str(name), -1) for place, name in enumerate(names)],
        [tensor(f"y__{place}", str(name), -1) for place, name in enumerate(names)],
    )


class Elements(torch.nn.Module):
    """Gives the values ``x0`` to ``x8`` of a dictionary in this order."""

    def forward(
        self, x: dict[str, torch.Tensor]
    ) -> tuple[
        torch.Tensor,
        torch.Tensor,
        torch.Tensor,
        torch.Tensor,
        torch.Tensor,
        torch.Tensor,
        torch.Tensor,
        torch.Tensor,
        torch.Tensor,
    ]:
        return (x["x0"], x["x1"], x["x2"], x["x3"], x["x4"], x["x5"], x["x6"], x["x7"], x["x8"])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pods.Server]:
    repository = tmp_path_factory.mktemp("repository")
    add = torchscript_models.add
    scripted, cifar10 = torchscript_models.scripted, torchscript_models.cifar10
    first, second = (torchscript_models.Cifar10(seed) for seed in (1, 2))
    both = cifar10('platform: "pytorch_libtorch"\nversion_policy { all { } }', instances=2)
    add(repository, "cifar10", scripted(first), both, version=1)
    traced = torchscript_models.traced(second, torchscript_models.images(1))
    add(repository, "cifar10", traced, None, version=2)
    add(repository, "optimized", scripted(first), cifar10(rows=4) + OPTIMIZED)
    add(repository, "tuned", None, cifar10(rows=0).replace("dims: [ ", "dims: [ -1, ") + TUNED)
    (repository / "tuned/1/tuned.pt").write_bytes(scripted(first))
    for name, module, config in (
        ("lookup", torchscript_models.Lookup(), LOOKUP),
        ("several", torchscript_models.Several(), SEVERAL),
        ("ordered", torchscript_models.Several(), ORDERED),
        ("by_name", torchscript_models.ByName(), BY_NAME),
        ("texts", torchscript_models.Texts(), TEXTS),
        ("elements", Elements(), elements()),
        ("sequence", torchscript_models.Several(), SEQUENCE),
    ):
        add(repository, name, scripted(module), config)
    with pods.start_triton(repository, tmp_path_factory.mktemp("triton")) as started:
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
        one = triton_http.InferInput(name, array.shape, np_to_triton_dtype(array.dtype))
        one.set_data_from_numpy(array)
        inputs.append(one)
    return inputs


@pytest.fixture
def infer(client: triton_http.InferenceServerClient) -> Callable[..., Any]:
    """Ask a model once."""

    def ask(model: str, arrays: Arrays, **options: Any) -> Any:
        return client.infer(model, tensors(arrays), **options)

    return ask


def expected(images: torch.Tensor, seed: int) -> NDArray[Any]:
    """What torch itself says, without TorchScript and without a server."""
    with torch.inference_mode():
        logits: NDArray[Any] = torchscript_models.Cifar10(seed)(images).numpy()
    return logits


@pytest.mark.parametrize(("number", "seed"), [("1", 1), ("2", 2)])
def test_each_version_gives_eager_torchs_own_logits(
    number: str, seed: int, infer: Callable[..., Any]
) -> None:
    images = torchscript_models.images(20)
    wanted = expected(images, seed)
    parts = [images[start : start + 8].numpy() for start in range(0, 20, 8)]
    logits = [
        infer("cifar10", {"INPUT__0": part}, model_version=number).as_numpy("OUTPUT__0")
        for part in parts
    ]
    np.testing.assert_allclose(np.concatenate(logits), wanted, rtol=1e-4, atol=1e-4)
    assert len(set(wanted.argmax(1))) > 1  # the images are not all of one class


def test_the_configuration_served_is_the_one_written(
    client: triton_http.InferenceServerClient,
) -> None:
    config = client.get_model_config("cifar10")
    assert (config["backend"], config["platform"]) == ("pytorch", "pytorch_libtorch")
    assert config["default_model_filename"] == "model.pt"
    assert config["max_batch_size"] == 8
    assert config["instance_group"][0]["count"] == 2


def test_nvidias_parameters_are_taken(server: pods.Server, infer: Callable[..., Any]) -> None:
    images = torchscript_models.images(2)
    found = infer("tuned", {"INPUT__0": images.numpy()}).as_numpy("OUTPUT__0")
    np.testing.assert_allclose(found, expected(images, 1), rtol=1e-4, atol=1e-4)
    log = server.log.read_text(errors="replace")
    assert "Model 'tuned' sets ENABLE_WEIGHT_SHARING; here each instance is a process" in log


def test_a_model_optimised_for_inference_says_the_same(infer: Callable[..., Any]) -> None:
    images = torchscript_models.images(4)
    found = infer("optimized", {"INPUT__0": images.numpy()}).as_numpy("OUTPUT__0")
    np.testing.assert_allclose(found, expected(images, 1), rtol=1e-3, atol=1e-3)


def test_waiting_requests_run_as_one_batch(client: triton_http.InferenceServerClient) -> None:
    def statistics() -> tuple[int, int]:
        (found,) = client.get_inference_statistics("lookup")["model_stats"]
        return found["inference_count"], found["execution_count"]

    before = statistics()
    requests = [np.array([[number % 10]], dtype=np.int64) for number in range(16)]
    pending = [client.async_infer("lookup", tensors({"INPUT__0": each})) for each in requests]
    values = [one.get_result().as_numpy("OUTPUT__0").item() for one in pending]
    assert values == [number % 10 / 2 for number in range(16)]
    after = statistics()
    assert after[0] - before[0] == 16
    assert after[1] - before[1] <= 4


def test_a_bad_request_leaves_those_batched_with_it_alone(
    client: triton_http.InferenceServerClient,
) -> None:
    indices = [3, 4, 5, 99, 6, 7, 8, 9]
    pending = [
        client.async_infer("lookup", tensors({"INPUT__0": np.array([[index]], dtype=np.int64)}))
        for index in indices
    ]
    for index, one in zip(indices, pending, strict=True):
        if index == 99:
            sentence = r"forward\(\) of model 'lookup' failed: ValueError: the table ends at 9$"
            with pytest.raises(InferenceServerException, match=sentence):
                one.get_result()
        else:
            assert one.get_result().as_numpy("OUTPUT__0").item() == index / 2


def test_batches_of_several_rows_are_split_where_they_were_joined(
    client: triton_http.InferenceServerClient,
) -> None:
    requests = [np.array([[1], [2], [3]]), np.array([[4]]), np.array([[5], [6]])]
    pending = [client.async_infer("lookup", tensors({"INPUT__0": each})) for each in requests]
    for each, one in zip(requests, pending, strict=True):
        np.testing.assert_array_equal(one.get_result().as_numpy("OUTPUT__0"), each / 2)


def test_inputs_are_found_by_the_arguments_names_and_outputs_by_their_numbers(
    infer: Callable[..., Any],
) -> None:
    left, right = np.array([[1, 5]], dtype=np.float32), np.array([[3, 2]], dtype=np.float32)
    reply = infer("several", {"left": left, "right": right})
    np.testing.assert_array_equal(reply.as_numpy("SUM__0"), left + right)
    np.testing.assert_array_equal(reply.as_numpy("LARGER__2"), [[1, 0]])


def test_only_the_outputs_asked_for_are_given(infer: Callable[..., Any]) -> None:
    x = np.ones((1, 2), dtype=np.float32)
    wanted = [triton_http.InferRequestedOutput("LARGER__2")]
    reply = infer("several", {"left": x, "right": x}, outputs=wanted)
    assert [output["name"] for output in reply.get_response()["outputs"]] == ["LARGER__2"]


def test_without_names_and_numbers_the_order_decides(infer: Callable[..., Any]) -> None:
    first, second = np.array([1, 5], dtype=np.float32), np.array([3, 2], dtype=np.float32)
    reply = infer("ordered", {"second": second, "first": first})
    np.testing.assert_array_equal(reply.as_numpy("difference"), first - second)
    np.testing.assert_array_equal(reply.as_numpy("larger"), [1, 0])


def test_a_dictionary_is_given_by_name_and_a_named_tuple_is_taken(
    infer: Callable[..., Any],
) -> None:
    a, b = np.array([1.0, 2.0]), np.array([0.5, 0.25])
    reply = infer("by_name", {"b": b, "a": a})
    np.testing.assert_array_equal(reply.as_numpy("double"), (a + b) * 2)
    np.testing.assert_array_equal(reply.as_numpy("half"), (a + b) / 2)


def test_every_element_type_is_carried(infer: Callable[..., Any]) -> None:
    arrays = {
        f"x{place}": np.array([0, 1, 100]).astype(element) for place, element in enumerate(ELEMENTS)
    }
    reply = infer("elements", arrays)
    for place, element in enumerate(ELEMENTS):
        found = reply.as_numpy(f"y__{place}")
        assert found.dtype == np.dtype(element)
        np.testing.assert_array_equal(found, arrays[f"x{place}"])


def test_the_sequence_batchers_controls_are_arguments(infer: Callable[..., Any]) -> None:
    x = np.array([[5]], dtype=np.float32)
    first = infer("sequence", {"INPUT__0": x}, sequence_id=7, sequence_start=True)
    last = infer("sequence", {"INPUT__0": x}, sequence_id=7, sequence_end=True)
    assert [reply.as_numpy("SUM__0").item() for reply in (first, last)] == [6, 5]


def test_strings_are_lists(infer: Callable[..., Any]) -> None:
    given = np.array([["grüße"], [""], ["数字"]], dtype=np.object_)
    reply = infer("texts", {"INPUT__0": given})
    marked = [[text.decode() for text in row] for row in reply.as_numpy("OUTPUT__0")]
    assert marked == [["grüße!"], ["!"], ["数字!"]]
    # TorchScript counts bytes.
    np.testing.assert_array_equal(reply.as_numpy("OUTPUT__1"), [[7], [0], [6]])


def test_bytes_that_are_no_text_are_refused(infer: Callable[..., Any]) -> None:
    with pytest.raises(InferenceServerException, match="Input 'INPUT__0' holds bytes that are not"):
        infer("texts", {"INPUT__0": np.array([[b"\xff"]], dtype=np.object_)})


def test_a_request_of_another_shape_or_name_gets_tritons_own_refusal(server: pods.Server) -> None:
    def ask(name: str, shape: list[int]) -> pods.Reply:
        data = [0.0] * int(np.prod(shape))
        body = {"inputs": [{"name": name, "shape": shape, "datatype": "FP32", "data": data}]}
        return pods.post(f"{server.url}/v2/models/cifar10/infer", json.dumps(body).encode())

    refused = ask("INPUT__0", [1, 3, 8, 8])
    assert refused.status == 400
    assert b"unexpected shape" in refused.body
    assert b"INPUT__7" in ask("INPUT__7", [1, 3, 32, 32]).body


def test_models_are_loaded_on_request_in_explicit_mode(tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    file = torchscript_models.scripted(torchscript_models.Cifar10(1))
    torchscript_models.add(repository, "cifar10", file, torchscript_models.cifar10())
    torchscript_models.add(repository, "other", b"not asked for", torchscript_models.cifar10())
    explicit = ["--model-control-mode=explicit", "--load-model=cifar10"]
    with pods.start_triton(repository, tmp_path, explicit) as server:
        connected = triton_http.InferenceServerClient(server.url.removeprefix("http://"))
        with connected as client:
            assert client.is_model_ready("cifar10")
            assert not client.is_model_ready("other")
            client.unload_model("cifar10")
            assert not client.is_model_ready("cifar10")
            client.load_model("cifar10")
            image = torchscript_models.images(1)
            reply = client.infer("cifar10", tensors({"INPUT__0": image.numpy()}))
    np.testing.assert_allclose(
        reply.as_numpy("OUTPUT__0"), expected(image, 1), rtol=1e-4, atol=1e-4
    )

"""The V2 protocol, with KServe's own server-side types at the other end of the wire."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from kserve.protocol.infer_type import InferOutput, InferRequest, InferResponse
from numpy.typing import NDArray
from tritonclient import utils

from calumma import errors
from calumma.inference import tensors

ARRAYS = [
    np.arange(12, dtype=np.uint8).reshape(1, 3, 4),
    np.array([[-1, 2], [3, -4]], dtype=np.int64),
    np.linspace(0, 1, 6, dtype=np.float32).reshape(2, 3),
    np.array([1.5, -2.5], dtype=np.float64),
    np.array([True, False, True]),
    np.array([[b"caf\xc3\xa9"], [b""]], dtype=np.object_),
]


def request_of(body: bytes, headers: dict[str, str]) -> InferRequest:
    """The request as KServe's model server reads it."""
    return InferRequest.from_bytes(body, int(headers[tensors.LENGTH_HEADER]), "m")


@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: str(array.dtype))
def test_kserve_reads_what_is_sent(array: NDArray[Any]) -> None:
    body, headers = tensors.encode({"x": array}, ["y"])
    request = request_of(body, headers)
    received = request.inputs[0]
    assert received.name == "x" and list(received.shape) == list(array.shape)
    got = received.as_numpy()
    if array.dtype == np.object_:  # KServe gives text where the protocol carries bytes
        got = np.array([item.encode() for item in got.ravel()], np.object_).reshape(got.shape)
    np.testing.assert_array_equal(got, array)
    assert request.request_outputs[0].name == "y"


@pytest.mark.parametrize("binary", [True, False], ids=["binary", "json"])
@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: str(array.dtype))
def test_what_kserve_answers_is_read(array: NDArray[Any], binary: bool) -> None:
    output = InferOutput("y", list(array.shape), utils.np_to_triton_dtype(array.dtype))
    output.set_data_from_numpy(array, binary_data=binary)
    answer, length = InferResponse("1", "m", [output], use_binary_outputs=binary).to_rest()
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    decoded = tensors.decode(body, str(length) if length else None)
    np.testing.assert_array_equal(decoded["y"], array)
    assert decoded["y"].dtype == array.dtype


def test_half_precision_travels_and_all_outputs_come_when_none_is_named() -> None:
    half = np.array([1.0, 2.0], dtype=np.float16)
    request = request_of(*tensors.encode({"x": half}, []))
    assert request.inputs[0].datatype == "FP16"
    assert request.parameters["binary_data_output"] is True


def test_a_dtype_that_the_protocol_lacks_is_refused() -> None:
    with pytest.raises(errors.InferenceError, match="x has dtype complex128"):
        tensors.encode({"x": np.array([1j])}, [])


@pytest.mark.parametrize(
    ("body", "length"),
    [
        (b"not json", None),
        (b'{"outputs": [{"name": "y", "shape": [3], "datatype": "FP32", "data": [1]}]}', None),
        (b'{"outputs": 1}', None),
        (b"{}", "two"),
    ],
)
def test_an_answer_of_another_form_is_refused(body: bytes, length: str | None) -> None:
    with pytest.raises(errors.InferenceError, match="tensors cannot be read"):
        tensors.decode(body, length)


def test_binary_data_shorter_than_it_says_is_refused() -> None:
    entry = {
        "name": "y",
        "shape": [4],
        "datatype": "FP32",
        "parameters": {"binary_data_size": 16},
    }
    head = json.dumps({"outputs": [entry]}).encode()
    with pytest.raises(errors.InferenceError, match="tensors cannot be read"):
        tensors.decode(head + b"\0" * 8, str(len(head)))

"""The V2 protocol's tensors in the binary extension, by NVIDIA's client library.

Its codec is used without its HTTP client, which keeps an answer's status and headers to itself. A
JSON tensor costs many times the bytes and the time, so requests are always binary; answers are
read in either form. Elements of BYTES tensors are ``bytes`` in arrays of dtype object.
Source: the Open Inference Protocol and Triton's "binary tensor data extension".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tritonclient import http, utils

from calumma import errors

Tensors = dict[str, NDArray[Any]]

# The header that says where the JSON ends and the binary data begins, in both directions.
LENGTH_HEADER = "Inference-Header-Content-Length"


def encode(
    inputs: Mapping[str, NDArray[Any]], outputs: Sequence[str]
) -> tuple[bytes, dict[str, str]]:
    """The body and headers of a request; no ``outputs`` means all of them.

    Raises :class:`~calumma.errors.InferenceError` for a dtype that the protocol does not know.
    """
    sent = [_input(name, array) for name, array in inputs.items()]
    wanted = [http.InferRequestedOutput(name, binary_data=True) for name in outputs]
    body, length = http.InferenceServerClient.generate_request_body(sent, outputs=wanted)
    return body, {"Content-Type": "application/octet-stream", LENGTH_HEADER: str(length)}


def decode(body: bytes, length: str | None) -> Tensors:
    """The output tensors of an answer; ``length`` is its :data:`LENGTH_HEADER`, if any.

    Raises :class:`~calumma.errors.InferenceError` when the answer cannot be read.
    """
    try:
        header = None if length is None else int(length)
        answer = http.InferenceServerClient.parse_response_body(body, header_length=header)
        names = [str(output["name"]) for output in answer.get_response()["outputs"]]
        return {name: _tensor(answer.as_numpy(name)) for name in names}
    except (ValueError, KeyError, TypeError, AttributeError, utils.InferenceServerException) as why:
        raise errors.InferenceError(
            f"the answer's tensors cannot be read ({why}); an Open Inference Protocol V2 answer "
            "names outputs with a shape, a datatype and as much data as they say"
        ) from why


def _input(name: str, array: NDArray[Any]) -> http.InferInput:
    datatype = utils.np_to_triton_dtype(array.dtype)
    if datatype is None:
        raise errors.InferenceError(
            f"the input {name} has dtype {array.dtype}; the protocol carries booleans, integers, "
            "floats of 16 to 64 bits, and arrays of bytes (dtype object)"
        )
    tensor = http.InferInput(name, list(array.shape), datatype)
    return tensor.set_data_from_numpy(array, binary_data=True)


def _tensor(array: NDArray[Any]) -> NDArray[Any]:
    """A tensor as the library gives it; text in a JSON answer becomes bytes as in a binary one."""
    if array.dtype != np.object_:
        return array
    items = [item.encode() if isinstance(item, str) else item for item in array.ravel()]
    return np.array(items, dtype=np.object_).reshape(array.shape)

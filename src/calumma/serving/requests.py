"""Finding the images of a request, in each of the forms in which clients send them.

========================= =====================================================================
V1, JSON                  ``{"instances": [{"image": {"b64": "..."}}, {"b64": "..."}]}``
V2, JSON                  one ``BYTES`` input whose strings are base64
V2, binary tensor or gRPC one ``BYTES`` input whose elements are the files
any other body            one image file
========================= =====================================================================

Whatever else arrives is :class:`~calumma.errors.RequestRefused`, which names what is accepted.
:mod:`calumma.serving.images` decodes the files.
"""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Mapping
from typing import Any

import orjson
from kserve import InferInput, InferRequest
from kserve.protocol.infer_type import RequestedOutput

from calumma import errors

# The extension of the V2 protocol for tensors that follow the JSON document as they are.
HEADER_LENGTH = "inference-header-content-length"

_V1 = '{"instances": [{"image": {"b64": "..."}}]}'


def files(payload: Any, *, limit: int) -> list[bytes]:
    """The image files of a request's payload, as kserve's data plane decoded it.

    Raises :class:`~calumma.errors.RequestRefused` for a payload without images or with more
    than ``limit``.
    """
    if isinstance(payload, InferRequest):
        elements, file = _elements(payload), _of_element
    elif is_file(payload):
        elements, file = [payload], _of_element
    else:
        document = _json(payload) if isinstance(payload, bytes) else payload
        elements, file = _instances(document), _of_instance
    if not elements:
        raise errors.RequestRefused(f"The request has no images; V1 expects {_V1}.")
    if len(elements) > limit:
        raise errors.RequestRefused(
            f"The request has {len(elements)} images; at most {limit} are taken.", 413
        )
    return [file(element, number) for number, element in enumerate(elements)]


def is_file(body: Any) -> bool:
    """Whether a body is to be read as one image file: not JSON, whatever its type says."""
    return isinstance(body, bytes) and body.lstrip()[:1] not in (b"{", b"[")


def from_body(body: bytes, headers: Mapping[str, str], model: str) -> InferRequest:
    """A V2 request from its body: a JSON document, and the binary tensors behind it.

    kserve's own reading turns the elements of ``BYTES`` tensors into text, which an image is not.
    Without the header ``Inference-Header-Content-Length`` the whole body is the document, as for
    Triton. Raises :class:`~calumma.errors.RequestRefused`.
    """
    text = headers.get(HEADER_LENGTH, str(len(body)))
    length = int(text) if text.isdecimal() else -1
    if not 0 <= length <= len(body):
        raise errors.RequestRefused(
            f"Header {HEADER_LENGTH} is '{text}'; it gives the bytes of JSON at the start of the "
            f"body, which has {len(body)}."
        )
    document = _json(body[:length])
    inputs, rest = [], memoryview(body)[length:]
    for entry in _list(document, "inputs"):
        size = _get(entry, "parameters", {}).get("binary_data_size")
        data = _get(entry, "data", [])
        if isinstance(size, int) and size >= 0:
            data, rest = _strings(rest[:size]), rest[size:]
        inputs.append(
            InferInput(
                str(_get(entry, "name", "")),
                _get(entry, "shape", []),
                str(_get(entry, "datatype", "")),
                data,
            )
        )
    outputs = [
        RequestedOutput(str(_get(entry, "name", "")), _get(entry, "parameters", {}))
        for entry in _list(document, "outputs", [])
    ]
    return InferRequest(
        model,
        inputs,
        request_id=_get(document, "id", ""),
        parameters=_get(document, "parameters", {}),
        request_outputs=outputs or None,
    )


def _elements(request: InferRequest) -> list[Any]:
    if len(request.inputs) != 1 or request.inputs[0].datatype != "BYTES":
        found = ", ".join(f"'{tensor.name}' {tensor.datatype}" for tensor in request.inputs)
        raise errors.RequestRefused(
            f"The request has the inputs {found or 'none'}; one BYTES input is expected, with an "
            "image file in each element."
        )
    tensor = request.inputs[0]
    if tensor.data:
        return list(tensor.data)
    try:
        return list(tensor.as_numpy().ravel())  # the binary tensor of a gRPC request
    except (TypeError, ValueError, struct.error) as error:
        raise errors.RequestRefused(
            f"Input '{tensor.name}' does not hold the elements of shape {tensor.shape}: {error}."
        ) from error


def _of_element(element: Any, number: int) -> bytes:
    if isinstance(element, bytes):
        return element
    return _base64(element, number)


def _instances(document: Any) -> list[Any]:
    instances = document.get("instances") if isinstance(document, dict) else None
    if not isinstance(instances, list):
        raise errors.RequestRefused(f"The request has no list of instances; V1 expects {_V1}.")
    return instances


def _of_instance(element: Any, number: int) -> bytes:
    found = element
    if isinstance(found, dict):
        found = found.get("image", found)
    if isinstance(found, dict):
        found = found.get("b64")
    return _base64(found, number)


def _base64(text: Any, number: int) -> bytes:
    if not isinstance(text, str):
        raise errors.RequestRefused(
            f"Instance {number} holds no image as base64 text; V1 expects {_V1}."
        )
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise errors.RequestRefused(f"Instance {number} is not base64: {error}.") from error


def _json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise errors.RequestRefused(f"The request is not JSON: {error}.") from error


def _get(entry: Any, key: str, default: Any) -> Any:
    """A member of a JSON object, which must have the type of ``default`` unless that is None."""
    if not isinstance(entry, dict):
        raise errors.RequestRefused(f"The request holds {entry!r:.60} where an object is expected.")
    value = entry.get(key)
    if value is None:
        return default
    if default is not None and not isinstance(value, type(default)):
        raise errors.RequestRefused(
            f"The request's {key} is {value!r:.60}; a {type(default).__name__} is expected."
        )
    return value


def _list(document: Any, key: str, default: list[Any] | None = None) -> list[Any]:
    value = _get(document, key, default)
    if not isinstance(value, list):
        raise errors.RequestRefused(f"The request has no list of {key}; V2 expects one.")
    return value


def _strings(tensor: memoryview) -> list[bytes]:
    """The elements of a binary ``BYTES`` tensor: each its length, little endian, and itself."""
    elements = []
    while tensor:
        size = struct.unpack_from("<I", tensor)[0] if len(tensor) >= 4 else len(tensor)
        if 4 + size > len(tensor):
            raise errors.RequestRefused(
                "A binary BYTES tensor ends within an element; each is a 4-byte length and as "
                "many bytes."
            )
        elements.append(bytes(tensor[4 : 4 + size]))
        tensor = tensor[4 + size :]
    return elements

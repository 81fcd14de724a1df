"""The forms in which images arrive, and the sentences for those in which they cannot."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kserve import InferInput, InferRequest

from calumma import errors
from calumma.serving import requests

IMAGE = b"\x89PNG\r\n\x1a\n and more"
TEXT = base64.b64encode(IMAGE).decode()


def v2(data: list[Any] | None, datatype: str = "BYTES") -> InferRequest:
    return InferRequest("m", [InferInput("image", [len(data or [])], datatype, data)])


def binary(elements: list[bytes]) -> tuple[bytes, dict[str, str]]:
    tensor = b"".join(struct.pack("<I", len(element)) + element for element in elements)
    document = json.dumps(
        {
            "id": "7",
            "inputs": [
                {
                    "name": "image",
                    "shape": [len(elements)],
                    "datatype": "BYTES",
                    "parameters": {"binary_data_size": len(tensor)},
                }
            ],
            "outputs": [{"name": "label", "parameters": {"binary_data": True}}],
        }
    ).encode()
    return document + tensor, {requests.HEADER_LENGTH: str(len(document))}


@pytest.mark.parametrize(
    "payload",
    [
        {"instances": [{"image": {"b64": TEXT}}]},
        {"instances": [{"b64": TEXT}]},
        json.dumps({"instances": [{"b64": TEXT}]}).encode(),  # curl -d sends it as a form
        b"  \n" + json.dumps({"instances": [{"b64": TEXT}]}).encode(),
        v2([TEXT]),
        v2([IMAGE]),
        IMAGE,
    ],
)
def test_each_form_holds_the_image(payload: Any) -> None:
    assert requests.files(payload, limit=1) == [IMAGE]


@given(st.lists(st.binary(max_size=100), min_size=1, max_size=5))
def test_a_binary_tensor_holds_any_bytes(elements: list[bytes]) -> None:
    body, headers = binary(elements)
    request = requests.from_body(body, headers, "m")
    assert requests.files(request, limit=5) == elements
    assert (request.id, request.model_name) == ("7", "m")
    assert [(one.name, one.binary_data) for one in request.request_outputs] == [("label", True)]


def test_without_the_header_the_body_is_the_document() -> None:
    body = json.dumps(
        {"inputs": [{"name": "x", "shape": [1], "datatype": "BYTES", "data": [TEXT]}]}
    )
    assert requests.files(requests.from_body(body.encode(), {}, "m"), limit=1) == [IMAGE]


@pytest.mark.parametrize(
    ("payload", "sentence"),
    [
        ({}, "no list of instances"),
        ({"instances": {"b64": TEXT}}, "no list of instances"),
        ([], "no list of instances"),
        ("text", "no list of instances"),
        (None, "no list of instances"),
        ({"instances": []}, "has no images"),
        ({"instances": [{"b64": TEXT}, {"picture": TEXT}]}, "Instance 1 holds no image"),
        ({"instances": [[1, 2, 3]]}, "Instance 0 holds no image"),
        ({"instances": [{"image": {"b64": 7}}]}, "Instance 0 holds no image"),
        ({"instances": [{"b64": "%%%"}]}, "Instance 0 is not base64"),
        ({"instances": [{"b64": "abc"}]}, "Instance 0 is not base64"),
        ({"instances": [{"b64": "ä"}]}, "Instance 0 is not base64"),
        (b'{"instances": [', "is not JSON"),
        (v2([1.0], "FP32"), "inputs 'image' FP32; one BYTES input"),
        (InferRequest("m", []), "inputs none; one BYTES input"),
        (v2([]), "has no images"),
        (InferRequest("m", [InferInput("x", [2], "BYTES", [])]), "elements of shape \\[2\\]"),
    ],
)
def test_other_payloads_are_refused_with_a_sentence(payload: Any, sentence: str) -> None:
    with pytest.raises(errors.RequestRefused, match=sentence) as refusal:
        requests.files(payload, limit=2)
    assert refusal.value.status == 400


def test_too_many_images_are_refused() -> None:
    with pytest.raises(errors.RequestRefused, match="has 3 images; at most 2") as refusal:
        requests.files({"instances": [{"b64": TEXT}] * 3}, limit=2)
    assert refusal.value.status == 413


ENTRY = {"name": "x", "shape": [1], "datatype": "BYTES"}


@pytest.mark.parametrize(
    ("document", "rest", "sentence"),
    [
        ([], b"", "where an object is expected"),
        ({}, b"", "no list of inputs"),
        ({"inputs": 7}, b"", "no list of inputs|inputs is 7"),
        ({"inputs": [7]}, b"", "where an object is expected"),
        ({"inputs": [ENTRY | {"parameters": 7}]}, b"", "parameters is 7; a dict"),
        ({"inputs": [ENTRY], "outputs": 7}, b"", "outputs is 7; a list"),
        ({"id": 7, "inputs": [ENTRY]}, b"", "id is 7; a str"),
        (
            {"inputs": [ENTRY | {"parameters": {"binary_data_size": 9}}]},
            b"\x20\x00\x00\x00short",
            "ends within an element",
        ),
        (
            {"inputs": [ENTRY | {"parameters": {"binary_data_size": 3}}]},
            b"\x01\x00\x00",
            "ends within an element",
        ),
    ],
)
def test_a_malformed_v2_body_is_refused(document: Any, rest: bytes, sentence: str) -> None:
    start = json.dumps(document).encode()
    with pytest.raises(errors.RequestRefused, match=sentence):
        requests.from_body(start + rest, {requests.HEADER_LENGTH: str(len(start))}, "m")


@pytest.mark.parametrize("length", ["-1", "1000", "many", ""])
def test_a_wrong_length_header_is_refused(length: str) -> None:
    with pytest.raises(errors.RequestRefused, match=f"is '{length}'; it gives the bytes of JSON"):
        requests.from_body(b"{}", {requests.HEADER_LENGTH: length}, "m")


def test_a_tensor_without_data_is_refused() -> None:
    body = json.dumps({"inputs": [ENTRY]}).encode()
    with pytest.raises(errors.RequestRefused, match=r"not hold the elements of shape \[1\]"):
        requests.files(requests.from_body(body, {}, "m"), limit=1)

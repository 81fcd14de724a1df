"""From bytes to objects: JSON, YAML, Go's refusals, shapes and what strict clients hear of."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calumma import errors
from calumma.cluster.api import decoding, gostructs, kinds, parsing
from calumma.cluster.api.decoding import Misfit
from calumma.cluster.api.parsing import Unreadable
from calumma.cluster.api.schema import Schemas

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.text(st.characters(codec="utf-8", categories=("L", "N", "P")), max_size=5)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text("abc", min_size=1, max_size=2), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(VALUES)
def test_json_and_yaml_are_read_as_they_were_written(value: Any) -> None:
    assert parsing.parse_json(json.dumps(value).encode()).value == value
    assert parsing.parse_yaml(parsing.to_yaml(value).encode()).value == value
    assert parsing.parse_yaml(json.dumps(value, ensure_ascii=False).encode()).value == value


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(noise: bytes) -> None:
    for parse in (parsing.parse_json, parsing.parse_yaml):
        try:
            json.dumps(parse(noise).value).encode()
        except Unreadable:
            continue


def test_repeated_fields_are_noted() -> None:
    parsed = parsing.parse_json(b'{"a": {"b": 1, "b": 2}, "l": [{"c": 1, "c": 1}], "a2": 1}')
    assert parsed.value["a"] == {"b": 2}
    assert parsed.duplicates == ["a.b", "l[0].c"]


def test_numbers_are_those_of_go() -> None:
    parsed = parsing.parse_json(b"[1.0, 1.5, 1e3, 12345678901234567890]").value
    assert [repr(number) for number in parsed] == ["1", "1.5", "1000", "1.2345678901234567e+19"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "unexpected end of JSON input"),
        (b"{", "unexpected end of JSON input"),
        (b'{"a":', "unexpected end of JSON input"),
        (b'{"a"}', "invalid character '}' after object key"),
        (b'{"a": 1 "b"}', "invalid character '\"' after object key:value pair"),
        (b"{a: 1}", "invalid character 'a' looking for beginning of object key string"),
        (b"{} x", "invalid character 'x' after top-level value"),
        (b"nope", "invalid character 'n' looking for beginning of value"),
        (b"NaN", "invalid character 'N' looking for beginning of value"),
        (b"\xff", "invalid UTF-8"),
        (b"[" * 100_000, "exceeded max depth"),
        (b"[" * 300 + b"]" * 300, "exceeded max depth"),
    ],
)
def test_what_go_says_of_malformed_json(body: bytes, message: str) -> None:
    with pytest.raises(Unreadable, match=message.replace("{", ".").replace("}", ".")):
        parsing.parse_json(body)


def test_halves_of_surrogate_pairs_are_replaced() -> None:
    assert parsing.parse_json(b'{"\\ud83d": "\\ud83d\\ude00 \\udc00"}').value == {"�": "😀 �"}


def test_times_in_yaml_are_strings() -> None:
    assert parsing.parse_yaml(b"{a: 2001-01-01, b: 2001-01-01T00:00:00Z}").value == {
        "a": "2001-01-01",
        "b": "2001-01-01T00:00:00Z",
    }


@given(st.binary(max_size=30))
def test_go_reads_what_base64_writes(data: bytes) -> None:
    assert gostructs.illegal_base64(base64.b64encode(data).decode()) is None


@pytest.mark.parametrize(
    ("text", "at"), [("a", 0), ("ab", 0), ("ab==x", 4), ("a!bc", 1), ("abcd=", 4), ("ab=c", 3)]
)
def test_where_go_finds_that_a_text_is_no_base64(text: str, at: int) -> None:
    assert gostructs.illegal_base64(text) == at


def config_map(**fields: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, **fields}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"data": {"x": 1}},
            "json: cannot unmarshal number into Go struct field ConfigMap.data of type string",
        ),
        (
            {"data": []},
            "json: cannot unmarshal array into Go struct field ConfigMap.data of type "
            "map[string]string",
        ),
        (
            {"immutable": "yes"},
            "json: cannot unmarshal string into Go struct field ConfigMap.immutable of type bool",
        ),
        (
            {"metadata": {"labels": 1}},
            "json: cannot unmarshal number into Go struct field ObjectMeta.labels of type "
            "map[string]string",
        ),
        ({"metadata": []}, "json: cannot unmarshal array into Go value of type v1.ObjectMeta"),
        ({"binaryData": {"x": "!"}}, "illegal base64 data at input byte 0"),
    ],
)
def test_what_go_says_of_wrong_types(
    fields: dict[str, Any], message: str, schemas: Schemas
) -> None:
    with pytest.raises(Misfit) as misfit:
        decoding.shape(config_map(**fields), kinds.CONFIG_MAPS, schemas)
    assert str(misfit.value) == message


def test_an_object_gets_the_shape_of_its_kind(schemas: Schemas) -> None:
    meta = {"name": "a", "labels": {}, "nosuch": 1, "uid": None, "finalizers": [None]}
    sent = {"metadata": meta, "data": {"x": None}, "binaryData": None, "more": {}}
    found = decoding.shape(sent, kinds.CONFIG_MAPS, schemas)
    assert found.value == config_map(data={"x": ""}, metadata={"name": "a", "finalizers": [""]}), (
        "nulls are what Go makes of them"
    )
    assert found.problems == ['unknown field "metadata.nosuch"', 'unknown field "more"']


def test_defaults_of_the_real_schema(schemas: Schemas) -> None:
    isvc = {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": "a"},
        "spec": {"predictor": {"containers": [{"name": "c", "ports": [{"containerPort": 1}]}]}},
    }
    found = decoding.shape(isvc, kinds.INFERENCE_SERVICES, schemas)
    assert found.problems == []
    ports = found.value["spec"]["predictor"]["containers"][0]["ports"]
    assert ports == [{"containerPort": 1, "protocol": "TCP"}]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"apiVersion": "v2"},
            "the API version in the data (v2) does not match the expected API version (v1)",
        ),
        ({"kind": "Secret"}, 'Secret in version "v1" cannot be handled as a ConfigMap'),
    ],
)
def test_objects_of_another_kind_are_refused(
    change: dict[str, Any], message: str, schemas: Schemas
) -> None:
    with pytest.raises(errors.Refused) as refusal:
        decoding.shape(config_map() | change, kinds.CONFIG_MAPS, schemas)
    assert refusal.value.code == 400
    assert message in str(refusal.value)


def test_problems_are_refused_warned_about_or_ignored() -> None:
    problems = ['unknown field "x"']
    assert decoding.judge(kinds.CONFIG_MAPS, problems, "Warn") == problems
    assert decoding.judge(kinds.CONFIG_MAPS, problems, "Ignore") == []
    with pytest.raises(errors.Refused, match='strict decoding error: unknown field "x"'):
        decoding.judge(kinds.CONFIG_MAPS, problems, "Strict")


def test_media_types(schemas: Schemas) -> None:
    body = json.dumps(config_map()).encode()
    for media_type in ("application/json", "application/yaml"):
        found = decoding.decode(body, media_type, kinds.CONFIG_MAPS, schemas)
        assert found.value["metadata"]["name"] == "a"
    for resource in (kinds.CONFIG_MAPS, kinds.INFERENCE_SERVICES):
        with pytest.raises(errors.Refused) as refusal:
            decoding.decode(body, "text/plain", resource, schemas)
        assert refusal.value.code == 415

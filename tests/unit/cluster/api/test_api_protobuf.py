"""The protobuf decoder, against an encoder that is written from the specification."""

from __future__ import annotations

import base64
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calumma.cluster.api import protobuf
from calumma.cluster.api.protobuf import Malformed
from support.wire import count, entry, text, varint, wrapped

MAPS = st.dictionaries(st.text(max_size=5), st.text(max_size=20), max_size=4)


@given(st.text(min_size=1, max_size=10), MAPS, st.dictionaries(st.text(max_size=5), st.binary()))
def test_config_maps(name: str, data: dict[str, str], binary: dict[str, bytes]) -> None:
    message = text(1, text(1, name))
    message += b"".join(entry(2, key, value) for key, value in data.items())
    message += b"".join(entry(3, key, value) for key, value in binary.items())
    found = protobuf.decode(wrapped("ConfigMap", message))
    assert found.pop("metadata") == {"name": name}
    assert found.pop("data", {}) == data
    decoded = {key: base64.b64decode(value) for key, value in found.pop("binaryData", {}).items()}
    assert decoded == binary
    assert found == {"apiVersion": "v1", "kind": "ConfigMap"}


@given(st.integers(-(2**63), 2**63 - 1), st.booleans())
def test_numbers_and_booleans(seconds: int, orphan: bool) -> None:
    message = count(1, seconds) + count(3, int(orphan)) + text(4, "Foreground") + text(5, "All")
    found = protobuf.decode(wrapped("DeleteOptions", message))
    assert found["gracePeriodSeconds"] == seconds
    assert found["orphanDependents"] is orphan
    assert (found["propagationPolicy"], found["dryRun"]) == ("Foreground", ["All"])


def test_events() -> None:
    meta = text(1, "e") + text(3, "default")
    message = text(1, meta) + text(2, text(1, "InferenceService") + text(3, "digits"))
    message += text(3, "Ready") + text(5, text(1, "controller")) + text(6, count(1, 1700000000))
    message += count(8, 0) + text(10, count(1, 1700000000) + count(2, 12345678))
    message += text(11, count(1, 3) + text(2, count(1, 1700000001) + count(2, 0)))
    assert protobuf.decode(wrapped("Event", message)) == {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": "e", "namespace": "default"},
        "involvedObject": {"kind": "InferenceService", "name": "digits"},
        "reason": "Ready",
        "source": {"component": "controller"},
        "firstTimestamp": "2023-11-14T22:13:20Z",
        "eventTime": "2023-11-14T22:13:20.012345Z",
        "series": {"count": 3, "lastObservedTime": "2023-11-14T22:13:21.000000Z"},
    }


def test_metadata_without_what_is_zero() -> None:
    meta = text(1, "a") + text(3, "") + text(5, "") + count(7, 0) + text(8, b"")
    meta += entry(11, "team", "x") + text(14, "f/one") + text(14, "f/two")
    meta += text(13, text(1, "Pod") + text(3, "p") + text(4, "u") + text(5, "v1") + count(6, 1))
    found = protobuf.decode(wrapped("Namespace", text(1, meta)))["metadata"]
    assert found == {
        "name": "a",
        "labels": {"team": "x"},
        "finalizers": ["f/one", "f/two"],
        "ownerReferences": [
            {"kind": "Pod", "name": "p", "uid": "u", "apiVersion": "v1", "controller": True}
        ],
    }


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0, "1970-01-01T00:00:00Z"), (1_700_000_000, "2023-11-14T22:13:20Z")],
)
def test_times(seconds: int, expected: str) -> None:
    meta = text(1, "a") + text(8, count(1, seconds))
    found = protobuf.decode(wrapped("Namespace", text(1, meta)))["metadata"]
    assert found["creationTimestamp"] == expected


def test_secrets_are_base64_in_json() -> None:
    message = text(1, text(1, "s")) + entry(2, "k", b"\x00\xff") + text(3, "Opaque")
    found = protobuf.decode(wrapped("Secret", message + entry(4, "t", "plain")))
    assert found["data"] == {"k": "AP8="}
    assert found["stringData"] == {"t": "plain"}


def test_unknown_fields_of_every_wire_type_are_skipped() -> None:
    message = text(1, text(1, "a")) + count(99, 300) + text(98, "x")
    message += varint(97 << 3 | 1) + struct.pack("<d", 1.5) + varint(96 << 3 | 5) + b"1234"
    found = protobuf.decode(wrapped("ServiceAccount", message))
    assert found == {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "a"}}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"k8s\x00\xff",
        b"k8s\x00" + text(2, "x"),
        wrapped("Deployment", b""),
        wrapped("ConfigMap", b"\x0a\x7fshort"),
        wrapped("ConfigMap", b"\x0b"),
        wrapped("ConfigMap", count(1, 5)),
        wrapped("ConfigMap", text(1, text(1, b"\xff"))),
        wrapped("DeleteOptions", text(1, "no number")),
        wrapped("Namespace", text(1, text(8, count(1, 2**62)))),
    ],
)
def test_malformed_bodies_are_refused(body: bytes) -> None:
    with pytest.raises(Malformed):
        protobuf.decode(body)


@given(st.binary(max_size=200))
def test_any_bytes_decode_or_are_refused(noise: bytes) -> None:
    for body in (b"k8s\x00" + noise, wrapped("ConfigMap", noise), wrapped("DeleteOptions", noise)):
        try:
            protobuf.decode(body)
        except Malformed:
            continue

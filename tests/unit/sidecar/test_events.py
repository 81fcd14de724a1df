"""What a CloudEvent says: the attributes, the id, and the metadata that were asked for."""

from __future__ import annotations

import json
import uuid

from calumma.cluster.programs import splits
from calumma.serving import predictor
from calumma.sidecar import events, options

LOGGER = options.Logger("http://sink", "all", "pod-1", "iris", "default", "", "predictor")


def test_metadata_are_the_headers_that_go_would_find() -> None:
    headers = [
        (b"x-request-id", b"1"),
        (b"x-request-id", b"2"),
        (b"tenant", "ä".encode()),
        (b"host", b"iris.default"),
        (b"accept", b"*/*"),
    ]
    found = events.exchange(headers, ("X-Request-Id", "Tenant", "Host", "accept"))
    assert json.loads(found.metadata) == {"Tenant": ["ä"], "X-Request-Id": ["1", "2"]}
    assert events.exchange(headers, ()).metadata == "{}"


def test_an_id_is_the_clients_or_new() -> None:
    assert events.exchange([(b"ce-id", b"mine")], ()).id == "mine"
    first, second = (events.exchange([(b"ce-id", b"")], ()).id for _ in range(2))
    assert uuid.UUID(first) != uuid.UUID(second)


def test_attributes_without_a_value_are_there_and_those_without_a_meaning_are_not() -> None:
    event = events.Event(events.REQUEST, events.exchange([], ()), 0.25, b"")
    found = events.headers(event, LOGGER, 1.5)
    assert found["Ce-Endpoint"] == ""
    assert found["Ce-Time"] == "1970-01-01T00:00:00.250000Z"
    assert found["Ce-Recordedtime"] == "1970-01-01T00:00:01.500000Z"
    assert "Ce-Annotations" not in found
    assert "Content-Type" not in found


def test_names_are_written_as_go_writes_them() -> None:
    names = (b"x-request-id", b"TENANT", b"b3", b"x--y")
    assert [events.canonical_name(name) for name in names] == [
        "X-Request-Id",
        "Tenant",
        "B3",
        "X--Y",
    ]


def test_the_gateway_marks_what_is_not_logged() -> None:
    assert splits.MIRRORED.encode() == events.MIRRORED
    assert splits.MIRRORED in predictor.FORWARDED
    assert splits.USER in predictor.FORWARDED

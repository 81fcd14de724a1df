"""Watches through a real socket: order, no gaps, no repetition, and their ends."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from support.api_server import MERGE, ApiServer, Object, config_map, events


@contextmanager
def watching(client: httpx.Client, path: str, **query: str) -> Iterator[Iterator[Object]]:
    """The events of a watch."""
    with client.stream("GET", path, params={"watch": "true", **query}) as response:
        assert response.status_code == 200
        yield events(response)


def seen(event: Object) -> tuple[str, str]:
    return event["type"], event["object"]["metadata"].get("name", "")


def revision(client: httpx.Client, path: str) -> str:
    return str(client.get(path).json()["metadata"]["resourceVersion"])


def test_a_watch_begins_with_what_there_is(client: httpx.Client, config_maps: str) -> None:
    client.post(config_maps, json=config_map("a"))
    with watching(client, config_maps) as found:
        assert seen(next(found)) == ("ADDED", "a")
        client.post(config_maps, json=config_map("b"))
        assert seen(next(found)) == ("ADDED", "b")
        client.put(f"{config_maps}/b", json=config_map("b", {"x": "1"}))
        assert seen(next(found)) == ("MODIFIED", "b")
        client.delete(f"{config_maps}/a")
        event = next(found)
        assert seen(event) == ("DELETED", "a")
        assert int(event["object"]["metadata"]["resourceVersion"]) == int(
            revision(client, config_maps)
        )


def test_a_watch_goes_on_where_a_list_stopped(client: httpx.Client, config_maps: str) -> None:
    client.post(config_maps, json=config_map("a"))
    since = revision(client, config_maps)
    client.post(config_maps, json=config_map("b"))
    client.delete(f"{config_maps}/a")
    with watching(client, config_maps, resourceVersion=since, timeoutSeconds="1") as found:
        assert [seen(event) for event in found] == [("ADDED", "b"), ("DELETED", "a")]


def test_no_event_is_lost_or_repeated_while_others_write(
    server: ApiServer, client: httpx.Client, config_maps: str
) -> None:
    since = revision(client, config_maps)
    count = 60

    def write() -> None:
        with server.client() as writer:
            for number in range(count):
                writer.post(config_maps, json=config_map(f"n{number}"))

    writing = threading.Thread(target=write)
    writing.start()
    names: list[str] = []
    while len(names) < count:
        with watching(client, config_maps, resourceVersion=since) as found:
            for event in found:
                names.append(event["object"]["metadata"]["name"])
                since = event["object"]["metadata"]["resourceVersion"]
                if len(names) % 7 == 0 or len(names) == count:
                    break
    writing.join()
    assert names == [f"n{number}" for number in range(count)]


def test_an_object_that_leaves_a_selection_is_deleted_for_its_watch(
    client: httpx.Client, config_maps: str
) -> None:
    merge = {"content-type": MERGE}
    client.post(config_maps, json=config_map("a", labels={"in": "yes"}))
    with watching(client, config_maps, labelSelector="in=yes") as found:
        assert seen(next(found)) == ("ADDED", "a")
        out = {"metadata": {"labels": {"in": "no"}}}
        client.patch(f"{config_maps}/a", json=out, headers=merge)
        assert seen(next(found)) == ("DELETED", "a")
        back = {"metadata": {"labels": {"in": "yes"}}}
        client.patch(f"{config_maps}/a", json=back, headers=merge)
        assert seen(next(found)) == ("ADDED", "a")


def test_initial_events_end_with_a_bookmark(client: httpx.Client, config_maps: str) -> None:
    client.post(config_maps, json=config_map("a"))
    query = {
        "sendInitialEvents": "true",
        "resourceVersionMatch": "NotOlderThan",
        "allowWatchBookmarks": "true",
    }
    with watching(client, config_maps, **query) as found:
        assert seen(next(found)) == ("ADDED", "a")
        bookmark = next(found)
        assert bookmark["type"] == "BOOKMARK"
        assert bookmark["object"]["kind"] == "ConfigMap"
        meta = bookmark["object"]["metadata"]
        assert meta["annotations"] == {"k8s.io/initial-events-end": "true"}
        assert meta["resourceVersion"] == revision(client, config_maps)


def test_a_watch_ends_when_its_time_is_over(client: httpx.Client, config_maps: str) -> None:
    before = time.monotonic()
    with watching(client, config_maps, timeoutSeconds="1") as found:
        assert list(found) == []
    assert 0.9 < time.monotonic() - before < 3


def test_a_table_defines_its_columns_in_the_first_event_only(
    client: httpx.Client, config_maps: str
) -> None:
    for name in ("a", "b"):
        client.post(config_maps, json=config_map(name))
    accept = {"accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
    with client.stream("GET", config_maps, params={"watch": "1"}, headers=accept) as response:
        found = events(response)
        first, second = next(found)["object"], next(found)["object"]
    assert first["kind"] == second["kind"] == "Table"
    assert [column["name"] for column in first["columnDefinitions"]] == ["Name", "Data", "Age"]
    assert second["columnDefinitions"] is None
    assert second["rows"][0]["cells"][0] == "b"


def test_a_revision_that_is_no_number_is_refused(client: httpx.Client, config_maps: str) -> None:
    answer = client.get(config_maps, params={"watch": "true", "resourceVersion": "x"})
    assert answer.status_code == 422
    assert "resourceVersion" in answer.json()["message"]


def test_a_watcher_that_does_not_read_is_closed_and_others_go_on(
    own_server: ApiServer,
) -> None:
    path = "/api/v1/namespaces/default/configmaps"
    small = [(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)]
    with own_server.client(socket_options=small) as slow, own_server.client() as writer:
        writer.post(path, json=config_map("a", {"x": "x" * 10_000}))
        with slow.stream("GET", path, params={"watch": "true"}) as response:
            lines = response.iter_lines()
            assert next(lines)
            for number in range(900):
                patch = {"metadata": {"annotations": {"n": str(number)}}}
                done = writer.patch(f"{path}/a", json=patch, headers={"content-type": MERGE})
                assert done.status_code == 200
            received = 0
            # The server gives up in the middle of a line when nothing is read for too long.
            with contextlib.suppress(httpx.RemoteProtocolError, httpx.ReadError):
                for _ in lines:
                    received += 1
        assert received < 900
        assert writer.get(f"{path}/a").json()["metadata"]["annotations"] == {"n": "899"}


@pytest.mark.parametrize("initial", ["true", "false"])
def test_initial_events_need_a_match(client: httpx.Client, config_maps: str, initial: str) -> None:
    answer = client.get(config_maps, params={"watch": "true", "sendInitialEvents": initial})
    assert answer.status_code == 422
    assert "requires setting resourceVersionMatch to NotOlderThan" in answer.json()["message"]

"""What happens to writes and watches when the server is killed, stopped or out of disk."""

from __future__ import annotations

import os
import resource
import signal
import sqlite3
import threading
import time
from pathlib import Path

import httpx

from support.api_server import ApiServer, config_map, events, pod, until, write_log

PATH = "/api/v1/namespaces/default/configmaps"


def names(client: httpx.Client) -> set[str]:
    return {item["metadata"]["name"] for item in client.get(PATH).json()["items"]}


def test_every_acknowledged_write_survives_kill_9(own_server: ApiServer) -> None:
    acknowledged: list[set[str]] = [set(), set()]

    def write(lane: int) -> None:
        number = 0
        with own_server.client() as client:
            while True:
                name = f"k{lane}-{number}"
                try:
                    answer = client.post(PATH, json=config_map(name, {"x": "y" * 1000}))
                except httpx.HTTPError:
                    return
                if answer.status_code == 201:
                    acknowledged[lane].add(name)
                number += 1

    for round_number in (1, 2):
        writers = [threading.Thread(target=write, args=(lane,)) for lane in range(2)]
        for writer in writers:
            writer.start()
        until("writing", lambda enough=50 * round_number: sum(map(len, acknowledged)) > enough)
        own_server.end(signal.SIGKILL)
        for writer in writers:
            writer.join()
        own_server.restart()
        with own_server.client() as client:
            assert acknowledged[0] | acknowledged[1] <= names(client)


def test_a_watch_goes_on_after_a_crash(own_server: ApiServer) -> None:
    with own_server.client() as client:
        client.post(PATH, json=config_map("a"))
        since = client.get(PATH).json()["metadata"]["resourceVersion"]
        client.post(PATH, json=config_map("b"))
    own_server.end(signal.SIGKILL)
    own_server.restart()
    query = {"watch": "true", "resourceVersion": since}
    with own_server.client() as client, client.stream("GET", PATH, params=query) as response:
        found = events(response)
        assert next(found)["object"]["metadata"]["name"] == "b"
        with own_server.client() as other:
            other.post(PATH, json=config_map("c"))
        assert next(found)["object"]["metadata"]["name"] == "c"


def test_sigterm_ends_the_server_within_two_seconds_with_open_watches_and_logs(
    own_server: ApiServer,
) -> None:
    with own_server.node_client() as node:
        node.post("/api/v1/namespaces/default/pods", json=pod("p", "main"))
    write_log(own_server.home.pod_log("default", "p", "main"), "one")
    follow = "/api/v1/namespaces/default/pods/p/log?follow=true"
    with own_server.client() as client, client.stream("GET", f"{PATH}?watch=true") as watch:
        assert watch.status_code == 200
        with own_server.client() as other, other.stream("GET", follow) as lines:
            assert next(lines.iter_lines()) == "one"
            before = time.monotonic()
            assert own_server.end() == 0
            assert time.monotonic() - before < 2


def test_one_home_has_one_server(own_server: ApiServer) -> None:
    log = own_server.log.read_text()
    second = ApiServer(own_server.home.path, Path(own_server.environment["XDG_CACHE_HOME"]))
    process = second.launch()
    assert process.wait(20) == 1
    assert "is in use by another API server" in second.log.read_text()
    assert " serving " in log


def test_a_port_in_use_is_a_sentence(own_server: ApiServer, tmp_path: Path) -> None:
    port = int(own_server.url.rsplit(":", 1)[1])
    other = ApiServer(tmp_path / "other", Path(own_server.environment["XDG_CACHE_HOME"]))
    assert other.launch(port).wait(20) == 1
    assert f"cannot listen on 127.0.0.1 port {port}" in other.log.read_text()


def test_a_database_of_a_newer_calumma_is_left_alone(own_server: ApiServer) -> None:
    own_server.end()
    with sqlite3.connect(own_server.home.database) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    assert own_server.launch().wait(20) == 1
    assert "schema version 99, written by a newer Calumma" in own_server.log.read_text()


def test_a_broken_database_is_a_sentence(own_server: ApiServer) -> None:
    own_server.end()
    for path in own_server.home.database.parent.glob(f"{own_server.home.database.name}*"):
        path.unlink()
    own_server.home.database.write_bytes(b"this is no database" * 1000)
    assert own_server.launch().wait(20) == 1
    log = own_server.log.read_text()
    assert f"The database {own_server.home.database} cannot be used" in log
    assert "Traceback" not in log


def test_a_full_disk_refuses_writes_and_loses_none(own_server: ApiServer) -> None:
    assert own_server.process is not None
    number = own_server.process.pid
    sizes = [path.stat().st_size for path in own_server.home.database.parent.glob("*")]
    _, hard = resource.prlimit(number, resource.RLIMIT_FSIZE)
    written = set()
    with own_server.client() as client:
        resource.prlimit(number, resource.RLIMIT_FSIZE, (max(sizes) + 200_000, hard))
        for attempt in range(200):
            answer = client.post(
                PATH, json=config_map(f"f{attempt}", {"x": os.urandom(4000).hex()})
            )
            if answer.status_code != 201:
                break
            written.add(f"f{attempt}")
        assert answer.status_code in (500, 507)
        assert str(own_server.home.database) in answer.json()["message"]
        assert written <= names(client)
        resource.prlimit(number, resource.RLIMIT_FSIZE, (hard, hard))
        assert client.post(PATH, json=config_map("after")).status_code == 201
        own_server.end(signal.SIGKILL)
        own_server.restart()
        with own_server.client() as again:
            assert written | {"after"} <= names(again)

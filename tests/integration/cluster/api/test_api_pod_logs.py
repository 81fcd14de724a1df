"""``pods/log``: the parts of a log that a client may ask for, and following it."""

from __future__ import annotations

import time
from pathlib import Path

import httpx
import pytest

from calumma.cluster import logfile
from support.api_server import ApiServer, pod, until, write_log

TIMES = [f"2026-11-21T10:00:0{second}.000000000Z" for second in (0, 1, 5, 9)]
LINES = ["starting", "", "ready", "done"]


@pytest.fixture
def log(server: ApiServer, node: httpx.Client, namespace: str) -> Path:
    """The logs of a running pod with one container."""
    node.post(f"/api/v1/namespaces/{namespace}/pods", json=pod("p", "main"))
    folder = server.home.pod_log(namespace, "p", "main")
    for at, line in zip(TIMES, LINES, strict=True):
        write_log(folder, line, at=at)
    return folder


def read(client: httpx.Client, namespace: str, **query: str) -> list[str]:
    answer = client.get(f"/api/v1/namespaces/{namespace}/pods/p/log", params=query)
    assert answer.status_code == 200, answer.text
    return answer.text.splitlines()


def report(node: httpx.Client, namespace: str, **facts: object) -> None:
    """Let the pod's status say something of its container."""
    path = f"/api/v1/namespaces/{namespace}/pods/p"
    reported = {"name": "main", "image": "", "imageID": "", "ready": False, "restartCount": 1}
    found = node.get(path).json()
    found["status"] = {"containerStatuses": [reported | facts]}
    assert node.put(f"{path}/status", json=found).is_success


def test_the_whole_log(client: httpx.Client, namespace: str, log: Path) -> None:
    assert read(client, namespace) == LINES
    assert read(client, namespace, container="main") == LINES


@pytest.mark.parametrize("count", [0, 1, 3, 4, 99])
def test_the_last_lines(client: httpx.Client, namespace: str, log: Path, count: int) -> None:
    assert read(client, namespace, tailLines=str(count)) == LINES[len(LINES) - min(count, 4) :]


def test_at_most_so_many_bytes(client: httpx.Client, namespace: str, log: Path) -> None:
    path = f"/api/v1/namespaces/{namespace}/pods/p/log"
    assert client.get(path, params={"limitBytes": "11"}).text == "starting\n\nr"


def test_timestamps_stand_before_each_line(client: httpx.Client, namespace: str, log: Path) -> None:
    pairs = zip(TIMES, LINES, strict=True)
    assert read(client, namespace, timestamps="true") == [f"{at} {line}" for at, line in pairs]


def test_only_what_is_younger(client: httpx.Client, namespace: str, log: Path) -> None:
    assert read(client, namespace, sinceTime="2026-11-21T10:00:05Z") == LINES[2:]
    assert read(client, namespace, sinceTime="2026-11-21T12:00:06+02:00") == LINES[3:]
    assert read(client, namespace, sinceTime="0001-01-01T00:00:00Z") == LINES
    assert read(client, namespace, sinceSeconds="100000000000") == LINES
    write_log(log, "now")
    seconds = int(time.time() - 1_795_255_211)  # 2026-11-21T10:00:11Z
    assert read(client, namespace, sinceSeconds=str(max(seconds, 1))) == ["now"]


def test_a_long_line_comes_in_one_piece(client: httpx.Client, namespace: str, log: Path) -> None:
    at = TIMES[3].encode()
    parts = [logfile.stamped(b"x" * 5, at, whole=False), logfile.stamped(b"y", at)]
    with (log / "0.log").open("ab") as file:
        file.writelines(parts)
    assert read(client, namespace)[-1] == "xxxxxy"


def test_a_log_that_has_moved_aside_is_read_from_its_first_piece(
    client: httpx.Client, namespace: str, log: Path
) -> None:
    logfile.rotate(log / "0.log").close()
    assert read(client, namespace) == LINES
    write_log(log, "more")
    assert read(client, namespace) == [*LINES, "more"]
    assert read(client, namespace, tailLines="2") == ["done", "more"]


def test_following_shows_what_is_written_and_ends_with_the_pod(
    client: httpx.Client, node: httpx.Client, namespace: str, log: Path
) -> None:
    path = f"/api/v1/namespaces/{namespace}/pods/p"
    query = {"follow": "true", "tailLines": "1"}
    with client.stream("GET", f"{path}/log", params=query) as response:
        lines = response.iter_lines()
        assert next(lines) == LINES[-1]
        write_log(log, "more")
        assert next(lines) == "more"
        logfile.rotate(log / "0.log").close()
        write_log(log, "in the next file")
        assert next(lines) == "in the next file"
        write_log(log, "in the next run", run=1)
        assert next(lines) == "in the next run"
        write_log(log, "at the end", run=1)
        node.delete(path)
        assert list(lines) == ["at the end"]


def test_each_run_has_its_log(
    client: httpx.Client, node: httpx.Client, namespace: str, log: Path
) -> None:
    terminated = {"terminated": {"exitCode": 1, "reason": "Error"}}
    waiting = {"waiting": {"reason": "CrashLoopBackOff"}}
    report(node, namespace, state=waiting, lastState=terminated)
    assert read(client, namespace) == read(client, namespace, previous="true") == LINES
    write_log(log, "again", run=1)
    report(node, namespace, state={"running": {}}, lastState=terminated)
    assert read(client, namespace) == ["again"]
    assert read(client, namespace, previous="true") == LINES
    assert read(client, namespace, previous="true", follow="true") == LINES


@pytest.mark.parametrize(
    ("containers", "query", "message"),
    [
        (("a", "b"), {}, "a container name must be specified for pod q, choose one of: [a b]"),
        (("a",), {"container": "z"}, "container z is not valid for pod q"),
        (
            ("a",),
            {"previous": "true"},
            'previous terminated container "a" in pod "q" not found',
        ),
        (("a",), {}, 'container "a" in pod "q" is waiting to start: ContainerCreating'),
        (("a",), {"tailLines": "-1"}, 'tailLines: Invalid value: "-1": must be a number'),
    ],
)
def test_what_cannot_be_shown_is_said(
    client: httpx.Client,
    node: httpx.Client,
    namespace: str,
    containers: tuple[str, ...],
    query: dict[str, str],
    message: str,
) -> None:
    path = f"/api/v1/namespaces/{namespace}/pods"
    node.post(path, json=pod("q", *containers))
    answer = client.get(f"{path}/q/log", params=query)
    assert (answer.status_code, answer.json()["message"]) == (400, message)


def test_a_pod_that_is_not_there_has_no_log(client: httpx.Client, namespace: str) -> None:
    answer = client.get(f"/api/v1/namespaces/{namespace}/pods/p/log")
    assert answer.status_code == 404
    assert answer.json()["message"] == 'pods "p" not found'


def test_logs_are_written_while_they_are_read(
    client: httpx.Client, namespace: str, log: Path
) -> None:
    path = f"/api/v1/namespaces/{namespace}/pods/p/log"
    received: list[str] = []
    with client.stream("GET", path, params={"follow": "true", "tailLines": "0"}) as response:
        lines = response.iter_lines()
        for number in range(5):
            write_log(log, f"line {number} " + "x" * 100_000)
            received.append(next(lines).split(" x")[0])
    assert received == [f"line {number}" for number in range(5)]
    until("closed", lambda: response.is_closed)

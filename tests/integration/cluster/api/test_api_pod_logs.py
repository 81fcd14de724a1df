"""``pods/log``: the parts of a log that a client may ask for, and following it."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from support.api_server import ApiServer, pod, until

LINES = [
    "2026-11-21 10:00:00,000 INFO starting",
    "a line without a time",
    "I1121 10:00:05.500000 123 server.cc:1] ready",
    "2026-11-21T10:00:09.250+00:00 done",
]


@pytest.fixture
def log(server: ApiServer, node: httpx.Client, namespace: str) -> Path:
    """The log of a running pod with one container."""
    node.post(f"/api/v1/namespaces/{namespace}/pods", json=pod("p", "main"))
    path = server.home.pod_log(namespace, "p", "main")
    path.parent.mkdir(parents=True)
    path.write_text("".join(f"{line}\n" for line in LINES))
    return path


def read(client: httpx.Client, namespace: str, **query: str) -> list[str]:
    answer = client.get(f"/api/v1/namespaces/{namespace}/pods/p/log", params=query)
    assert answer.status_code == 200, answer.text
    return answer.text.splitlines()


def test_the_whole_log(client: httpx.Client, namespace: str, log: Path) -> None:
    assert read(client, namespace) == LINES
    assert read(client, namespace, container="main") == LINES


@pytest.mark.parametrize("count", [0, 1, 3, 4, 99])
def test_the_last_lines(client: httpx.Client, namespace: str, log: Path, count: int) -> None:
    assert read(client, namespace, tailLines=str(count)) == LINES[len(LINES) - min(count, 4) :]


def test_at_most_so_many_bytes(client: httpx.Client, namespace: str, log: Path) -> None:
    assert "\n".join(read(client, namespace, limitBytes="20")) == LINES[0][:20]


def test_timestamps_stand_before_each_line(client: httpx.Client, namespace: str, log: Path) -> None:
    found = read(client, namespace, timestamps="true")
    assert [line.split(" ", 1)[1] for line in found] == LINES
    assert found[3].startswith("2026-11-21T10:00:09.250000Z ")
    assert found[0].split(" ")[0] == found[1].split(" ")[0]


def test_only_what_is_younger(client: httpx.Client, namespace: str, log: Path) -> None:
    assert read(client, namespace, sinceTime="2026-11-21T10:00:09Z") == LINES[3:]
    assert read(client, namespace, sinceSeconds="1000000000") == LINES


def test_following_shows_what_is_written_and_ends_with_the_pod(
    client: httpx.Client, node: httpx.Client, namespace: str, log: Path
) -> None:
    path = f"/api/v1/namespaces/{namespace}/pods/p"
    query = {"follow": "true", "tailLines": "1"}
    with client.stream("GET", f"{path}/log", params=query) as response:
        lines = response.iter_lines()
        assert next(lines) == LINES[-1]
        with log.open("a") as file:
            file.write("more\n")
        assert next(lines) == "more"
        node.delete(path)
        assert list(lines) == []


def test_a_log_that_is_begun_anew_is_followed_from_its_beginning(
    client: httpx.Client, namespace: str, log: Path
) -> None:
    query = {"follow": "true", "tailLines": "0"}
    path = f"/api/v1/namespaces/{namespace}/pods/p/log"
    with client.stream("GET", path, params=query) as response:
        lines = response.iter_lines()
        log.write_text("new\n")
        assert next(lines) == "new"


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
            with log.open("a") as file:
                file.write(f"line {number} " + "x" * 100_000 + "\n")
            received.append(next(lines).split(" x")[0])
    assert received == [f"line {number}" for number in range(5)]
    until("closed", lambda: response.is_closed)

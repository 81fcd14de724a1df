"""The router's process, between a caller and real HTTP servers."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from support import pods

CLUSTER = "http://digits.default.svc.cluster.local/v1/models/digits:predict"


class Service(BaseHTTPRequestHandler):
    """Answers what it was asked; a path of ``/status/N`` with that status, ``/slow`` never."""

    protocol_version = "HTTP/1.1"
    connections: set[Any]
    released: threading.Event

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.connections.add(self.client_address)
        status, kind = 200, "application/json"
        if self.path.startswith("/status/"):
            status = int(self.path.rsplit("/", 1)[1])
        if self.path == "/slow":
            self.released.wait(30)
        told = {
            "path": self.path,
            "headers": {name.lower(): value for name, value in self.headers.items()},
            "body": body.decode(),
        }
        content = json.dumps(told).encode()
        if self.path == "/text":
            content, kind = b"plain text", "text/html"
        if self.path == "/untyped":
            kind = "application/octet-stream"
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *values: object) -> None:
        """Keep quiet."""


@pytest.fixture
def service() -> Iterator[tuple[str, type[Service]]]:
    """A server's address, and what it saw."""

    class Handler(Service):
        connections: set[Any] = set()  # noqa: RUF012
        released = threading.Event()

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}", Handler
        finally:
            Handler.released.set()
            server.shutdown()
            thread.join()


@contextlib.contextmanager
def routing(
    folder: Path, spec: dict[str, Any], gateway: str = "127.0.0.1:1", headers: str = ""
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A router that is ready: its URL and its process."""
    port = pods.free_port()
    argv = ["--graph-json", json.dumps(spec), "--port", str(port), "--gateway", gateway]
    log = folder / "router.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "calumma.graph", *argv],
            env={**os.environ, "PROPAGATE_HEADERS": headers},
            stdout=output,
            stderr=output,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 30
        while not answers(url):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)
        yield url, process
    finally:
        process.terminate()
        process.wait(15)


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz").status_code == 200
    except httpx.HTTPError:
        return False


def sequence(*urls: str, **more: Any) -> dict[str, Any]:
    steps = [{"serviceUrl": url} for url in urls]
    return {"nodes": {"root": {"routerType": "Sequence", "steps": steps}}, **more}


def test_a_name_of_the_cluster_goes_to_the_gateway_with_its_host(
    service: tuple[str, type[Service]], tmp_path: Path
) -> None:
    address, handler = service
    with routing(tmp_path, sequence(CLUSTER), gateway=address) as (url, _):
        for _ in range(3):
            answer = httpx.post(f"{url}/any/path", content=b'{"a": 1}')
            assert answer.status_code == 200
    told = answer.json()
    assert told["path"] == "/v1/models/digits:predict"
    assert told["headers"]["host"] == "digits.default.svc.cluster.local"
    assert told["headers"]["content-type"] == "application/json"
    assert told["body"] == '{"a": 1}'
    assert len(handler.connections) == 1


def test_headers_go_on_by_pattern(service: tuple[str, type[Service]], tmp_path: Path) -> None:
    spec = sequence(f"http://{service[0]}/a")
    with routing(tmp_path, spec, headers="^X-Request-Id$,Content-.*") as (url, _):
        sent = {"x-request-id": "7", "authorization": "secret", "content-type": "text/csv"}
        found = httpx.post(url, content=b"a", headers=sent).json()["headers"]
    assert found["x-request-id"] == "7"
    assert found["content-type"] == "text/csv"
    assert "authorization" not in found


@pytest.mark.parametrize(
    ("path", "status", "kind"),
    [
        ("/status/404", 404, "application/json"),
        ("/status/503", 503, "application/json"),
        ("/untyped", 200, "application/json"),
        ("/text", 200, "text/plain; charset=utf-8"),
    ],
)
def test_the_answer_is_the_steps(
    service: tuple[str, type[Service]], tmp_path: Path, path: str, status: int, kind: str
) -> None:
    with routing(tmp_path, sequence(f"http://{service[0]}{path}")) as (url, _):
        answer = httpx.post(url, content=b"{}")
    assert (answer.status_code, answer.headers["content-type"]) == (status, kind)


def test_a_service_that_cannot_be_reached_is_named(tmp_path: Path) -> None:
    nobody = f"http://127.0.0.1:{pods.free_port()}/a"
    with routing(tmp_path, sequence(nobody)) as (url, _):
        answer = httpx.post(url, content=b"{}")
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["error"] == "Failed to process request"
    assert answer.json()["cause"].startswith(f'Post "{nobody}": ')


@pytest.mark.parametrize("bad", ["ftp://somewhere/a", "nothing", "http://"])
def test_an_url_that_is_none_is_an_error_and_not_a_crash(tmp_path: Path, bad: str) -> None:
    with routing(tmp_path, sequence(bad)) as (url, _):
        answer = httpx.post(url, content=b"{}")
        assert answer.status_code == 500
        assert answer.json()["cause"].startswith(f'Post "{bad}": ')
        assert answers(url)


@pytest.mark.parametrize(
    ("timeouts", "status", "cause"),
    [
        ({"serviceClient": 1}, 500, "no answer within 1.0 s, routerTimeouts.serviceClient"),
        ({"serverWrite": 1}, 503, "routerTimeouts.serverWrite, 1 s, is over"),
    ],
)
def test_timeouts(
    service: tuple[str, type[Service]],
    tmp_path: Path,
    timeouts: dict[str, int],
    status: int,
    cause: str,
) -> None:
    spec = sequence(f"http://{service[0]}/slow", routerTimeouts=timeouts)
    with routing(tmp_path, spec) as (url, _):
        answer = httpx.post(url, content=b"{}", timeout=20)
    assert answer.status_code == status
    assert cause in answer.json()["cause"]


def test_a_caller_that_does_not_send_its_body_is_answered(tmp_path: Path) -> None:
    spec = sequence("http://127.0.0.1:1/a", routerTimeouts={"serverRead": 1})
    with routing(tmp_path, spec) as (url, _):
        connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=20)
        connection.putrequest("POST", "/")
        connection.putheader("content-length", "10")
        connection.endheaders()
        answer = connection.getresponse()
        assert answer.status == 408
        assert "routerTimeouts.serverRead" in json.loads(answer.read())["cause"]
        connection.close()


def test_requests_under_way_are_answered_before_it_ends(
    service: tuple[str, type[Service]], tmp_path: Path
) -> None:
    address, handler = service
    with routing(tmp_path, sequence(f"http://{address}/slow")) as (url, process):
        found: list[int] = []
        caller = threading.Thread(
            target=lambda: found.append(httpx.post(url, content=b"{}", timeout=30).status_code)
        )
        caller.start()
        deadline = time.monotonic() + 30
        while not handler.connections:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        while answers(url):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        handler.released.set()
        caller.join()
        assert found == [200]


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [("{", "Expecting"), ('{"nodes": {"a": {"routerType": "Switch"}}}', "no node 'root'")],
)
def test_a_graph_that_is_none_ends_with_a_sentence(spec: str, sentence: str) -> None:
    argv = ["--graph-json", spec, "--gateway", "127.0.0.1:1"]
    ended = subprocess.run(
        [sys.executable, "-m", "calumma.graph", *argv], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert sentence in ended.stderr
    assert "Traceback" not in ended.stderr

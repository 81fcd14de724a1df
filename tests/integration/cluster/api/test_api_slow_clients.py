"""A thousand clients that do not read, and others that do not speak: who keeps up notices nothing.

One test, because all of them take their time at once: watches that nobody reads, heads and bodies
that do not end, and connections on which nothing is said.
"""

from __future__ import annotations

import contextlib
import json
import resource
import socket
import ssl
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from calumma.cluster import connection
from calumma.cluster.api import app, watch
from support.api_server import MERGE, ApiServer, config_map, until

PATH = "/api/v1/namespaces/default/configmaps"
WATCHERS = 1000
_HEIGHT = 600e6
"""Bytes by which the server may grow: some 350 kB for each client, of which 64 to 128 kB are unsent
changes, and the rest is its TLS connection's and uvicorn's."""
_GROWTH = 60e6
"""Bytes that may stay: pages of the allocator that are still in use for something else."""


def memory(number: int) -> float:
    pages = int(Path(f"/proc/{number}/statm").read_text().split()[1])
    return pages * float(resource.getpagesize())


def files(number: int) -> int:
    return len(list(Path(f"/proc/{number}/fd").iterdir()))


@pytest.fixture
def many_files() -> Iterator[None]:
    """Room for the sockets of both sides; this process gets its old limit back."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WATCHERS + 500
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"this user may open {hard} files; the test needs {wanted}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def opened(server: ApiServer, sent: str) -> ssl.SSLSocket:
    """A connection on which this was said, with a small buffer for what comes back."""
    bare = socket.socket()
    bare.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    bare.settimeout(20)
    bare.connect(("127.0.0.1", int(server.url.rsplit(":", 1)[1])))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    tls = context.wrap_socket(bare)
    tls.sendall(sent.encode())
    return tls


def request(server: ApiServer, line: str, *headers: str) -> str:
    """The head of a request with the person's token."""
    token = json.loads(server.home.kubeconfig.read_text())["users"][0]["user"]["token"]
    lines = [f"{line} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {token}", *headers]
    return "\r\n".join(lines) + "\r\n\r\n"


def listed(client: httpx.Client) -> float:
    before = time.perf_counter()
    assert client.get(f"{PATH}?limit=5").is_success
    return time.perf_counter() - before


@pytest.mark.slow
def test_a_thousand_slow_clients(own_server: ApiServer, many_files: None) -> None:
    assert own_server.process is not None
    number = own_server.process.pid
    with own_server.client() as client, contextlib.ExitStack() as slow:
        client.post(PATH, json=config_map("a", {"x": "x" * 20_000}))
        for _ in range(20):
            listed(client)
        size, handles = memory(number), files(number)

        dawdling = [
            opened(own_server, ""),
            opened(own_server, "GET /version HTTP/1.1\r\nHost: local"),
            opened(own_server, request(own_server, f"POST {PATH}", "Content-Length: 9") + "{"),
        ]
        for each in dawdling:
            slow.enter_context(each)
        watching = request(own_server, f"GET {PATH}?watch=true")
        for _ in range(WATCHERS):
            slow.enter_context(opened(own_server, watching))
        until("all watch", lambda: files(number) >= handles + WATCHERS, 30)

        times = []
        for change in range(watch.QUEUE + 50):
            body = {"metadata": {"annotations": {"n": str(change)}}}
            done = client.patch(f"{PATH}/a", json=body, headers={"content-type": MERGE})
            assert done.is_success
            if change % 10 == 0:
                times.append(listed(client))
        assert statistics.median(times) < 1.0
        grown = memory(number) - size

        until(
            "the slow ones cut off",
            lambda: files(number) <= handles + 5,
            app.SEND_SECONDS + app.BODY_SECONDS + connection.HEAD_SECONDS,
        )
        assert statistics.median(listed(client) for _ in range(20)) < 0.1
        assert grown < _HEIGHT
        until("memory given back", lambda: memory(number) - size < _GROWTH, 45)
        answers = [received(each) for each in dawdling]
        assert answers[:2] == [b"", b""]
        assert b"504" in answers[2].splitlines()[0]
        assert b"request did not complete within the allotted timeout" in answers[2]
    assert "Traceback" not in own_server.log.read_text()


def received(each: ssl.SSLSocket) -> bytes:
    found = b""
    with contextlib.suppress(OSError):
        while part := each.recv(65536):
            found += part
    return found

"""Requests that make no sense: each gets a reason, none harms the server, nothing of them stays.

Every answer is what a real API server could give: an object, a Status with a reason, or the plain
text of a path that does not exist. The answers with 5xx that a real one gives to a client's own
fault are allowed. After the storm the server's log, memory and open files are looked at.
``CALUMMA_FUZZ=long`` tries a hundred times as many.
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import itertools
import json
import os
import re
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest

from calumma.cluster import connection
from calumma.cluster.api import app
from support import junk, wire
from support.api_server import ISVC, MERGE, ApiServer, config_map, isvc, pod, running, until

NAMESPACE = "storm"
CORE = f"/api/v1/namespaces/{NAMESPACE}"
CONFIG_MAPS = f"{CORE}/configmaps"
SERVICES = f"/{ISVC}/namespaces/{NAMESPACE}/inferenceservices"
RUNTIMES = f"/apis/serving.kserve.io/v1alpha1/namespaces/{NAMESPACE}/servingruntimes"
JSON_PATCH = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"
PROTOBUF = "application/vnd.kubernetes.protobuf"
_AS_KUBERNETES = re.compile(
    r"failed to create typed patch object|^Timeout: Too large resource version"
    r"|^resourceVersion should not be set on objects to be created$"
)
"""What a real API server answers with 500 or 504 to a request that is wrong."""
_GROWTH = 60e6
"""Bytes by which the server may stay larger: its allocator keeps what a few bodies of three
megabytes took while they were read, and no more than that however many come."""

RUNTIME = {
    "apiVersion": "serving.kserve.io/v1alpha1",
    "kind": "ServingRuntime",
    "metadata": {"name": "a"},
    "spec": {
        "supportedModelFormats": [{"name": "onnx", "version": "1", "autoSelect": True}],
        "containers": [{"name": "kserve-container", "image": "x", "args": ["--x={{.Name}}"]}],
    },
}
DOCUMENTS: dict[str, Any] = {
    CONFIG_MAPS: config_map("a", {"x": "1"}, labels={"a": "b"}, finalizers=["a.test/b"]),
    f"{CORE}/secrets": {"metadata": {"name": "a"}, "data": {"x": "eA=="}, "type": "Opaque"},
    f"{CORE}/serviceaccounts": {"metadata": {"name": "a"}, "secrets": [{"name": "s"}]},
    f"{CORE}/events": {"metadata": {"name": "a"}, "involvedObject": {"namespace": NAMESPACE}},
    f"{CORE}/pods": {**pod("a", "main"), "status": {"phase": "Running", "conditions": []}},
    SERVICES: isvc("a", minReplicas=1),
    RUNTIMES: RUNTIME,
    "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews": {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {"verb": "get", "resource": "pods"}},
    },
}


def rss(number: int) -> float:
    pages = int(Path(f"/proc/{number}/statm").read_text().split()[1])
    return pages * float(os.sysconf("SC_PAGE_SIZE"))


def processor_seconds(number: int) -> float:
    fields = Path(f"/proc/{number}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def files(number: int) -> int:
    return len(list(Path(f"/proc/{number}/fd").iterdir()))


@pytest.fixture(scope="module")
def stormed(tmp_path_factory: pytest.TempPathFactory, schema_cache: Path) -> Iterator[ApiServer]:
    """A server that is looked at once all tests here have been at it."""
    with running(tmp_path_factory.mktemp("stormed") / "home", schema_cache) as server:
        assert server.process is not None
        number = server.process.pid
        with server.node_client() as node:
            node.post("/api/v1/namespaces", json={"metadata": {"name": NAMESPACE}})
            for path, document in DOCUMENTS.items():
                assert node.post(path, json=document).status_code == 201, path
            assert node.get(f"{SERVICES}/a").is_success
        until("quiet", lambda: files(number) == files(number))
        memory, handles = rss(number), files(number)
        yield server
        until("files given back", lambda: files(number) <= handles + 2)
        until("memory given back", lambda: rss(number) - memory < _GROWTH, 30)
        log = server.log.read_text()
        assert "Traceback" not in log
        assert not [line for line in log.splitlines() if " ERROR " in line]


@pytest.fixture
def user(stormed: ApiServer) -> Iterator[httpx.Client]:
    """The node's client, which may write every kind; the server serves on after each test."""
    with stormed.node_client() as client:
        yield client
        assert client.get("/readyz").text == "ok"
        assert client.get(f"{SERVICES}/a").status_code in (200, 404)


def judge(answer: httpx.Response, what: object) -> None:
    """An answer that a real API server could have given."""
    told = (answer.status_code, answer.text[:500], what)
    if answer.is_success:
        return
    if not answer.headers.get("content-type", "").startswith("application/json"):
        assert (answer.status_code, answer.text) == (404, "404 page not found\n"), told
        return
    status = answer.json()
    assert (status["kind"], status["apiVersion"], status["status"]) == ("Status", "v1", "Failure")
    assert status["code"] == answer.status_code
    assert status["message"], told
    if answer.status_code >= 500:
        assert _AS_KUBERNETES.search(status["message"]), told
    else:
        assert status["reason"], told


def restore(client: httpx.Client, path: str) -> None:
    """Have the object that patches are made for, as it was."""
    client.patch(f"{path}/a", json={"metadata": {"finalizers": None}}, headers=merge())
    client.delete(f"{path}/a")
    client.post(path, json=DOCUMENTS[path])


def merge(media_type: str = MERGE) -> dict[str, str]:
    return {"content-type": media_type}


@pytest.mark.parametrize("path", DOCUMENTS)
def test_wrong_objects(user: httpx.Client, path: str) -> None:
    for seed in range(junk.effort(60)):
        chance = Random(seed)
        body = junk.written(chance, junk.mutated(chance, DOCUMENTS[path]))
        if chance.random() < 0.3:
            body = junk.damaged(chance, body)
        media_type = chance.choice(("application/json", "application/json", "application/yaml"))
        method, at = chance.choice((("POST", path), ("PUT", f"{path}/a"), ("DELETE", f"{path}/a")))
        answer = user.request(method, at, content=body, headers=merge(media_type))
        judge(answer, (seed, method, at, body))
        judge(
            user.get(path, headers={"accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}), seed
        )


@pytest.mark.parametrize("path", [CONFIG_MAPS, f"{CORE}/pods", SERVICES, RUNTIMES])
@pytest.mark.parametrize("media_type", [MERGE, JSON_PATCH, STRATEGIC, APPLY])
def test_wrong_patches(user: httpx.Client, path: str, media_type: str) -> None:
    for seed in range(junk.effort(40)):
        chance = Random(seed)
        if media_type == JSON_PATCH:
            document = junk.operations(chance)
        else:
            document = junk.mutated(chance, DOCUMENTS[path])
        body = junk.written(chance, document)
        if chance.random() < 0.1:
            body = junk.damaged(chance, body)
        query = {"fieldManager": "storm", "fieldValidation": chance.choice(("Strict", "Warn"))}
        if media_type == APPLY:
            query["force"] = chance.choice(("true", "false"))
        at = f"{path}/a" + chance.choice(("", "", "/status"))
        answer = user.patch(at, content=body, params=query, headers=merge(media_type))
        judge(answer, (seed, at, query, body))
        if seed % 10 == 0:
            restore(user, path)


@pytest.mark.parametrize("path", ["/api/v1/namespaces", CONFIG_MAPS, f"{CORE}/secrets"])
def test_wrong_protobuf(user: httpx.Client, path: str) -> None:
    for seed in range(junk.effort(150)):
        body = junk.protobuf(Random(seed))
        judge(user.post(path, content=body, headers=merge(PROTOBUF)), (seed, body[:200]))
        judge(user.request("DELETE", f"{path}/no", content=body, headers=merge(PROTOBUF)), seed)


def test_wrong_queries_and_headers(user: httpx.Client) -> None:
    paths = [CONFIG_MAPS, f"{SERVICES}/a", f"{CORE}/pods/a/log", "/api/v1/pods", "/openapi/v3"]
    forms = (
        "*/*",
        "text/html",
        "application/json;as=Table;v=v1;g=meta.k8s.io",
        ";;,,=",
        "a" * 9999,
    )
    for seed in range(junk.effort(400)):
        chance = Random(seed)
        headers = {"accept": chance.choice(forms), "if-none-match": chance.choice(("", '"', "*"))}
        headers |= {
            "user-agent": chance.choice(("", "/", "x" * 300, "é".encode().decode("latin-1")))
        }
        method, at, query = (
            chance.choice(("GET", "GET", "POST")),
            chance.choice(paths),
            junk.query(chance),
        )
        encoded = {key.encode(): value.encode("latin-1") for key, value in headers.items()}
        answer = user.request(method, at, params=query, headers=encoded)
        judge(answer, (seed, method, at, query, headers))


@pytest.mark.parametrize(
    "path",
    [
        *("/api/v1/namespaces/%00/configmaps", "/api/v1/%2e%2e/%2e%2e/etc/passwd", "//", "/%ff"),
        *("/api/v1/namespaces/a%2Fb/configmaps/c", "/apis/serving.kserve.io", "/api/v1/nodes/%0a"),
        *("/api/v1/namespaces/default/configmaps/" + "x" * 60_000, "/openapi/v3/../../etc/passwd"),
        *("/api/v1/namespaces/default/pods/x/log/y", "/api/v1/watch/pods", "/" + "a/" * 5000),
        *("/openapi/v3/apis/%2e%2e", "/api/v1/namespaces/default/pods/x/exec", "/debug/pprof"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD", "TRACE", "OPTIONS", "PROPFIND"])
def test_wrong_paths(user: httpx.Client, path: str, method: str) -> None:
    answer = user.request(method, path)
    if method == "HEAD":
        assert answer.status_code < 500
    else:
        judge(answer, path)


def nested(depth: int, opening: str = "[", closing: str = "]") -> bytes:
    return (opening * depth + "1" + closing * depth).encode()


HUGE = {
    "ten thousand levels": nested(10_000, '{"a":', "}"),
    "a million levels": nested(1_000_000),
    "a million levels that do not end": b'[{"a":' * 400_000,
    "five hundred levels of YAML": b"- " * 500 + b"a",
    "a hundred thousand levels of YAML": nested(100_000),
    "half a million nodes": b'{"data":{"x":[' + b"1," * 500_000 + b"1]}}",
    "300,000 fields": b"{" + b",".join(b'"%d":1' % n for n in range(300_000)) + b"}",
    "300,000 fields, each twice": b"{"
    + b",".join(b'"%d":1' % (n % 150_000) for n in range(300_000))
    + b"}",
    "a number of a million digits": b'{"data":{"x":' + b"9" * 1_000_000 + b"}}",
    "2 MB of text": json.dumps(config_map("huge", {"x": "y" * 2_000_000})).encode(),
    "20,000 unknown fields": json.dumps(
        {**config_map("odd"), **{f"field{n}": n for n in range(20_000)}}
    ).encode(),
    "zeros": bytes(3_000_000),
    "compressed": gzip.compress(json.dumps(config_map("packed")).encode()),
}


@pytest.mark.parametrize("name", HUGE)
@pytest.mark.parametrize("media_type", ["application/json", "application/yaml", PROTOBUF])
def test_huge_bodies(stormed: ApiServer, user: httpx.Client, name: str, media_type: str) -> None:
    assert stormed.process is not None
    number = stormed.process.pid
    before = processor_seconds(number)
    headers = merge(media_type)
    if name == "compressed":
        headers["content-encoding"] = "gzip"
    answer = user.post(CONFIG_MAPS, content=HUGE[name], headers=headers)
    judge(answer, name)
    assert processor_seconds(number) - before < 10
    user.delete(f"{CONFIG_MAPS}/odd")


def test_warnings_fit_into_an_answer(user: httpx.Client) -> None:
    answer = user.post(CONFIG_MAPS, content=HUGE["20,000 unknown fields"], params={"dryRun": "All"})
    assert answer.status_code == 201
    warnings = answer.headers.get_list("warning")
    assert warnings[0] == '299 - "unknown field \\"field0\\""'
    assert 4096 <= sum(map(len, warnings)) < 8192


def test_copies_of_copies_are_refused(user: httpx.Client) -> None:
    user.put(f"{CONFIG_MAPS}/a", json=config_map("a", {"x": "y" * 1000}))
    doubling = [{"op": "copy", "from": "/data", "path": f"/data/{n}"} for n in range(60)]
    growing = [{"op": "copy", "from": "/data/x", "path": f"/data/{n}"} for n in range(10_000)]
    deeper = [{"op": "add", "path": "/a" * n, "value": {"a": {}}} for n in range(1, 1500)]
    moving = [
        {
            "op": "move",
            "from": f"/data{'' if n % 2 else '2'}",
            "path": f"/data{'2' if n % 2 else ''}",
        }
        for n in range(1, 10_000)
    ]
    for operations in (doubling, growing, deeper):
        answer = user.patch(f"{CONFIG_MAPS}/a", json=operations, headers=merge(JSON_PATCH))
        judge(answer, operations[:2])
        assert answer.status_code == 422
    judge(user.patch(f"{CONFIG_MAPS}/a", json=moving, headers=merge(JSON_PATCH)), "moving")


@pytest.mark.parametrize(
    "token",
    [
        {"rv": 1, "start": "/pods/"},
        {"rv": 10**30, "start": "/configmaps/"},
        {"rv": 10**15, "start": f"/configmaps/{NAMESPACE}/"},
        {"rv": -1, "start": f"/configmaps/{NAMESPACE}/"},
        {"rv": "1", "start": []},
        {"rv": 1},
        [1],
        "x",
        None,
    ],
)
def test_tokens_of_no_list(user: httpx.Client, token: object) -> None:
    text = base64.urlsafe_b64encode(json.dumps(token).encode()).decode()
    answer = user.get(CONFIG_MAPS, params={"continue": text})
    assert answer.status_code == 400
    judge(answer, token)


def test_a_token_leads_into_no_other_namespace(user: httpx.Client) -> None:
    for name in ("x", "y"):
        user.post("/api/v1/namespaces/default/configmaps", json=config_map(name))
    page = user.get("/api/v1/namespaces/default/configmaps", params={"limit": "1"}).json()
    answer = user.get(CONFIG_MAPS, params={"continue": page["metadata"]["continue"]})
    assert answer.status_code == 400
    deep = base64.urlsafe_b64encode(b"[" * 40_000).decode()
    assert user.get(CONFIG_MAPS, params={"continue": deep}).status_code == 400


def talk(server: ApiServer, sent: bytes) -> bytes:
    """What the server answers to these bytes until it closes, or is silent for a while."""
    port = int(server.url.rsplit(":", 1)[1])
    context = ssl.create_default_context(cadata=authority(server))
    found = b""
    with (
        socket.create_connection(("127.0.0.1", port), 5) as bare,
        context.wrap_socket(bare, server_hostname="localhost") as tls,
        contextlib.suppress(OSError),
    ):
        tls.sendall(sent)
        tls.settimeout(1.0)
        while part := tls.recv(65536):
            found += part
    return found


def authority(server: ApiServer) -> str:
    config = json.loads(server.home.kubeconfig.read_text())
    return base64.b64decode(config["clusters"][0]["cluster"]["certificate-authority-data"]).decode()


def token(server: ApiServer) -> str:
    config = json.loads(server.home.kubeconfig.read_text())
    return str(config["users"][0]["user"]["token"])


SMUGGLED = b"GET /api/v1/secrets HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        b"Transfer-Encoding: xchunked\r\n",
        b"Content-Length: 0\r\nContent-Length: %d\r\n" % len(SMUGGLED),
        b"Content-Length: +5\r\n",
        b"Content-Length: -1\r\n",
        b"Content-Length: 99999999999999999999999\r\n",
        b"Content-Length : 5\r\n",
        b"Foo: bar\r\n folded\r\n",
        b"Foo\x00: bar\r\n",
        b": empty\r\n",
        b"Connection: upgrade\r\nUpgrade: websocket\r\n",
        b"Connection: upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQ\r\n",
        b"Expect: 100-continue\r\nContent-Length: 5\r\n",
    ],
)
def test_requests_are_not_smuggled(stormed: ApiServer, head: bytes) -> None:
    """Without a token nothing but a refusal comes back, whatever is taken for the next request."""
    request = b"GET /api/v1/secrets HTTP/1.1\r\nHost: localhost\r\n" + head + b"\r\n"
    found = talk(stormed, request + b"0\r\n\r\n" + SMUGGLED)
    codes = {int(code) for code in re.findall(rb"HTTP/1\.1 (\d+)", found)}
    assert codes <= {100, 400, 401}
    assert b'"items"' not in found


@pytest.mark.parametrize(
    "line",
    [
        *(b"GET /version", b"GET /version HTTP/9.9", b"get /version HTTP/1.1", b"\x16\x03\x01\x02"),
        *(b"GET http://evil.example/version HTTP/1.1", b"GET * HTTP/1.1", b"CONNECT a:1 HTTP/1.1"),
        *(b"PRI * HTTP/2.0", b"GET /\xff\xfe HTTP/1.1", b"GET  /version HTTP/1.1", b"\0" * 100),
    ],
)
def test_lines_that_are_no_request(stormed: ApiServer, line: bytes) -> None:
    found = talk(stormed, line + b"\r\nHost: localhost\r\n\r\n")
    assert not re.search(rb"HTTP/1\.1 5\d\d", found)


def test_a_head_without_end_is_cut_off(stormed: ApiServer) -> None:
    lines = (b"X-%d: %s\r\n" % (n, b"y" * 1000) for n in itertools.count())
    head = b"GET /version HTTP/1.1\r\nHost: localhost\r\n"
    head += b"".join(itertools.islice(lines, connection.LARGEST_HEAD // 1000 + 500))
    found = talk(stormed, head)
    assert found == b"" or b" 431 " in found


def test_thousands_of_parameters(user: httpx.Client) -> None:
    query = "&".join(f"p{n}={n}" for n in range(5000))
    assert user.get(f"{CONFIG_MAPS}?{query}").is_success


def test_a_body_without_end_is_cut_off(stormed: ApiServer) -> None:
    head = f"POST {CONFIG_MAPS} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
    head += f"Authorization: Bearer {token(stormed)}\r\n\r\n"
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    found = talk(stormed, head.encode() + chunk * (app.LARGEST_BODY // 0x10000 + 5))
    assert b" 413 " in found
    assert b"connection: close" in found.lower()


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "127.0.0.1.evil.example", "localhost@evil.example", "0.0.0.0", "[::]"),
        *("127.0.0.1:443/api/v1/secrets?x=", "127.0.0.1#", "localhost:1:2", "[::1]evil", "127.1"),
    ],
)
def test_a_rebound_name_opens_nothing(stormed: ApiServer, host: str) -> None:
    """Also with the token: a page that has it all but the name of this machine."""
    request = f"GET /version HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token(stormed)}\r\n"
    found = talk(stormed, request.encode() + b"Connection: close\r\n\r\n")
    assert re.match(rb"HTTP/1\.1 40[03] ", found)
    assert b"gitVersion" not in found
    twice = f"GET /version HTTP/1.1\r\nHost: localhost\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    assert re.match(rb"HTTP/1\.1 400 ", talk(stormed, twice.encode()))


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "https://127.0.0.1", "file://"])
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_no_origin_is_allowed(user: httpx.Client, origin: str, method: str) -> None:
    headers: dict[str, str] = {"origin": origin, "access-control-request-method": "POST"}
    headers |= {"access-control-request-headers": "authorization, content-type"}
    for path in (CONFIG_MAPS, "/version"):
        answer = user.request(method, path, headers=headers, content=b"{}" * (method == "POST"))
        assert not [name for name in answer.headers if name.startswith("access-control")]
        judge(answer, (origin, method, path))


def test_wrong_tokens(stormed: ApiServer, user: httpx.Client) -> None:
    good = token(stormed)
    for wrong in ("", "Bearer", f"Bearer {good[:-1]}", f"Bearer {good}x", f"Basic {good}", good):
        for form in (wrong, wrong.swapcase() if wrong != wrong.swapcase() else "x"):
            answer = user.get(CONFIG_MAPS, headers={"authorization": form})
            assert answer.status_code == 401, form
    odd = [b"Bearer \xff\xfe", b"Bearer " + b"x" * 100_000, b"bearer,Bearer x"]
    for bytes_ in odd:
        assert user.get(CONFIG_MAPS, headers={b"authorization": bytes_}).status_code == 401


def test_what_kubectl_sends_still_works(user: httpx.Client) -> None:
    body = wire.wrapped("ConfigMap", wire.text(1, wire.text(1, "kept")) + wire.entry(2, "x", "1"))
    answer = user.post(CONFIG_MAPS, content=body, headers=merge(PROTOBUF))
    assert answer.json()["data"] == {"x": "1"}

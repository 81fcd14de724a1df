"""Who gets in: TLS, tokens, host names, sizes and file modes."""

from __future__ import annotations

import re
import ssl
import stat

import httpx
import pytest

from calumma.cluster.api import access, app
from support.api_server import ApiServer, config_map, isvc, pod


def anonymous(server: ApiServer) -> httpx.Client:
    """A client that trusts the server and has no token."""
    client = server.client()
    del client.headers["Authorization"]
    return client


@pytest.mark.parametrize("path", ["/api", "/apis", "/openapi/v3", "/api/v1/pods", "/nosuch"])
@pytest.mark.parametrize("header", ["", "Bearer wrong", "Basic YTpi"])
def test_nothing_is_answered_without_the_token(server: ApiServer, path: str, header: str) -> None:
    with anonymous(server) as client:
        answer = client.get(path, headers={"authorization": header} if header else {})
    assert answer.status_code == 401
    assert answer.json()["message"] == "Unauthorized"


def test_no_documented_path_is_answered_without_the_token(
    server: ApiServer, client: httpx.Client
) -> None:
    """Every path and method of every OpenAPI document, and of discovery."""
    found = {
        (method, path) for path in client.get("/").json()["paths"] for method in ("get", "post")
    }
    for part in client.get("/openapi/v3").json()["paths"].values():
        document = client.get(part["serverRelativeURL"]).json()
        methods = {"get", "put", "post", "delete", "patch"}
        found |= {
            (method, re.sub(r"\{\w+\}", "default", path))
            for path, item in document["paths"].items()
            for method in methods & item.keys()
        }
    assert len(found) > 150
    with anonymous(server) as stranger:
        for method, path in sorted(found):
            for headers in ({}, {"authorization": "Bearer x"}):
                answer = stranger.request(method, path, headers=headers)
                opened = path in access.OPEN_PATHS
                assert (answer.status_code == 401) is not opened, (method, path)


@pytest.mark.parametrize("path", ["/version", "/version/", "/healthz", "/livez", "/readyz"])
def test_health_and_version_are_open(server: ApiServer, path: str) -> None:
    with anonymous(server) as client:
        assert client.get(path).status_code == 200


def test_the_certificate_is_that_of_the_cluster(server: ApiServer) -> None:
    with (
        httpx.Client(verify=ssl.create_default_context()) as client,
        pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"),
    ):
        client.get(f"{server.url}/version")
    with server.client() as client:
        assert client.get(f"{server.url.replace('127.0.0.1', 'localhost')}/version").is_success


def test_plain_text_is_not_answered(server: ApiServer) -> None:
    with httpx.Client() as client, pytest.raises(httpx.HTTPError):
        client.get(f"{server.url.replace('https', 'http')}/version")


@pytest.mark.parametrize("host", ["evil.example", "evil.example:443", "127.0.0.1.evil.example", ""])
def test_another_host_name_is_refused(client: httpx.Client, host: str) -> None:
    answer = client.get("/version", headers={"host": host})
    assert answer.status_code in (400, 403)


def test_no_web_page_is_let_in(client: httpx.Client) -> None:
    headers = {"origin": "https://evil.example", "access-control-request-method": "GET"}
    answer = client.options("/api/v1/secrets", headers=headers)
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_a_body_is_at_most_three_megabytes(client: httpx.Client, config_maps: str) -> None:
    text = b"x" * (app.LARGEST_BODY + 1)
    announced = client.post(config_maps, content=text)
    streamed = client.post(config_maps, content=iter([text[:1000], text[1000:]]))
    for answer in (announced, streamed):
        assert answer.status_code == 413
        assert answer.json()["reason"] == "RequestEntityTooLarge"


def test_only_the_owner_reads_the_credentials(server: ApiServer) -> None:
    home = server.home
    assert stat.S_IMODE(home.credentials.stat().st_mode) == 0o700
    files = [*home.credentials.iterdir(), home.kubeconfig]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert home.node_kubeconfig in files


def test_only_the_node_writes_what_runs(
    client: httpx.Client, node: httpx.Client, namespace: str
) -> None:
    path = f"/api/v1/namespaces/{namespace}/pods"
    refused = client.post(path, json=pod("p", "main"))
    assert refused.status_code == 403
    assert refused.json()["message"] == (
        'pods is forbidden: User "calumma-admin" cannot create resource "pods" in API group "" '
        f'in the namespace "{namespace}"'
    )
    assert node.post(path, json=pod("p", "main")).status_code == 201
    assert client.get(f"{path}/p").status_code == 200
    deleted = client.delete(f"{path}/p")
    assert deleted.status_code == 403
    assert deleted.json()["message"].startswith('pods "p" is forbidden: User "calumma-admin"')


def test_a_secret_is_never_logged(server: ApiServer, client: httpx.Client, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/secrets"
    body = {"metadata": {"name": "s"}, "stringData": {"password": "hunter2hunter2"}}
    assert client.post(path, json=body).json()["data"] == {"password": "aHVudGVyMmh1bnRlcjI="}
    client.post(path, content=b'{"stringData": {"password": "hunter2hunter2"')
    log = server.log.read_text()
    assert "hunter2" not in log
    assert "aHVudGVyMmh1bnRlcjI" not in log


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"text"',
        b"{",
        b'{"metadata": 1}',
        b'{"metadata": {"name": {}}}',
        b'{"metadata": {"name": "a", "labels": []}}',
        b"[" * 100_000,
        b'{"a":' * 10_000,
        b"\xff\xfe",
        b'{"metadata": {"name": "\\ud800"}}',
        b'{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}}',
        b'{"metadata": {"name": "a"}, "data": {"x": 1}}',
        b'{"metadata": {"name": "a"}, "data": {"x": 1.0e+999}}',
    ],
)
@pytest.mark.parametrize("media_type", ["application/json", "application/yaml"])
def test_malformed_bodies_are_the_clients_fault(
    client: httpx.Client, config_maps: str, body: bytes, media_type: str
) -> None:
    answer = client.post(config_maps, content=body, headers={"content-type": media_type})
    assert answer.status_code in (400, 422), answer.text
    assert answer.json()["kind"] == "Status"


@pytest.mark.parametrize(
    "bomb",
    [
        "a: &a [x,x,x,x,x,x,x,x,x]\n"
        + "\n".join(
            f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]"
            for a, b in zip("abcdefgh", "bcdefghi", strict=True)
        ),
        "a: &a [*a]",
    ],
)
def test_a_yaml_bomb_is_refused(client: httpx.Client, config_maps: str, bomb: str) -> None:
    headers = {"content-type": "application/yaml"}
    answer = client.post(config_maps, content=bomb, headers=headers)
    assert answer.status_code == 400


@pytest.mark.parametrize("name", ["../../etc", "a/b", "%2e%2e", "A", "x" * 300, "a b"])
def test_names_are_names(client: httpx.Client, services: str, name: str) -> None:
    assert client.post(services, json=isvc(name)).status_code == 422


def test_a_path_is_no_way_to_a_file(client: httpx.Client, node: httpx.Client) -> None:
    path = "/api/v1/namespaces/default/pods"
    node.post(path, json=pod("sly", "main"))
    for container in ("../../../credentials/ca.key", "..", "/etc/passwd"):
        answer = client.get(f"{path}/sly/log", params={"container": container})
        assert answer.status_code == 400
        assert "is not valid for pod sly" in answer.json()["message"]


def test_a_config_map_has_a_megabyte_at_most(client: httpx.Client, config_maps: str) -> None:
    answer = client.post(config_maps, json=config_map("a", {"x": "y" * (1024 * 1024 + 1)}))
    assert answer.status_code == 422
    assert "Too long" in answer.json()["message"]

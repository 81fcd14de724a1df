"""One API server for most tests, each in a namespace of its own, and servers to be killed."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from support.api_server import KUBECTL, ApiServer, running

_NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def schema_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where servers keep derived schemas: once for all of them."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, schema_cache: Path) -> Iterator[ApiServer]:
    """The server that most tests share."""
    with running(tmp_path_factory.mktemp("shared") / "home", schema_cache) as started:
        yield started


@pytest.fixture
def own_server(tmp_path: Path, schema_cache: Path) -> Iterator[ApiServer]:
    """A server for one test, which may do to it what it likes."""
    with running(tmp_path / "home", schema_cache) as started:
        yield started


@pytest.fixture(scope="session")
def client(server: ApiServer) -> Iterator[httpx.Client]:
    """The person's client of the shared server."""
    with server.client() as opened:
        yield opened


@pytest.fixture(scope="session")
def node(server: ApiServer) -> Iterator[httpx.Client]:
    """The node's client of the shared server."""
    with server.node_client() as opened:
        yield opened


@pytest.fixture
def namespace(client: httpx.Client) -> str:
    """A namespace that no other test uses."""
    name = f"test-{next(_NUMBERS)}"
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    assert client.post("/api/v1/namespaces", json=body).status_code == 201
    return name


@pytest.fixture
def config_maps(namespace: str) -> str:
    """The path of the ConfigMaps of the test's namespace."""
    return f"/api/v1/namespaces/{namespace}/configmaps"


@pytest.fixture
def services(namespace: str) -> str:
    """The path of the InferenceServices of the test's namespace."""
    return f"/apis/serving.kserve.io/v1beta1/namespaces/{namespace}/inferenceservices"


@pytest.fixture
def kubectl(server: ApiServer, namespace: str) -> Callable[..., str]:
    """Run kubectl in the test's namespace; returns what it prints, and expects it to succeed."""
    if KUBECTL is None:
        pytest.skip("kubectl is not on the PATH")

    def run(*words: str, fails: bool = False, document: dict[str, object] | None = None) -> str:
        answer = server.kubectl("-n", namespace, *words, document=document)
        assert bool(answer.code) == fails, answer
        return answer.error if fails else answer.output

    return run

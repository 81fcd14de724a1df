"""Requests and responses go through as they are."""

from __future__ import annotations

import asyncio
import json

import pytest

from support import pods
from support.sidecar import Component, started

KUBELET = {"user-agent": "kube-probe/1.36", "k-network-probe": "queue"}


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS"])
async def test_methods_paths_and_headers_are_the_clients(method: str, component: Component) -> None:
    component.status = 418
    async with started("--component-port", str(component.port)) as sidecar:
        headers = {"x-mine": "täglich", "user-agent": "mine/1", "connection": "x-hop", "x-hop": "1"}
        path = "/a%2Fb/c:d?q=1%202&q=3"
        async with sidecar.client.request(method, path, headers=headers) as answer:
            assert answer.status == 418
            assert answer.headers["x-path"] == path
            assert answer.headers["x-method"] == method
            seen = json.loads(answer.headers["x-seen"])
    assert seen["x-mine"] == "täglich"
    assert seen["user-agent"] == "mine/1"
    assert seen["host"] == sidecar.url.removeprefix("http://")
    assert "x-hop" not in seen


async def test_bodies_of_unknown_length_go_through(component: Component) -> None:
    async def chunks() -> object:
        for _ in range(64):
            yield b"x" * 65_000

    async with (
        started("--component-port", str(component.port)) as sidecar,
        sidecar.client.post("/echo", data=chunks()) as answer,
    ):
        assert await answer.read() == b"x" * 65_000 * 64


async def test_a_client_that_leaves_is_left_by_the_sidecar(component: Component) -> None:
    async with started("--component-port", str(component.port)) as sidecar:
        asking = asyncio.create_task(sidecar.client.get("/wait").__aenter__())
        async with asyncio.timeout(20):
            await component.waiting.wait()
            asking.cancel()
            await component.left.wait()
        async with sidecar.client.get("/after") as answer:
            assert answer.status == 200
        assert "Exception" not in sidecar.log


async def test_a_component_that_is_away_is_a_502_and_not_ready() -> None:
    async with started("--component-port", str(pods.free_port())) as sidecar:
        async with sidecar.client.get("/") as answer:
            assert answer.status == 502
            assert "Cannot connect" in await answer.text()
        async with sidecar.client.get("/", headers=KUBELET) as answer:
            assert answer.status == 503


async def test_readiness_is_the_components_own_probe(component: Component) -> None:
    probe = json.dumps({"httpGet": {"path": "/healthy", "port": 8080}})
    words = ("--component-port", str(component.port))
    async with started(*words, SERVING_READINESS_PROBE=probe) as sidecar:
        for status, expected in ((200, 200), (503, 503)):
            component.status = status
            async with sidecar.client.get("/", headers=KUBELET) as answer:
                assert answer.status == expected
        async with sidecar.client.get("/", headers={"user-agent": "kube-probe/1.36"}) as answer:
            assert answer.status == 400


async def test_what_is_under_way_is_finished_at_the_end(component: Component) -> None:
    component.running.clear()
    async with started("--component-port", str(component.port)) as sidecar:
        async with sidecar.client.get("/stream") as answer:
            await answer.content.readuntil(b"\n\n")
            sidecar.process.terminate()
            component.running.set()
            assert await answer.content.read() == b"data: 2\n\n"
        assert await sidecar.end() == 0

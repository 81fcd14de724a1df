"""The V1 protocol over a real socket: replies, failures by kind, revisions, names, timeouts."""

from __future__ import annotations

import asyncio
import base64
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from calumma import errors, inference

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

SEVEN = {"label": "7", "class": 7, "probability": 0.75, "probabilities": [0.25, 0.75]}


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    """A server that answers every request with ``handler``; its URL names a service."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        yield f"http://digits.default.localhost:{port}"
    finally:
        await runner.cleanup()


async def test_a_classification_comes_back_typed_with_its_revisions() -> None:
    seen: dict[str, Any] = {}

    async def answer(request: web.Request) -> web.Response:
        seen.update(host=request.host, path=request.path, body=await request.json())
        headers = {
            "x-calumma-predictor-revision": "digits-predictor-00002",
            "x-calumma-transformer-revision": "digits-transformer-00001",
        }
        return web.json_response({"predictions": [SEVEN]}, headers=headers)

    async with serving(answer) as url, inference.Client(url, "digits") as client:
        reply = await client.classify([b"\x89PNG"])
    assert seen["host"] == url.removeprefix("http://")
    assert seen["path"] == "/v1/models/digits:predict"
    assert seen["body"] == {
        "instances": [{"image": {"b64": base64.b64encode(b"\x89PNG").decode()}}]
    }
    assert reply.content == (inference.Prediction("7", 7, 0.75, (0.25, 0.75)),)
    assert reply.revisions == ("digits-predictor-00002", "digits-transformer-00001")
    assert reply.status == 200 and reply.failure is None and reply.seconds > 0


async def test_without_the_headers_no_revision_is_claimed() -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.json_response({"predictions": [SEVEN]})

    async with serving(answer) as url, inference.Client(url, "digits") as client:
        assert (await client.classify([b"x"])).revisions == (None, None)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('{"error": "the image cannot be decoded"}', "the image cannot be decoded"),
        ("no healthy upstream", "no healthy upstream"),
        ("", "no reason given"),
    ],
)
async def test_an_error_status_is_a_failure_with_the_servers_words(body: str, said: str) -> None:
    async def answer(_: web.Request) -> web.Response:
        headers = {"x-calumma-predictor-revision": "digits-predictor-00002"}
        return web.Response(status=503, text=body, headers=headers)

    async with serving(answer) as url, inference.Client(url, "digits") as client:
        reply = await client.classify([b"x"])
    assert reply.status == 503 and reply.content is None
    assert reply.failure == ("status 503", f"{url} answered 503: {said}")
    assert reply.revisions.predictor == "digits-predictor-00002"


@pytest.mark.parametrize(
    "body",
    ["not json", "[]", '{"predictions": [1]}', '{"predictions": [{"label": "7"}]}', '{"x": 1}'],
)
async def test_an_answer_of_another_form_is_unreadable(body: str) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(text=body)

    async with serving(answer) as url, inference.Client(url, "digits") as client:
        reply = await client.classify([b"x"])
    assert reply.content is None and reply.failure is not None
    assert reply.failure.kind == "unreadable"
    assert "not a list of classifications" in reply.failure.message


async def test_fewer_predictions_than_images_are_unreadable() -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.json_response({"predictions": [SEVEN]})

    async with serving(answer) as url, inference.Client(url, "digits") as client:
        reply = await client.classify([b"x", b"y"])
    assert reply.failure is not None
    assert reply.failure.message.endswith("the answer has 1 predictions for 2 images")


async def test_a_server_that_does_not_answer_in_time_is_a_timeout() -> None:
    async def answer(_: web.Request) -> web.Response:
        await asyncio.sleep(5)
        return web.Response()

    async with serving(answer) as url, inference.Client(url, "digits", timeout=0.1) as client:
        reply = await client.classify([b"x"])
    assert reply.status is None and reply.failure is not None
    assert reply.failure.kind == "timeout" and "within 0.1 s" in reply.failure.message
    assert 0.1 <= reply.seconds < 2


async def test_a_port_where_nobody_listens_is_refused() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://digits.default.localhost:{free.getsockname()[1]}"
        async with inference.Client(url, "digits") as client:
            reply = await client.classify([b"x"])
    assert reply.failure is not None and reply.failure.kind == "refused"


async def test_a_connection_cut_half_way_is_disconnected() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b"half")
        assert request.transport is not None
        request.transport.abort()
        return response

    async with serving(answer) as url, inference.Client(url, "digits") as client:
        reply = await client.classify([b"x"])
    assert reply.failure is not None and reply.failure.kind == "disconnected"


async def test_a_client_that_is_not_open_says_so() -> None:
    with pytest.raises(errors.InferenceError, match="async with"):
        await inference.Client("http://localhost", "digits").classify([b"x"])

"""The load generator's HTTP client against real servers, and ones that misbehave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from calumma import errors
from calumma.load import wire

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def raw(handler: Handler) -> AsyncIterator[str]:
    """A server that answers as a test writes it."""
    server = await asyncio.start_server(handler, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@asynccontextmanager
async def serving(
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def test_bodies_and_headers_arrive_both_ways_over_one_connection() -> None:
    seen: list[tuple[str, str, str, bytes, object]] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        body = await request.read()
        peer = request.transport.get_extra_info("peername") if request.transport else None
        seen.append((request.method, request.path, request.host, body, peer))
        return web.Response(body=body[::-1], status=201, headers={"X-Name": "value"})

    async with (
        serving(answer) as url,
        wire.Wire(url + "/base/", host="digits.example.com") as client,
    ):
        request = client.request("/v1", b"abc", {"Content-Type": "text/plain"})
        for _ in range(3):
            found = await client.exchange(request)
            assert (found.status, found.body, found.headers["x-name"]) == (201, b"cba", "value")
        assert await client.exchange(client.request("/v2", b"", {}, "GET"))
    assert [each[:4] for each in seen[:3]] == 3 * [
        ("POST", "/base/v1", "digits.example.com", b"abc")
    ]
    assert seen[3][:2] == ("GET", "/base/v2")
    assert len({each[4] for each in seen}) == 1


async def test_a_chunked_answer_is_read_whole() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        for _ in range(3):
            await response.write(b"part ")
            await asyncio.sleep(0.01)
        return response

    async with serving(answer) as url, wire.Wire(url) as client:
        assert (await client.exchange(client.request("/", b"", {}))).body == b"part part part "


async def test_as_many_connections_as_exchanges_and_names_below_localhost() -> None:
    together = asyncio.Barrier(5)

    async def answer(request: web.Request) -> web.StreamResponse:
        await together.wait()
        return web.Response(text=request.host)

    async with serving(answer) as url:
        port = url.rpartition(":")[2]
        async with wire.Wire(f"http://digits.default.localhost:{port}", timeout=5) as client:
            request = client.request("/", b"", {})
            answers = await asyncio.gather(*(client.exchange(request) for _ in range(5)))
    assert {each.body.decode() for each in answers} == {f"digits.default.localhost:{port}"}


async def test_a_connection_that_the_server_closes_is_not_used_again() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.Response(text="bye")
        response.force_close()
        return response

    async with serving(answer) as url, wire.Wire(url) as client:
        for _ in range(3):
            assert (await client.exchange(client.request("/", b"", {}))).body == b"bye"


async def test_silence_junk_a_cut_and_nobody_are_told_apart() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async def junk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"220 smtp.example.com\r\n")
        await reader.read()
        writer.close()

    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort")
        await writer.drain()
        writer.close()

    for handler, expected, words in (
        (silent, TimeoutError, None),
        (junk, OSError, "the answer is no HTTP"),
        (cut, ConnectionResetError, "closed before the answer"),
    ):
        async with raw(handler) as url, wire.Wire(url, timeout=0.3) as client:
            with pytest.raises(expected, match=words):
                await client.exchange(client.request("/", b"", {}))
    async with wire.Wire("http://127.0.0.1:1") as client:
        with pytest.raises(ConnectionRefusedError, match="cannot be connected to"):
            await client.exchange(client.request("/", b"", {}))


async def test_after_a_timeout_a_late_answer_is_not_taken_for_the_next() -> None:
    count = 0

    async def answer(request: web.Request) -> web.StreamResponse:
        nonlocal count
        count += 1
        number = count
        if number == 1:
            await asyncio.sleep(0.4)
        return web.Response(text=str(number))

    async with serving(answer) as url, wire.Wire(url, timeout=0.2) as client:
        request = client.request("/", b"", {})
        with pytest.raises(TimeoutError):
            await client.exchange(request)
        await asyncio.sleep(0.3)
        assert (await client.exchange(request)).body == b"2"


@pytest.mark.parametrize("url", ["", "digits:8080", "ftp://x", "http://"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(errors.ConfigurationError, match="is not an address that a load"):
        wire.Wire(url)

"""The last step: the component, asked as we were asked.

Method, path, query, headers and bodies go through as they are, both bodies chunk by chunk, and
connections to the component are kept. When a client that has sent its request leaves, the component
is told so. What cannot be had from it is a 502 with the reason, as Go's reverse proxy answers it.
"""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import AsyncIterator

import aiohttp
from yarl import URL

from calumma.sidecar import asgi

log = logging.getLogger(__name__)

_HOP_BY_HOP = frozenset(
    (
        b"connection",
        b"expect",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    )
)
_ADDED = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
_KEPT_SECONDS = 3.0
"""Shorter than a server's own patience with an idle connection, 5 s for many."""
_LONGEST_HEADER = 64 << 10
_LARGE = 1 << 20
"""Bytes; aiohttp wants larger bodies as files, which it sends in parts."""


def session() -> aiohttp.ClientSession:
    """A client that adds nothing to a request and takes nothing from a response."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEPT_SECONDS),
        cookie_jar=aiohttp.DummyCookieJar(),
        skip_auto_headers=_ADDED,
        auto_decompress=False,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=10),
        read_bufsize=256 << 10,
        max_line_size=_LONGEST_HEADER,
        max_field_size=_LONGEST_HEADER,
    )


def payload(body: bytes) -> bytes | io.BytesIO:
    """A body as aiohttp likes to be given it."""
    return body if len(body) < _LARGE else io.BytesIO(body)


class Proxy:
    """The step that asks the component at a loopback port."""

    def __init__(self, client: aiohttp.ClientSession, port: int) -> None:
        self._client = client
        self._base = f"http://127.0.0.1:{port}"

    async def __call__(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        """Pass one request on and its response back."""
        first = await receive()
        if first["type"] == "http.disconnect":
            return
        whole = not first.get("more_body", False)
        body = payload(first.get("body", b"")) if whole else _chunks(first, receive)
        task = asyncio.current_task()
        gone = _Gone(receive, task) if whole and task is not None else None
        try:
            await self._pass_on(scope, body, send)
        except asyncio.CancelledError:
            if gone is None or not gone.happened:
                raise
            gone.work.uncancel()
        finally:
            if gone is not None:
                gone.stop()

    async def ask(self, path: bytes, body: bytes) -> asgi.Reply:
        """POST a JSON body of our own; what cannot be had is a 502 too."""
        headers = {"Content-Type": "application/json"}
        url = URL(self._base + path.decode("latin-1"), encoded=True)
        try:
            async with self._client.post(url, data=payload(body), headers=headers) as reply:
                return asgi.Reply(reply.status, await reply.read())
        except aiohttp.ClientError as error:
            return asgi.Reply(502, str(error).encode())

    async def _pass_on(
        self,
        scope: asgi.Scope,
        body: bytes | io.BytesIO | AsyncIterator[bytes],
        send: asgi.Send,
    ) -> None:
        started = False
        try:
            async with self._client.request(
                scope["method"],
                self._url(scope),
                headers=_request_headers(scope),
                data=body or None,
                allow_redirects=False,
            ) as reply:
                await send(
                    {
                        "type": "http.response.start",
                        "status": reply.status,
                        "headers": _response_headers(reply.raw_headers),
                    }
                )
                started = True
                await _stream(reply.content, send)
        except aiohttp.ClientError as error:
            if started:  # uvicorn cuts a response that is not complete, as this one was for us
                log.warning("the component broke off its response: %s", error)
                return
            await asgi.answer(send, 502, f"{error}\n".encode())

    def _url(self, scope: asgi.Scope) -> URL:
        path = self._base + asgi.raw_path(scope).decode("latin-1")
        query = scope["query_string"].decode("latin-1")
        return URL(f"{path}?{query}" if query else path, encoded=True)


class _Gone:
    """Watches for a client that leaves, and cancels the work for it."""

    def __init__(self, receive: asgi.Receive, work: asyncio.Task[None]) -> None:
        self.happened = False
        self._receive = receive
        self.work = work
        self._watch = asyncio.create_task(self._wait())

    def stop(self) -> None:
        self._watch.cancel()

    async def _wait(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.happened = True
        self.work.cancel()


async def _chunks(message: asgi.Message, receive: asgi.Receive) -> AsyncIterator[bytes]:
    """A request's body as it comes."""
    while True:
        if message["type"] == "http.disconnect":
            raise aiohttp.ClientConnectionError("the client left")
        if message.get("body"):
            yield message["body"]
        if not message.get("more_body", False):
            return
        message = await receive()


async def _stream(content: aiohttp.StreamReader, send: asgi.Send) -> None:
    """A response's body as it comes; one that is there already is one message."""
    more = True
    while more:
        chunk = await content.readany()
        more = not content.at_eof()
        await send({"type": "http.response.body", "body": chunk, "more_body": more})


def _request_headers(scope: asgi.Scope) -> list[tuple[str, str]]:
    named = _named_by_connection(scope["headers"])
    return [
        (name.decode("latin-1"), value.decode("utf-8", "replace"))
        for name, value in scope["headers"]
        if name not in _HOP_BY_HOP and name not in named
    ]


def _response_headers(raw: tuple[tuple[bytes, bytes], ...]) -> list[tuple[bytes, bytes]]:
    lowered = [(name.lower(), value) for name, value in raw]
    named = _named_by_connection(lowered)
    return [(n, v) for n, v in lowered if n not in _HOP_BY_HOP and n not in named]


def _named_by_connection(headers: list[tuple[bytes, bytes]]) -> set[bytes]:
    """The headers that ``Connection`` says are for one hop only."""
    return {
        word.strip().lower()
        for name, value in headers
        if name == b"connection"
        for word in value.split(b",")
    }

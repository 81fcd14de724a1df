"""HTTP/1.1 as a load generator needs it: prepared bytes out, status, headers and body back.

A request's bytes are made once, before the load. An exchange is then one write, a parser in C and
one wake-up, a fraction of what a general client spends on a request: what the generator needs of
the machine, the service lacks. Each connection carries one exchange at a time; there are as many as
exchanges under way, and they are kept open.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from typing import NamedTuple, Self, cast
from urllib.parse import urlsplit

import httptools

from calumma import errors

# Servers close connections that nobody uses, uvicorn after 5 s. A request that meets the closing
# would fail for no fault of the service, so an older one is not used again.
_IDLE = 2.0


class Answer(NamedTuple):
    """What came back; the names of the headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Wire:
    """Connections to the server at ``url``; use it as an asynchronous context manager.

    ``host`` is the Host that requests name, by default the URL's: a service of a cluster is asked
    at its gateway's address by the service's name. ``timeout`` bounds an exchange in seconds.
    Raises :class:`~calumma.errors.ConfigurationError` for what is not an HTTP address.
    """

    def __init__(self, url: str, *, host: str = "", timeout: float = 30.0) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise errors.ConfigurationError(
                f"{url!r} is not an address that a load can be sent to; "
                "use one like http://digits.default.localhost:8080"
            )
        self.url, self.timeout = url.rstrip("/"), timeout
        self._secure = parts.scheme == "https"
        self._name, self._path = parts.hostname, parts.path.rstrip("/")
        self._port = parts.port or (443 if self._secure else 80)
        self._host = host or parts.netloc.rpartition("@")[2]
        self._idle: list[_Connection] = []
        self._open: set[_Connection] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for connection in list(self._open):
            connection.close()
        await asyncio.sleep(0)

    def request(
        self, path: str, body: bytes, headers: Mapping[str, str], method: str = "POST"
    ) -> bytes:
        """The bytes of a request for ``path`` below the URL."""
        lines = [
            f"{method} {self._path}{path} HTTP/1.1",
            f"Host: {self._host}",
            f"Content-Length: {len(body)}",
            *(f"{name}: {value}" for name, value in headers.items()),
        ]
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + body

    async def exchange(self, request: bytes) -> Answer:
        """Send a request's bytes and wait for the whole answer.

        Raises TimeoutError, ConnectionRefusedError where nobody listens, and another OSError where
        the connection breaks or the answer is no HTTP.
        """
        loop = asyncio.get_running_loop()
        ends = loop.time() + self.timeout
        connection = self._usable(loop.time())
        if connection is None:
            async with asyncio.timeout_at(ends):
                connection = await self._connect()
        answer = await connection.exchange(request, ends)
        if connection in self._open:
            connection.since = loop.time()
            self._idle.append(connection)
        return answer

    def _usable(self, now: float) -> _Connection | None:
        """The connection that was used last, if it was lately."""
        while self._idle:
            connection = self._idle.pop()
            if connection in self._open:
                if now - connection.since < _IDLE:
                    return connection
                connection.close()
        return None

    async def _connect(self) -> _Connection:
        loop = asyncio.get_running_loop()
        # RFC 6761: names below localhost are this machine, which few resolvers know.
        name = "127.0.0.1" if self._name.endswith(".localhost") else self._name
        context = ssl.create_default_context() if self._secure else None
        try:
            _, connection = await loop.create_connection(
                lambda: _Connection(self._open),
                name,
                self._port,
                ssl=context,
                server_hostname=self._host.partition(":")[0] if context else None,
            )
        except TimeoutError:
            raise
        except OSError as error:  # of several addresses, several reasons in one
            raise ConnectionRefusedError(f"{self.url} cannot be connected to: {error}") from error
        return connection


class _Connection(asyncio.Protocol):
    """One connection; ``opened`` holds it for as long as it can be used."""

    def __init__(self, opened: set[_Connection]) -> None:
        self.since = 0.0
        self._opened = opened
        self._answer: asyncio.Future[Answer] | None = None
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport

    async def exchange(self, request: bytes, ends: float) -> Answer:
        """Send bytes and wait for the answer until a time of the loop."""
        loop = asyncio.get_running_loop()
        self._answer = loop.create_future()
        alarm = loop.call_at(ends, self._fail, TimeoutError())
        self._transport.write(request)
        try:
            return await self._answer
        except BaseException:
            self.close()
            raise
        finally:
            alarm.cancel()
            self._answer = None

    def close(self) -> None:
        """End the connection, whatever it is doing."""
        self._opened.discard(self)
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is open."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is not derived from it
        self._opened.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is closed."""
        self._opened.discard(self)
        self._fail(exc or ConnectionResetError("the connection was closed before the answer"))

    def data_received(self, data: bytes) -> None:
        """A part of an answer."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(OSError(f"the answer is no HTTP: {error}"))
            self.close()

    def on_header(self, name: bytes, value: bytes) -> None:
        """The parser has read a header."""
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        """The parser has read a part of the body."""
        self._body.append(body)

    def on_message_complete(self) -> None:
        """The parser has read an answer."""
        answer = Answer(self._parser.get_status_code(), self._headers, b"".join(self._body))
        self._headers, self._body = {}, []
        if not self._parser.should_keep_alive():
            self.close()
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(answer)

    def _fail(self, error: Exception) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)

"""One client's connection to the API server: how long it may dawdle and how much it may send.

uvicorn waits without end for the rest of a request's head and keeps a head of any length. Here a
connection on which no head is complete in time, or whose head is too long, is closed before it
costs more than that, as Go's server does it for a real API server; and whoever answers can cut a
connection off whose client takes nothing (:mod:`.api.app` does).
:mod:`.apiserver` serves with it.
"""

from __future__ import annotations

import asyncio
from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_SECONDS: Final = 10.0
LARGEST_HEAD: Final = 1 << 20
"""Bytes of request line and headers, as in Go's ``http.Server``."""
LARGEST_BACKLOG: Final = 64 * 1024
"""Bytes that wait in this process for a slow client; asyncio lets eight times as many wait."""
_TOO_LARGE: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: text/plain; charset=utf-8\r\n"
    b"content-length: 0\r\nconnection: close\r\n\r\n"
)


class Connection(HttpToolsProtocol):
    """A connection as uvicorn serves it, within bounds."""

    _deadline: asyncio.TimerHandle | None = None
    _head = 0
    """Bytes that have come since the last head was complete, while another is expected."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Expect a first request."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=LARGEST_BACKLOG)
        self._expect()

    def data_received(self, data: bytes) -> None:
        """Read on, unless the head of this request is too long."""
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete:
            self._expect()
        if self._deadline is not None:
            self._head += len(data)
        super().data_received(data)
        if self._head > LARGEST_HEAD and not self.transport.is_closing():
            self.transport.write(_TOO_LARGE)
            self.transport.close()

    def on_message_begin(self) -> None:
        """Let whoever answers this request cut the connection off."""
        super().on_message_begin()
        self.scope["state"]["cut_off"] = self.transport.abort

    def on_headers_complete(self) -> None:
        """Expect nothing more for now."""
        self._expect_nothing()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the client."""
        self._expect_nothing()
        super().connection_lost(exc)

    def _expect(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(HEAD_SECONDS, self.transport.abort)

    def _expect_nothing(self) -> None:
        self._head = 0
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

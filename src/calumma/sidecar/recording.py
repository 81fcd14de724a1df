"""The step that logs: one event for a request, one for a response that is a success.

As in KServe only an answer of exactly 200 is logged, and none from the batcher, which KServe's
logger does not see the status of. A request that is logged is read whole before it goes on; what
is sent back goes on chunk by chunk and is kept beside. Mirrored requests are not logged.
Source: kserve ``pkg/logger/handler.go``.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from calumma.sidecar import asgi, events, options

Offer = Callable[[events.Event], None]


class Recording:
    """The step. ``offer`` takes the events, ``unseen`` says for which paths no answer is logged."""

    def __init__(
        self,
        following: asgi.App,
        logger: options.Logger,
        offer: Offer,
        unseen: Callable[[bytes], bool],
    ) -> None:
        self._following = following
        self._logger = logger
        self._offer = offer
        self._unseen = unseen

    async def __call__(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        """Pass a request on, and offer what is to be logged of it."""
        if events.is_mirrored(scope["headers"]):
            await self._following(scope, receive, send)
            return
        arrived = time.time()
        exchange = events.exchange(scope["headers"], self._logger.headers)
        if self._logger.mode != "response":
            body = await asgi.body_of(receive)
            if body is None:
                return
            self._offer(events.Event(events.REQUEST, exchange, arrived, body))
            receive = asgi.again(body, receive)
        if self._logger.mode == "request" or self._unseen(asgi.raw_path(scope)):
            await self._following(scope, receive, send)
            return
        kept = _Kept(send)
        await self._following(scope, receive, kept.send)
        if kept.status == 200 and kept.complete:
            body = b"".join(kept.parts)
            self._offer(events.Event(events.RESPONSE, exchange, time.time(), body))


class _Kept:
    """A response on its way, and what was seen of it."""

    def __init__(self, send: asgi.Send) -> None:
        self._send = send
        self.status = 0
        self.parts: list[bytes] = []
        self.complete = False

    async def send(self, message: asgi.Message) -> None:
        """Send one message on, and keep it."""
        await self._send(message)
        if message["type"] == "http.response.start":
            self.status = message["status"]
        else:
            self.parts.append(message.get("body", b""))
            self.complete = not message.get("more_body", False)

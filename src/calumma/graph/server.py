"""The router's HTTP server: any request is the graph's, except ``/readyz``.

An ASGI application as small as it can be, because it stands on the way of every request: it reads
the body, has :mod:`~calumma.graph.evaluation` answer it and says what failed as KServe's router
does. :mod:`~calumma.graph.services` must be connected while it runs.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeVar

import orjson

from calumma import errors
from calumma.graph import definition, evaluation, services

log = logging.getLogger(__name__)

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

READY = "/readyz"
_T = TypeVar("_T")


class App:
    """A graph as an ASGI application."""

    def __init__(
        self,
        router: evaluation.Router,
        timeouts: definition.Timeouts,
        targets: services.Services,
        propagation: services.Propagation,
    ) -> None:
        self._router = router
        self._timeouts = timeouts
        self._targets = targets
        self._propagation = propagation

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["path"] == READY:
            await _reply(send, evaluation.Answer(200, b""))
            return
        try:
            answer = await self._answer(scope, receive)
        except errors.GraphFailed as failure:
            log.warning("%s: %s", scope["path"], failure)
            document = {"error": "Failed to process request", "cause": str(failure)}
            answer = evaluation.Answer(failure.status, orjson.dumps(document), is_json=True)
        await _reply(send, answer)

    async def _answer(self, scope: Message, receive: Receive) -> evaluation.Answer:
        headers = self._propagation.of(scope["headers"])

        async def ask(url: str, body: bytes) -> evaluation.Answer:
            return await self._targets.ask(url, body, headers)

        body = await _within(_body(receive), self._timeouts.server_read, "serverRead", 408)
        answering = self._router.answer(body, ask)
        return await _within(answering, self._timeouts.server_write, "serverWrite", 503)


async def _within(work: Awaitable[_T], seconds: float | None, name: str, status: int) -> _T:
    """What the work gives within so many seconds; raises GraphFailed when they are over."""
    try:
        async with asyncio.timeout(seconds):
            return await work
    except TimeoutError as error:
        text = f"routerTimeouts.{name}, {seconds:g} s, is over"
        raise errors.GraphFailed(text, status) from error


async def _body(receive: Receive) -> bytes:
    pieces = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise errors.GraphFailed("the caller went away", 499)
        pieces.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(pieces)


async def _reply(send: Send, answer: evaluation.Answer) -> None:
    kind = services.JSON if answer.is_json or _is_json(answer.body) else "text/plain; charset=utf-8"
    headers = [(b"content-length", str(len(answer.body)).encode())]
    if answer.body:
        headers.append((b"content-type", kind.encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


def _is_json(body: bytes) -> bool:
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError:
        return False
    return True

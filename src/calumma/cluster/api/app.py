"""The ASGI application: who asks, for what, and what goes wrong.

It guarantees that every request is answered with an object, a document or a Status, that nothing
but health and version is answered without a token, and that no body is larger than a real API
server takes. :mod:`.handlers` and :mod:`.documents` answer; uvicorn serves it over TLS.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from calumma import errors
from calumma.cluster.api import access, documents, handlers, negotiation, rendering, routing, status
from calumma.cluster.api.backend import Backend
from calumma.cluster.api.parsing import JSON

LARGEST_BODY: Final = 3 * 1024 * 1024
BODY_SECONDS: Final = 15.0
"""How long a client may take to send a body."""
SEND_SECONDS: Final = 10.0
"""How long a client may take nothing of an answer before its connection is cut off."""
_CLOSING: Final = (413, 504)
"""After these a connection is closed, because of a body that was not read to its end."""
_log = logging.getLogger(__name__)


class App:
    """The API of one backend."""

    def __init__(
        self, state: Backend, doorkeeper: access.Doorkeeper, log_path: handlers.LogPath
    ) -> None:
        self._state = state
        self._doorkeeper = doorkeeper
        self._log_path = log_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, as ASGI calls it."""
        request = Request(scope, receive)
        response = await self._response(request)
        if response is None:
            return
        response.headers.setdefault("Cache-Control", "no-cache, private")
        try:
            await response(scope, receive, _in_time(send))
        except* TimeoutError:
            await _cut_off(scope, receive)
        except* errors.StoreError as failures:
            _log.error("%s %s: %s", request.method, scope["path"], failures.exceptions[0])
            await _cut_off(scope, receive)

    async def _response(self, request: Request) -> Response | None:
        """The response to a request, whatever happens; None where the client is gone."""
        try:
            return await self._answer(request)
        except errors.Refused as refusal:
            return _refused(refusal)
        except errors.StoreError as failure:
            _log.error("%s %s: %s", request.method, request.scope["path"], failure)
            return _refused(status.stored(failure))
        except ClientDisconnect:
            return None
        except Exception:
            _log.exception("%s %s failed", request.method, request.scope["path"])
            return _refused(status.internal("the API server failed; its log says how"))

    async def _answer(self, request: Request) -> Response:
        """The response to a request.

        Raises:
            errors.Refused: with the answer to give instead.
        """
        path = request.scope["path"].rstrip("/") or "/"
        access.check_host(request.headers.getlist("host"))
        accept = request.headers.get("accept", "")
        if path not in access.OPEN_PATHS:
            user = self._doorkeeper.user(request.headers.get("authorization", ""))
            if target := routing.target(path, request.method, self._state.catalog):
                asked = handlers.Request(
                    target,
                    user,
                    request.query_params,
                    negotiation.form(accept),
                    request.headers.get("content-type", "").split(";")[0].strip().lower(),
                    request.headers.get("user-agent", ""),
                    await _body(request),
                )
                return await handlers.handle(self._state, asked, self._log_path)
        host = request.headers.get("host", "")
        found = documents.find(self._state, path, request.query_params, accept, host)
        if found is None:
            return Response("404 page not found\n", 404, media_type="text/plain")
        if request.method not in ("GET", "HEAD"):
            raise status.method_not_allowed()
        return _unless_kept(found, request.headers)


def _in_time(send: Send) -> Send:
    """Send as the server does, but to no client that takes nothing, and let others have a turn."""

    async def send_in_time(message: Message) -> None:
        async with asyncio.timeout(SEND_SECONDS):
            await send(message)
        if message.get("more_body"):
            await asyncio.sleep(0)

    return send_in_time


async def _cut_off(scope: Scope, receive: Receive) -> None:
    """End the connection of a client, with whatever it has not taken."""
    scope["state"]["cut_off"]()
    while (await receive())["type"] != "http.disconnect":
        pass


async def _body(request: Request) -> bytes:
    """The body of a request.

    Raises:
        errors.Refused: 413 where it is too large, 504 where it does not come in time.
    """
    announced = request.headers.get("content-length", "")
    chunks = []
    stream = request.stream()
    size = int(announced) if announced.isdigit() and int(announced) > LARGEST_BODY else 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while size <= LARGEST_BODY and (chunk := await anext(stream, None)) is not None:
                chunks.append(chunk)
                size += len(chunk)
    except TimeoutError:
        raise status.not_in_time() from None
    if size > LARGEST_BODY:
        raise status.too_large(f"limit is {LARGEST_BODY}")
    return b"".join(chunks)


def _unless_kept(document: documents.Document, headers: Mapping[str, str]) -> Response:
    """A document, or 304 where the client has it already."""
    tag = document.headers.get("ETag")
    if tag is not None and headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=dict(document.headers))
    response = Response(document.body, headers=dict(document.headers))
    response.headers["Content-Type"] = document.media_type
    return response


def _refused(refusal: errors.Refused) -> Response:
    """A refusal as its Status."""
    response = Response(rendering.written(status.body(refusal)), refusal.code, media_type=JSON)
    if seconds := (refusal.details or {}).get("retryAfterSeconds"):
        response.headers["Retry-After"] = str(seconds)
    if refusal.code in _CLOSING:
        response.headers["Connection"] = "close"
    return response

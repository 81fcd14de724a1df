"""The ASGI application: who asks, for what, and what goes wrong.

It guarantees that every request is answered with an object, a document or a Status, that nothing
but health and version is answered without a token, and that no body is larger than a real API
server takes. :mod:`.handlers` and :mod:`.documents` answer; uvicorn serves it over TLS.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from calumma import errors
from calumma.cluster.api import access, documents, handlers, negotiation, rendering, routing, status
from calumma.cluster.api.backend import Backend
from calumma.cluster.api.parsing import JSON

LARGEST_BODY: Final = 3 * 1024 * 1024
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
        try:
            response = await self._answer(request)
        except errors.Refused as refusal:
            response = _refused(refusal)
        except errors.StoreError as failure:
            _log.error("%s %s: %s", request.method, request.url.path, failure)
            response = _refused(status.stored(failure))
        except ClientDisconnect:
            return
        except Exception:
            _log.exception("%s %s failed", request.method, request.url.path)
            response = _refused(status.internal("the API server failed; its log says how"))
        response.headers.setdefault("Cache-Control", "no-cache, private")
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        """The response to a request.

        Raises:
            errors.Refused: with the answer to give instead.
        """
        path = request.url.path.rstrip("/") or "/"
        access.check_host(request.headers.get("host", ""))
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


async def _body(request: Request) -> bytes:
    """The body of a request.

    Raises:
        errors.Refused: 413 where it is too large.
    """
    announced = request.headers.get("content-length", "")
    chunks = []
    size = int(announced) if announced.isdigit() and int(announced) > LARGEST_BODY else 0
    if not size:
        async for chunk in request.stream():
            chunks.append(chunk)
            size += len(chunk)
            if size > LARGEST_BODY:
                break
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
    return response

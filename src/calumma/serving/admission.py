"""The door of a transformer: how large a request may be, and how refusals look.

kserve's server reads a body of any size into memory and answers an unexpected exception with
500. Here a body beyond the limit gets 413 and is not kept, and each refusal is JSON with one
sentence, ``{"error": ...}``, as kserve's own.
"""

from __future__ import annotations

import logging
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from calumma import errors

PATIENCE = 4

_log = logging.getLogger("kserve")


class BodyLimit:
    """ASGI middleware that answers 413 to a request with a body of more than ``limit`` bytes.

    What is too much is read and dropped, so that a client that sends all before it reads gets
    the answer; beyond :data:`PATIENCE` times the limit the connection is closed.
    """

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self.app = app
        self.limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the body, then let the application have it, or refuse."""
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD"):
            return await self.app(scope, receive, send)
        declared = int(dict(scope["headers"]).get(b"content-length", b"0"))
        size, chunks, more = 0, [], True
        while more and size <= PATIENCE * self.limit:
            message = await receive()
            if message["type"] != "http.request":
                return None  # the client is gone
            chunk = message.get("body", b"")
            size += len(chunk)
            more = message.get("more_body", False)
            if max(size, declared) <= self.limit:
                chunks.append(chunk)
            else:
                chunks.clear()
        if max(size, declared) > self.limit:
            return await self._refuse(send)
        body: Message = {"type": "http.request", "body": b"".join(chunks), "more_body": False}
        unread = [body]

        async def replay() -> Message:
            return unread.pop() if unread else await receive()

        await self.app(scope, replay, send)

    async def _refuse(self, send: Send) -> None:
        content = orjson.dumps({"error": f"The body is larger than {self.limit} bytes."})
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(content)).encode()),
            (b"connection", b"close"),
        ]
        await send({"type": "http.response.start", "status": 413, "headers": headers})
        await send({"type": "http.response.body", "body": content})


def install(app: FastAPI, *, max_body_bytes: int) -> None:
    """Put the limit and the replies to refusals into ``app``, kserve's application."""
    app.add_middleware(BodyLimit, limit=max_body_bytes)
    app.add_exception_handler(errors.RequestRefused, _refused)
    app.add_exception_handler(errors.PredictorFailed, _failed)
    app.add_exception_handler(RequestValidationError, _invalid)


async def _refused(request: Request, error: Any) -> JSONResponse:
    return JSONResponse({"error": str(error)}, error.status)


async def _failed(request: Request, error: Any) -> JSONResponse:
    _log.warning("%s", error)
    return JSONResponse({"error": str(error)}, error.status, headers=dict(error.headers))


async def _invalid(request: Request, error: Any) -> JSONResponse:
    """A V2 document that does not have the protocol's form; what it holds is not repeated."""
    places = "; ".join(
        f"{'.'.join(str(part) for part in entry['loc'])}: {entry['msg']}"
        for entry in error.errors()[:3]
    )
    return JSONResponse({"error": f"The request is not an inference request: {places}."}, 422)

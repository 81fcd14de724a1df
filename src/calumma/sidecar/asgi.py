"""How the steps of a request call each other: ASGI, as uvicorn speaks it.

A step is an ASGI application that knows the next one. Here are their types, and the few messages
that more than one of them reads or writes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, NamedTuple

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class Reply(NamedTuple):
    """A whole response of the component."""

    status: int
    body: bytes


PLAIN = b"text/plain; charset=utf-8"


async def body_of(receive: Receive) -> bytes | None:
    """The whole body of a request; None when its client left before the end."""
    message = await receive()
    parts = []
    while message["type"] == "http.request":
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return parts[0] if len(parts) == 1 else b"".join(parts)
        message = await receive()
    return None


def again(body: bytes, receive: Receive) -> Receive:
    """A ``receive`` that gives a body that was read already, and then what comes after it."""
    first: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return first.pop() if first else await receive()

    return replayed


async def answer(send: Send, status: int, body: bytes, content_type: bytes = PLAIN) -> None:
    """A whole response."""
    headers = [(b"content-type", content_type), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def raw_path(scope: Scope) -> bytes:
    """A request's path as it came, without the query."""
    path: bytes = scope.get("raw_path") or scope["path"].encode()
    return path

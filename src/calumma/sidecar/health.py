"""Readiness: the kubelet's probes are answered here and go no further.

They are known by their ``User-Agent``. The sidecar is ready when its component is, which it asks
by the component's own probe. Source: knative.dev/pkg ``network/handlers/drain.go``,
knative.dev/serving ``pkg/queue/health``.
"""

from __future__ import annotations

import asyncio

import aiohttp

from calumma.sidecar import asgi

_KUBELET = b"kube-probe/"
_HEADER = b"k-network-probe"
_QUEUE = b"queue"
_PATIENCE = 1.0


class Health:
    """The step that answers probes. ``path`` is the component's; None asks for a connection."""

    def __init__(
        self, following: asgi.App, session: aiohttp.ClientSession, port: int, path: str | None
    ) -> None:
        self._following = following
        self._session = session
        self._port = port
        self._path = path

    async def __call__(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        """Answer a probe, pass anything else on."""
        if not any(n == b"user-agent" and v.startswith(_KUBELET) for n, v in scope["headers"]):
            await self._following(scope, receive, send)
            return
        asked = dict(scope["headers"]).get(_HEADER, b"")
        if asked != _QUEUE:
            await asgi.answer(send, 400, b"unexpected probe header value: " + asked + b"\n")
        elif await self._component_is_ready():
            await asgi.answer(send, 200, _QUEUE)
        else:
            await asgi.answer(send, 503, b"")

    async def _component_is_ready(self) -> bool:
        try:
            async with asyncio.timeout(_PATIENCE):
                if self._path is None:
                    _, writer = await asyncio.open_connection("127.0.0.1", self._port)
                    writer.close()
                    return True
                url = f"http://127.0.0.1:{self._port}{self._path}"
                async with self._session.get(url) as reply:
                    return reply.ok
        except (OSError, aiohttp.ClientError):
            return False

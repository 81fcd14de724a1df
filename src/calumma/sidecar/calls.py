"""gRPC: calls of a component that speaks it, passed on message by message, and logged.

Any method, of any kind, goes through as bytes, with its metadata and status. KServe's agent logs
what passes it whatever the protocol, so an event's body is what gRPC has on the wire: each message
after its five bytes of prefix. All answers have the HTTP status 200, so all are logged.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc

from calumma.sidecar import events, options, recording

_UNLIMITED = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.max_metadata_size", 64 << 10),
)
_OWN = ("grpc-", "user-agent", ":", "te", "content-type")
"""How the names of metadata begin that each connection has for itself."""


class Calls(grpc.GenericRpcHandler):  # type: ignore[misc]
    """The handler of all methods. Without a ``logger`` it only passes on."""

    def __init__(
        self, channel: Any, logger: options.Logger | None, offer: recording.Offer | None
    ) -> None:
        self._channel = channel
        self._logger = logger
        self._offer = offer

    def service(self, details: Any) -> Any:
        """The handler of one method."""

        async def call(requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
            async for reply in self._pass_on(details, requests, context):
                yield reply

        return grpc.stream_stream_rpc_method_handler(call)

    async def _pass_on(
        self, details: Any, requests: AsyncIterator[bytes], context: Any
    ) -> AsyncIterator[bytes]:
        arrived = time.time()
        metadata = [(k, v) for k, v in details.invocation_metadata if not k.startswith(_OWN)]
        asked, answered = _Kept(self._logger), _Kept(self._logger)
        call = self._channel.stream_stream(details.method)(
            asked.of(requests), metadata=metadata, timeout=context.time_remaining()
        )
        try:
            await context.send_initial_metadata(list(await call.initial_metadata() or ()))
            async for reply in answered.of(call):
                yield reply
        except grpc.aio.AioRpcError:
            pass  # told below, with its metadata
        finally:
            call.cancel()
        context.set_trailing_metadata(tuple(await call.trailing_metadata() or ()))
        context.set_code(await call.code())
        context.set_details(await call.details())
        self._record(details.invocation_metadata, arrived, asked.wire, answered.wire)

    def _record(self, metadata: Any, arrived: float, asked: bytes, answered: bytes) -> None:
        if self._logger is None or self._offer is None:
            return
        headers = [
            (key.encode(), value if isinstance(value, bytes) else value.encode())
            for key, value in metadata
        ]
        headers.append((b"content-type", b"application/grpc"))
        if events.is_mirrored(headers):
            return
        exchange = events.exchange(headers, self._logger.headers)
        if self._logger.mode != "response":
            self._offer(events.Event(events.REQUEST, exchange, arrived, asked))
        if self._logger.mode != "request":
            self._offer(events.Event(events.RESPONSE, exchange, time.time(), answered))


class _Kept:
    """Messages on their way, and what is kept of them when they are logged."""

    def __init__(self, logger: options.Logger | None) -> None:
        self._wanted = logger is not None
        self._parts: list[bytes] = []

    @property
    def wire(self) -> bytes:
        """All messages as they are on the wire: not compressed, the length, the message."""
        return b"".join(b"\0" + len(each).to_bytes(4, "big") + each for each in self._parts)

    async def of(self, messages: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The messages themselves."""
        async for message in messages:
            if self._wanted:
                self._parts.append(message)
            yield message


@asynccontextmanager
async def served(
    ports: tuple[int, int], logger: options.Logger | None, offer: recording.Offer | None
) -> AsyncIterator[None]:
    """Serve gRPC at our own port for the component's."""
    own, component = ports
    target = f"127.0.0.1:{component}"
    async with grpc.aio.insecure_channel(target, options=_UNLIMITED) as channel:
        server = grpc.aio.server(options=_UNLIMITED)
        server.add_generic_rpc_handlers((Calls(channel, logger, offer),))
        server.add_insecure_port(f"127.0.0.1:{own}")
        await server.start()
        try:
            yield
        finally:
            await server.stop(grace=1.0)

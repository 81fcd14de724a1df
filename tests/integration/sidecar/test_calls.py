"""gRPC through the sidecar, between real gRPC ends that know nothing of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from support import pods
from support.sidecar import Component, Receiver, flags, started

INFER = "/inference.GRPCInferenceService/ModelInfer"
MIRRORED = (("x-calumma-mirrored", "true"),)
STREAM = "/inference.GRPCInferenceService/ModelStreamInfer"


class Service(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Doubles a message, answers each of a stream, and refuses ``bad``."""

    def service(self, details: Any) -> Any:
        if details.method == INFER:
            return grpc.unary_unary_rpc_method_handler(self.infer)
        return grpc.stream_stream_rpc_method_handler(self.stream)

    async def infer(self, request: bytes, context: Any) -> bytes:
        metadata = dict(context.invocation_metadata())
        await context.send_initial_metadata((("x-mine", metadata.get("x-mine", "")),))
        context.set_trailing_metadata((("x-after", "1"),))
        if request == b"bad":
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "it is bad")
        return request * 2

    async def stream(self, requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        async for request in requests:
            yield request + b"!"


@pytest.fixture
async def service() -> AsyncIterator[int]:
    server = grpc.aio.server(options=(("grpc.max_receive_message_length", -1),))
    server.add_generic_rpc_handlers((Service(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield port
    await server.stop(None)


def channel(port: int) -> Any:
    limits = (("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1))
    return grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=limits)


async def test_a_call_is_passed_on_and_logged(
    service: int, receiver: Receiver, component: Component
) -> None:
    own = pods.free_port()
    words = (*flags(receiver, component, "all"), "--grpc-ports", f"{own}:{service}")
    async with started(*words), channel(own) as client:
        assert await client.unary_unary(INFER)(b"a", metadata=MIRRORED) == b"aa"
        call = client.unary_unary(INFER)(
            b"ab", metadata=(("x-mine", "1"), ("ce-id", "c-1"), ("tenant", "t"))
        )
        assert await call == b"abab"
        assert dict(await call.initial_metadata())["x-mine"] == "1"
        assert dict(await call.trailing_metadata())["x-after"] == "1"
        request, response = await receiver.of(2)
    assert len(receiver.events) == 2
    assert request.body == b"\0\0\0\0\x02ab"
    assert response.body == b"\0\0\0\0\x04abab"
    for event in (request, response):
        assert event.headers["ce-id"] == "c-1"
        assert event.headers["ce-metadata"] == '{"Tenant":["t"]}'
        assert event.headers["content-type"] == "application/grpc"


async def test_statuses_streams_and_big_messages_go_through(
    service: int, component: Component
) -> None:
    own = pods.free_port()
    words = ("--component-port", str(component.port), "--grpc-ports", f"{own}:{service}")
    async with started(*words), channel(own) as client:
        infer, stream = client.unary_unary(INFER), client.stream_stream(STREAM)
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await infer(b"bad")
        assert failed.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert failed.value.details() == "it is bad"
        assert dict(failed.value.trailing_metadata())["x-after"] == "1"
        assert len(await infer(b"x" * (8 << 20))) == 16 << 20
        call = stream()
        for message in (b"a", b"b"):  # each is answered before the next is sent
            await call.write(message)
            assert await call.read() == message + b"!"
        await call.done_writing()
        assert await call.read() == grpc.aio.EOF


async def test_a_component_that_is_away_is_unavailable(component: Component) -> None:
    own = pods.free_port()
    ports = f"{own}:{pods.free_port()}"
    words = ("--component-port", str(component.port), "--grpc-ports", ports)
    async with started(*words), channel(own) as client:
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await client.unary_unary(INFER)(b"x")
    assert failed.value.code() == grpc.StatusCode.UNAVAILABLE

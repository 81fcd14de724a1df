from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from support import sidecar


@pytest.fixture
async def receiver() -> AsyncIterator[sidecar.Receiver]:
    receiver = sidecar.Receiver()
    receiver.open.set()
    app = web.Application(client_max_size=sidecar.LARGEST)
    app.router.add_post("/{path:.*}", receiver.take)
    runner, port = await sidecar.serve(app)
    receiver.url = f"http://127.0.0.1:{port}/events"
    yield receiver
    receiver.open.set()
    await runner.cleanup()


@pytest.fixture
async def component() -> AsyncIterator[sidecar.Component]:
    component = sidecar.Component()
    component.running.set()
    app = web.Application(client_max_size=sidecar.LARGEST)
    app.router.add_post("/v1/models/{name}:predict", component.predict)
    app.router.add_get("/stream", component.stream)
    app.router.add_get("/break", component.break_off)
    app.router.add_get("/wait", component.wait)
    app.router.add_route("*", "/{path:.*}", component.echo)
    runner, component.port = await sidecar.serve(app)
    yield component
    component.running.set()
    await runner.cleanup()


@pytest.fixture
async def logging_all(
    receiver: sidecar.Receiver, component: sidecar.Component
) -> AsyncIterator[sidecar.Sidecar]:
    """The sidecar as the webhook starts it for a logger with metadata."""
    async with sidecar.started(*sidecar.flags(receiver, component, "all")) as running:
        yield running

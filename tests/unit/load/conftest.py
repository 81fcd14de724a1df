"""A real server that speaks the V1 protocol and stalls when a test tells it to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from aiohttp import web

from calumma import inference
from calumma.scoring import cases


@dataclass
class Service:
    """Answers every image with the label 7; while stalled, requests wait."""

    url: str = ""
    received: list[str] = field(default_factory=list)
    under_way: int = 0
    most_under_way: int = 0
    status: int = 200
    running: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.received.append(body["instances"][0]["image"]["b64"])
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        await self.running.wait()
        self.under_way -= 1
        seven = {"label": "7", "class": 7, "probability": 0.9, "probabilities": [0.1, 0.9]}
        headers = {"x-calumma-predictor-revision": "digits-predictor-00001"}
        return web.json_response({"predictions": [seven]}, status=self.status, headers=headers)

    async def stall(self, after: float, seconds: float) -> None:
        await asyncio.sleep(after)
        self.running.clear()
        await asyncio.sleep(seconds)
        self.running.set()


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    service = Service()
    service.running.set()
    app = web.Application()
    app.router.add_post("/v1/models/digits:predict", service.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    service.url = f"http://digits.default.localhost:{runner.addresses[0][1]}"
    yield service
    await runner.cleanup()


@pytest.fixture
async def client(service: Service) -> AsyncIterator[inference.Client]:
    async with inference.Client(service.url, "digits", timeout=5) as client:
        yield client


@pytest.fixture
def population() -> list[cases.Case]:
    return [cases.Case(str(number), bytes([number]), str(number)) for number in range(10)]

"""A predictor asked past its transformer: pixels in, the transformer's answer out."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from aiohttp import web
from PIL import Image

from calumma.inference import predictor
from calumma.models import digits
from calumma.serving import images

FORM = predictor.Form(
    "image", "logits", ("a", "b", "c"), images.Format("L", 8, 8, Image.Resampling.BOX)
)
PICTURE = digits.held_out().images[3]


@dataclass
class Model:
    """Answers every request with the same tensor, and keeps the pixels that it got."""

    url: str = ""
    output: dict[str, Any] = field(default_factory=dict)
    received: list[np.ndarray[Any, Any]] = field(default_factory=list)

    async def infer(self, request: web.Request) -> web.Response:
        body = await request.read()
        length = int(request.headers["Inference-Header-Content-Length"])
        self.received.append(np.frombuffer(body[length:], np.uint8))
        return web.json_response({"model_name": "digits", "outputs": [self.output]})


@pytest.fixture
async def model() -> AsyncIterator[Model]:
    model = Model()
    model.output = logits([[1.0, 3.0, 2.0]])
    app = web.Application()
    app.router.add_post("/v2/models/digits/infer", model.infer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    model.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield model
    await runner.cleanup()


def logits(rows: list[list[float]], name: str = "logits") -> dict[str, Any]:
    data = [value for row in rows for value in row]
    return {"name": name, "shape": [len(rows), len(rows[0])], "datatype": "FP32", "data": data}


async def test_an_image_becomes_the_pixels_that_the_transformer_makes(model: Model) -> None:
    async with predictor.Client(model.url, "digits", FORM) as client:
        reply = await client.classify([digits.png(PICTURE)])
    assert reply.content is not None
    (found,) = reply.content
    assert (found.label, found.index) == ("b", 1)
    assert found.probability == pytest.approx(np.exp(3) / np.exp([1, 2, 3]).sum())
    assert sum(found.probabilities) == pytest.approx(1)
    assert model.received[0].tolist() == PICTURE.ravel().tolist()


@pytest.mark.parametrize(
    ("output", "said"),
    [
        (logits([[1.0, 2.0]]), r"shape \(1, 2\); finite logits \(1, 3\)"),
        (logits([[1.0, 2.0, 3.0]], "scores"), "the output logits has shape None"),
    ],
)
async def test_other_logits_than_declared_are_a_failure(
    model: Model, output: dict[str, Any], said: str
) -> None:
    model.output = output
    async with predictor.Client(model.url, "digits", FORM) as client:
        reply = await client.classify([digits.png(PICTURE)])
    assert reply.content is None and reply.failure is not None
    assert reply.failure.kind == "unreadable"
    assert re.search(said, reply.failure.message)


async def test_what_is_no_image_is_a_failure_and_is_not_sent(model: Model) -> None:
    async with predictor.Client(model.url, "digits", FORM) as client:
        reply = await client.classify([b"no image"])
    assert reply.failure is not None and reply.failure.kind == "unreadable image"
    assert model.received == []

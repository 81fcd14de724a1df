"""What a rollout's pairs cost the process that sends them: milliseconds of CPU for each pair.

Both revisions are a server in a process of its own that answers at once, so that the cost is the
sender's alone. Images are sent as they are, or, behind a transformer, decoded and sent as tensors;
the larger ones are photos of 2000 x 1500 pixels.

    python benchmarks/pairs.py
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import multiprocessing
import time
from collections.abc import Iterator, Sequence

import measuring
import numpy as np
from aiohttp import web
from PIL import Image

from calumma import datasets
from calumma.canary import traffic
from calumma.cluster.node import ports
from calumma.evaluation import online
from calumma.load import pairs
from calumma.scoring import cases

LABEL = {"label": "7", "class": 7, "probability": 0.9, "probabilities": [0.1, 0.9]}
CLASSES = tuple("0123456789")
MODEL = "digits"


def serve(port: int) -> None:
    """Answer both protocols at once, whatever is asked."""

    async def v1(request: web.Request) -> web.Response:
        await request.read()
        return web.json_response({"predictions": [LABEL]})

    async def v2(request: web.Request) -> web.Response:
        await request.read()
        logits = {"name": "logits", "shape": [1, 10], "datatype": "FP32", "data": [0.0] * 10}
        return web.json_response({"model_name": MODEL, "outputs": [logits]})

    application = web.Application(client_max_size=1 << 26)
    application.router.add_post(f"/v1/models/{MODEL}:predict", v1)
    application.router.add_post(f"/v2/models/{MODEL}/infer", v2)
    web.run_app(application, host="127.0.0.1", port=port, print=None, access_log=None)


@contextlib.contextmanager
def server() -> Iterator[str]:
    """The address of :func:`serve` in a process of its own."""
    port = ports.Ports(tuple).free()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(port,), daemon=True)
    process.start()
    deadline = time.monotonic() + 30
    while ports.is_free(port) and time.monotonic() < deadline:
        time.sleep(0.1)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.join()


async def cost(url: str, population: Sequence[cases.Case], width: int) -> float:
    """Milliseconds of CPU for a pair; tensors are so wide, 0 means images as they are."""
    form = None
    if width:
        picture = online.Picture(mode="RGB" if width > 8 else "L", width=width, height=width)
        form = online.Predictor(classes=CLASSES, image=picture)
    async with (
        traffic.client(url, MODEL, form) as stable,
        traffic.client(url, MODEL, form) as canary,
    ):
        await pairs.send(stable, canary, population[:20], rate=1000, seed=0)
        began = time.process_time()
        found = await pairs.send(stable, canary, population, rate=1000, seed=0)
        spent = time.process_time() - began
    failed = [each.stable.failure for each in found if each.stable.failure]
    if failed:
        raise SystemExit(f"the server does not answer: {failed[0]}")
    return 1000 * spent / len(found)


def photos(number: int) -> list[cases.Case]:
    """JPEG files that are as large as a camera's."""
    draw = np.random.default_rng(0)
    small = draw.integers(0, 255, (150, 200, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(small).resize((2000, 1500)).save(file, "JPEG", quality=85)
    return [cases.Case(str(each), file.getvalue(), "7") for each in range(number)]


def main() -> None:
    """Print the table."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    options.add_argument("--pairs", type=int, default=300)
    number = options.parse_args().pairs
    small, large = datasets.load(MODEL)[:number], photos(max(20, number // 10))
    kinds = {
        "digits, as images": (small, 0),
        "digits, as tensors of 8 x 8": (small, 8),
        f"photos of {len(large[0].image) // 1000} kB, as images": (large, 0),
        f"photos of {len(large[0].image) // 1000} kB, as tensors of 224 x 224": (large, 224),
    }
    rows = []
    with server() as url:
        for name, (population, width) in kinds.items():
            rows.append((name, f"{asyncio.run(cost(url, population, width)):.2f}"))
    measuring.tell(measuring.machine())
    print(measuring.table(("pairs", "CPU ms a pair"), rows))


if __name__ == "__main__":
    main()

"""Loads from first to last request, against servers that stall, refuse, break or die."""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from aiohttp import web

from calumma import errors
from calumma.load import curve, measures, payloads, schedule, session

SEVEN = {"label": "7", "class": 7, "probability": 0.9, "probabilities": [0.1, 0.9]}
INPUTS = [
    {"name": "image", "datatype": "UINT8", "shape": [-1, 8, 8]},
    {"name": "scale", "datatype": "FP32", "shape": [-1, -1]},
]


@dataclass
class Server:
    """A model in a thread of its own, as the generator is in one.

    In each ``period`` seconds it stalls for ``stall``; it answers 500 from its request number
    ``breaks`` on, and does not answer at all from ``dies`` on.
    """

    period: float = 1.0
    stall: float = 0.0
    breaks: int = 1_000_000
    dies: int = 1_000_000
    count: int = 0
    port: int = 0
    bodies: list[bytes] = field(default_factory=list)
    ready: threading.Event = field(default_factory=threading.Event)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        now = asyncio.get_running_loop().time()
        into = now % self.period
        if into < self.stall:
            await asyncio.sleep(self.stall - into)
        self.count += 1
        if self.count >= self.dies:
            await asyncio.sleep(3600)
        if self.count >= self.breaks:
            return web.json_response({"error": "broken"}, status=500)
        if request.path.endswith(":predict"):
            if b"instances" not in body:
                return web.json_response({"error": "no instances"}, status=400)
            return web.json_response({"predictions": [SEVEN]})
        self.bodies.append(body)
        outputs = [{"name": "logits", "datatype": "FP32", "shape": [1], "data": [0.5]}]
        return web.json_response({"model_name": "m", "outputs": outputs})

    async def metadata(self, request: web.Request) -> web.StreamResponse:
        return web.json_response({"name": "m", "inputs": INPUTS})

    async def serve(self, stop: asyncio.Event) -> None:
        app = web.Application()
        app.router.add_get("/v2/models/m", self.metadata)
        app.router.add_post("/{path:.*}", self.answer)
        runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.port = runner.addresses[0][1]
        self.ready.set()
        await stop.wait()
        await runner.cleanup()

    @property
    def address(self) -> session.Address:
        return session.Address(f"http://127.0.0.1:{self.port}", "m")


@pytest.fixture
def server() -> Iterator[Server]:
    found, stop = Server(), asyncio.Event()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_until_complete, args=(found.serve(stop),))
    thread.start()
    assert found.ready.wait(10)
    yield found
    loop.call_soon_threadsafe(stop.set)
    thread.join()
    loop.close()


def plan(*mix: payloads.Payload, **changes: Any) -> session.Plan:
    found = session.Plan(
        mix or (payloads.Payload(name="digits", dataset="digits"),), 1024, 5, 0.1, 0
    )
    return found._replace(**changes)


def even(rate: float, seconds: float) -> tuple[schedule.Times, float]:
    return schedule.evenly(schedule.steps([rate], seconds)), seconds


def quantiles(outcomes: Any, *wanted: float) -> list[float]:
    found: list[float] = np.quantile([each.latency for each in outcomes], wanted).tolist()
    return found


@pytest.mark.slow
def test_a_stall_is_not_omitted(server: Server) -> None:
    """A tenth of the requests meet a stall of a tenth of the time, and wait from all of it to none.

    Stalls of 1 s each 10 s give a 95th percentile of 0.5 s and a 99th of 0.9 s.
    """
    server.period, server.stall = 10.0, 1.0
    played = session.play(server.address, plan(), even(100, 0.5), even(100, 20))
    assert len(played.outcomes) == 2000 and not measures.failures(played.outcomes).count
    assert played.stopped is None
    p50, p95, p99, longest = quantiles(played.outcomes, 0.5, 0.95, 0.99, 1.0)
    assert p50 < 0.05
    assert p95 == pytest.approx(0.5, abs=0.06)
    assert p99 == pytest.approx(0.9, abs=0.06)
    assert longest == pytest.approx(1.0, abs=0.1)


def test_the_warm_up_is_kept_apart_and_times_count_from_the_window(server: Server) -> None:
    played = session.play(server.address, plan(), even(50, 0.5), even(100, 1))
    assert [len(played.warm_up), len(played.outcomes)] == [25, 100]
    assert [each.intended for each in played.outcomes] == pytest.approx(np.arange(100) / 100)
    assert measures.achieved(played.outcomes, 1.5, 1).value == 100
    assert measures.is_sound(measures.on_time(played.outcomes, 0.1))


def test_payloads_are_mixed_by_weight_and_a_refusal_may_be_right(server: Server) -> None:
    mix = (
        payloads.Payload(name="digits", dataset="digits", weight=3),
        payloads.Payload(name="empty", body="{}", weight=1, expects=(400, 422)),
        payloads.Payload(name="misjudged", body="{}", weight=1),
    )
    played = session.play(server.address, plan(*mix), even(1, 0), even(400, 1))
    assert played.answered == {"digits", "misjudged"}
    groups = {each.name: measures.of_payload(played.outcomes, {each.name}) for each in mix}
    counts = [len(each) for each in groups.values()]
    assert sum(counts) == 400 and counts == pytest.approx([240, 80, 80], abs=40)
    assert [measures.failures(each).value for each in groups.values()] == [0, 0, 1]
    assert measures.classes(played.outcomes)[0].name == "failed: status 400"


def test_a_model_is_sent_random_tensors_of_its_own_shapes(server: Server) -> None:
    mix = (payloads.Payload(name="tensors", tensors=4),)
    played = session.play(server.address, plan(*mix), even(1, 0), even(50, 0.5))
    assert not measures.failures(played.outcomes).count
    (body,) = set(server.bodies)
    header, _ = json.JSONDecoder().raw_decode(body.decode("latin-1"))
    assert [(each["name"], each["shape"]) for each in header["inputs"]] == [
        ("image", [4, 8, 8]),
        ("scale", [4, 1]),
    ]
    assert len(body) > 4 * 64 + 4 * 4


def test_a_service_that_breaks_under_load_is_not_loaded_on(server: Server) -> None:
    server.breaks = 120
    played = session.play(server.address, plan(), even(1, 0), even(200, 10))
    assert played.stopped is not None and "of 50 requests in a row failed" in played.stopped
    assert "status 500" in played.stopped
    assert played.seconds < 5 and server.count < 400


def test_a_service_that_hangs_gets_no_more_than_its_connections(server: Server) -> None:
    server.dies = 60
    played = session.play(
        server.address, plan(connections=20, give_up=0.5), even(1, 0), even(100, 1)
    )
    assert server.count <= 60 + 3 * 20
    kinds = {each.name for each in measures.classes(played.outcomes)}
    assert kinds == {"failed: timeout", "failed: not sent"}
    assert measures.waited(played.outcomes, 0.1).count


def test_what_does_not_answer_at_all_is_not_loaded(server: Server) -> None:
    server.breaks = 0
    with pytest.raises(
        errors.ServiceUnavailable, match=r"first 5 requests failed: status 500, .*brok"
    ):
        session.play(server.address, plan(), even(1, 0), even(100, 1))
    nobody = session.Address("http://127.0.0.1:1", "m")
    with pytest.raises(errors.ServiceUnavailable, match="first 5 requests failed: refused"):
        session.play(nobody, plan(), even(1, 0), even(100, 1))
    tensors = plan(payloads.Payload(name="t", tensors=1))
    with pytest.raises(errors.ServiceUnavailable, match="does not say what"):
        session.play(server.address._replace(model="other"), tensors, even(1, 0), even(1, 1))


def test_the_search_finds_a_service_s_promise_and_waits_between_rates(server: Server) -> None:
    told: list[curve.Step] = []
    objective = curve.Objective(latency_ms=500, quantile=0.9, failed=0.0)
    search = curve.Search(start=20, maximum=40, seconds=0.5, warm_up=0.1, settle=0.2, repeats=2)
    found = session.explore(server.address, plan(tolerance=1.0), objective, search, told.append)
    assert [each.rate for each in found.steps] == [20, 40, 40]
    assert told == found.steps and all(each.holds and each.alive for each in told)
    assert found.limit.value == 40
    for before, after in itertools.pairwise(told):
        assert after.began >= before.ended >= before.began + 0.8

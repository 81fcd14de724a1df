"""Rollouts for tests: policies, and states as a rollout would have counted them."""

from __future__ import annotations

import contextlib
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any

from aiohttp import web

from calumma.rollout import judgement
from calumma.rollout.policy import Policy
from calumma.rollout.state import Moments, State, Tally, Window

BEGAN = 1_795_000_000.0


def policy(**given: Any) -> Policy:
    """10% then 50%, judged by errors, unless something else is given."""
    content = {
        "service": "digits",
        "steps": [{"weight": 10, "seconds": 20}, {"weight": 50, "seconds": 20}],
        "metrics": [{"kind": "errors", "name": "errors", "margin": 0.05}],
        **given,
    }
    return Policy.model_validate(content, strict=False)


def state(**given: Any) -> State:
    """A rollout of digits' second model, just begun."""
    content = {
        "id": "digits-20261121T210000Z",
        "policy": policy(),
        "began": BEGAN,
        "stable": "digits-predictor-00001",
        "canary": "digits-predictor-00002",
        "to": "pvc://models/digits/v2",
        **given,
    }
    return State.model_validate(content, strict=False)


@contextlib.asynccontextmanager
async def webhook(
    answers: Callable[[int], int],
) -> AsyncIterator[tuple[str, list[dict[str, Any]]]]:
    """A server that takes down what it is told and answers the nth question with this status."""
    told: list[dict[str, Any]] = []

    async def take(request: web.Request) -> web.Response:
        told.append(await request.json())
        status = answers(len(told))
        headers = {"Location": "/login"} if 300 <= status < 400 else {}
        return web.Response(status=status, headers=headers)

    async def login(_: web.Request) -> web.Response:
        return web.Response(text="Please log in.")

    application = web.Application()
    application.router.add_post("/hooks/hidden", take)
    application.router.add_get("/login", login)
    server = web.AppRunner(application)
    await server.setup()
    await web.TCPSite(server, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{server.addresses[0][1]}/hooks/hidden", told
    finally:
        await server.cleanup()


METRICS: list[dict[str, Any]] = [
    {"kind": "errors", "name": "errors", "margin": 0.05},
    {"kind": "slow", "name": "slow", "margin": 0.1, "milliseconds": 100},
    {"kind": "correct", "name": "correct", "margin": 0.05},
    {"kind": "agreement", "name": "agreement", "at_least": 0.8},
    {"kind": "latency", "name": "p95", "margin": 0.5},
    {"kind": "value", "name": "cost", "margin": 0.1, "missed": {"3": 2.0}, "other": 1.0},
]


def counted(worse: float = 0.0, looks: int = 24, seed: int = 0, **given: Any) -> State:
    """A rollout after so many looks whose canary is wrong, and fails, that much more often."""
    draw = random.Random(seed)
    found = policy(metrics=METRICS, sources={"pairs": {"dataset": "digits"}})
    tallies: dict[str, Tally] = {}
    shares = [[10, 0, 0], [50, 0, 0]]
    for look in range(looks):
        step = 2 * look // looks
        n, other = (20, 180) if step == 0 else (100, 100)
        shares[step][1] += n
        shares[step][2] += other
        for name, more in _increments(draw, step, (n, other), worse).items():
            tallies[name] = judgement.add(tallies.get(name, Tally()), more)
    alphas = judgement.alphas(found)
    readings = [
        judgement.read(metric, tallies[metric.name], alphas[metric.name])
        for metric in found.metrics
    ]
    last = BEGAN + 10 * looks
    moments = {"first_step": BEGAN + 5, "looked": last, "ended": last, "step": 1}
    content = {"policy": found, "tallies": tallies, "readings": tuple(readings), **moments}
    return state(**content, shares=tuple(map(tuple, shares)), **given)


def _increments(
    draw: random.Random, step: int, counts: tuple[int, int], worse: float
) -> dict[str, Tally]:
    """What one look may bring of each metric."""
    n, other = counts
    pairs = Counter((draw.random() > 0.08 + worse, draw.random() > 0.08) for _ in range(40))
    outcomes = ((True, True), (True, False), (False, True), (False, False))
    both, ours, theirs, neither = (pairs[each] for each in outcomes)
    costs = [[float(draw.random() < rate) for _ in range(40)] for rate in (0.08 + worse, 0.08)]
    sums = [(len(each), sum(each), sum(value * value for value in each)) for each in costs]
    times = [Counter(str(round(draw.gauss(20, 3))) for _ in range(40)) for _ in range(2)]
    return {
        "errors": Tally(windows=(_window(draw, step, n, other, 0.01 + worse, 0.01),)),
        "slow": Tally(windows=(_window(draw, step, n, other, 0.05, 0.05),)),
        "correct": Tally(pairs=(both, ours, theirs, neither)),
        "agreement": Tally(agreed=(both + neither, 40)),
        "p95": Tally(times=dict(times[0]), other_times=dict(times[1])),
        "cost": Tally(
            moments=(
                Moments(
                    step=step,
                    n=sums[0][0],
                    total=sums[0][1],
                    squares=sums[0][2],
                    other_n=sums[1][0],
                    other_total=sums[1][1],
                    other_squares=sums[1][2],
                ),
            )
        ),
    }


def _window(
    draw: random.Random, step: int, n: int, other: int, rate: float, other_rate: float
) -> Window:
    bad, other_bad = (
        sum(draw.random() < share for _ in range(size))
        for size, share in ((n, rate), (other, other_rate))
    )
    return Window(step=step, n=n, events=bad, other_n=other, other_events=other_bad)

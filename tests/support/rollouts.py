"""Rollouts for tests: policies, and states as a rollout would have counted them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from aiohttp import web

from calumma.rollout.policy import Policy
from calumma.rollout.state import State

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

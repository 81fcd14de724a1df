"""The process that carries rollouts out, as the node has the supervisor run it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from calumma.cluster import layout
from calumma.cluster.node import driving, supervision
from calumma.cluster.node.record import Observed
from calumma.cluster.node.supervisor import Supervisor
from calumma.cluster.objects import Object
from calumma.rollout import names


@pytest.fixture
async def supervisor(tmp_path: Path) -> AsyncIterator[supervision.Client]:
    found = Supervisor(tmp_path)
    server = await supervision.serve(found, tmp_path / "supervisor.sock")
    async with supervision.Client(tmp_path / "supervisor.sock") as client:
        yield client
    await found.close()
    server.close()


def config_map(active: str, **data: str) -> Object:
    metadata = {"name": "rollout-digits", "labels": {names.ACTIVE: active}}
    return {"metadata": metadata, "data": data}


async def running(supervisor: supervision.Client) -> Observed:
    for _ in range(600):
        for row in await supervisor.list():
            if row.wanted.name == driving.PROGRAM and row.state in ("running", "waiting"):
                return row
        await asyncio.sleep(0.05)
    raise AssertionError(await supervisor.list())


@pytest.mark.parametrize(
    ("services", "config_maps"),
    [
        ([{"metadata": {"name": "a", "annotations": {names.POLICY: "policy"}}}], []),
        ([], [config_map("true")]),
        ([], [config_map("false", request="undo")]),
    ],
)
async def test_it_runs_where_there_is_something_to_carry_out(
    tmp_path: Path,
    supervisor: supervision.Client,
    services: list[Object],
    config_maps: list[Object],
) -> None:
    node = driving.Driving(layout.Home(tmp_path), str(tmp_path), supervisor)
    node.look([{"metadata": {"name": "a"}}], [config_map("false"), {"metadata": {"name": "b"}}])
    await asyncio.sleep(0.2)
    assert await supervisor.list() == []
    node.look(services, config_maps)
    row = await running(supervisor)
    assert row.wanted.environment["CALUMMA_HOME"] == str(tmp_path)


async def test_what_is_needed_again_while_it_ends_is_started_again(
    tmp_path: Path, supervisor: supervision.Client
) -> None:
    first = driving.Driving(layout.Home(tmp_path), str(tmp_path), supervisor)
    first.look([], [config_map("true")])
    before = await running(supervisor)
    await supervisor.stop(driving.PROGRAM)
    again = driving.Driving(layout.Home(tmp_path), str(tmp_path), supervisor)
    again.look([], [config_map("true")])
    for _ in range(600):
        if (await running(supervisor)).pid != before.pid:
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it was not started again")

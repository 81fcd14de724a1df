"""A real Envoy that mirrors requests and keeps users where they are, for nobody to notice."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest

from calumma.cluster.programs import envoy, splits, upstreams
from support.gateway import Running, Server, free_port

PREDICTOR = "default/digits/predictor"
HOST = "digits.default.localhost"
USERS = [f"user-{number}" for number in range(300)]


def asked(
    described: envoy.Gateway, mirror: splits.Mirror | None, users: splits.Users | None = None
) -> envoy.Gateway:
    """The gateway with these wishes in each of its splits."""

    def wish(split: splits.Split) -> splits.Split:
        return dataclasses.replace(split, mirror=mirror, users=users)

    name = mirror.backend if mirror else ""
    return dataclasses.replace(
        described,
        hosts=tuple(dataclasses.replace(h, split=wish(h.split)) for h in described.hosts),
        entrances=tuple(dataclasses.replace(e, split=wish(e.split)) for e in described.entrances),
        backends=tuple(
            dataclasses.replace(each, mirrored=each.name == name) for each in described.backends
        ),
    )


def mirroring(
    running: Running, stable: Server, canary: Server, percent: int, timeout: float = 5.0
) -> envoy.Gateway:
    """All requests go to the stable revision, and a part of them to the canary as well."""
    described = running.describe((canary, 0), (stable, 100))
    hosts = [
        dataclasses.replace(each, split=dataclasses.replace(each.split, timeout=timeout))
        for each in described.hosts
    ]
    described = dataclasses.replace(described, hosts=tuple(hosts))
    return asked(described, splits.Mirror(f"{PREDICTOR}/{canary.name}", percent))


async def until(what: Callable[[], Awaitable[bool]]) -> None:
    deadline = time.monotonic() + 20.0
    while not await what():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


async def figures(running: Running, revision: str) -> dict[str, float]:
    """Envoy's counters of a revision, by name."""
    base = f"http://127.0.0.1:{running.statistics}"
    async with httpx.AsyncClient() as client:
        text = (await client.get(f"{base}/stats/prometheus")).text
    found = {}
    for line in text.splitlines():
        name, _, value = line.rpartition(" ")
        if f'envoy_cluster_name="{PREDICTOR}/{revision}"' in name:
            kind, _, labels = name.partition("{")
            code = labels.partition('envoy_response_code_class="')[2][:1]
            found[kind.removeprefix("envoy_cluster_") + code] = float(value)
    return found


async def test_a_canary_without_a_share_gets_copies_and_users_do_not_notice(
    running: Running,
) -> None:
    async with Server("stable") as stable, Server("canary") as canary:
        await running.gateway.apply(mirroring(running, stable, canary, 100))
        answers = [await running.get() for _ in range(40)]
        assert {(each.status_code, each.text) for each in answers} == {(200, "stable")}

        async def all_there() -> bool:
            return canary.requests == 40

        await until(all_there)
        assert stable.requests == 40
        assert "host: digits-predictor.default.svc.cluster.local" in canary.head.lower()
        assert "kserve-isvc-name: digits" in canary.head.lower()
        assert "x-calumma-mirrored: true" in canary.head.lower()
        assert "x-calumma-mirrored" not in stable.head.lower()


async def test_a_part_of_the_requests_is_mirrored(running: Running) -> None:
    async with Server("stable") as stable, Server("canary") as canary:
        await running.gateway.apply(mirroring(running, stable, canary, 25))
        for _ in range(400):
            await running.get()
        await asyncio.sleep(0.2)
        assert 60 <= canary.requests <= 140
        await running.gateway.apply(running.describe((canary, 0), (stable, 100)))
        before = canary.requests
        for _ in range(20):
            await running.get()
        await asyncio.sleep(0.2)
        assert canary.requests == before


async def test_mirrored_requests_count_for_the_canary_alone_and_apart_from_users(
    running: Running,
) -> None:
    async with Server("stable") as stable, Server("canary", delay=0.03) as canary:
        await running.gateway.apply(mirroring(running, stable, canary, 100))
        for _ in range(10):
            await running.get()

        async def counted() -> bool:  # histograms are merged every five seconds
            found = await figures(running, "canary")
            return found.get("upstream_rq_time_count") == 10

        await until(counted)
        found = await figures(running, "canary")
        assert found["upstream_rq_total"] == found["upstream_rq_completed"] == 10
        assert found["upstream_rq_xx2"] == found["internal_upstream_rq_xx2"] == 10
        assert found["upstream_rq_time_sum"] >= 300
        assert "external_upstream_rq_xx2" not in found
        users = await figures(running, "stable")
        assert users["upstream_rq_total"] == users["external_upstream_rq_xx2"] == 10
        assert "internal_upstream_rq_xx2" not in users
        assert users["upstream_rq_time_sum"] < 300


Connected = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def listening(connected: Connected) -> AsyncIterator[int]:
    """A server's port; every connection that is still there at the end is broken off."""
    under_way: set[asyncio.Task[None]] = set()

    async def contained(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await connected(reader, writer)

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(contained(reader, writer))
        under_way.add(task)
        await asyncio.wait((task,))
        writer.transport.abort()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, limit=1024)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in under_way:
            task.cancel()
        await asyncio.sleep(0.1)


async def reading(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer one request, once it is there as a whole."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    await reader.readexactly(int(head.partition("content-length: ")[2].split()[0]))
    writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok")
    await writer.drain()
    await reader.read()


async def breaking(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Break every connection off at its first bytes."""
    await reader.read(10)


async def hanging(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Read nothing and say nothing."""
    await asyncio.Event().wait()


@pytest.mark.parametrize("fault", ["hangs", "breaks", "is away"])
async def test_a_canary_that_fails_costs_users_nothing(running: Running, fault: str) -> None:
    """Even where a request is larger than all that lies between: nobody reads what is mirrored."""
    way = hanging if fault == "hangs" else breaking
    async with contextlib.AsyncExitStack() as stack:
        stable = await stack.enter_async_context(Server("stable"))
        canary = await stack.enter_async_context(Server("canary"))
        stable.port = await stack.enter_async_context(listening(reading))
        canary.port = free_port()
        if fault != "is away":
            canary.port = await stack.enter_async_context(listening(way))
        await running.gateway.apply(mirroring(running, stable, canary, 100, timeout=10.0))
        for size in (10_000, 20_000_000):
            sent: dict[str, Any] = {
                "content": bytes(size),
                "headers": {"host": HOST},
                "timeout": 10,
            }
            began = time.monotonic()
            answers = await asyncio.gather(*(running.client.post("/", **sent) for _ in range(3)))
            assert [each.status_code for each in answers] == [200] * 3
            assert time.monotonic() - began < 9.0  # nor do they wait for the canary's end
        users = await figures(running, "stable")
        assert users["upstream_rq_xx2"] == users["upstream_rq_total"] == 6

        async def told() -> bool:  # after the route's timeout at the latest
            return (await figures(running, "canary")).get("upstream_rq_xx5") == 6

        await until(told)


async def test_what_a_canary_that_hangs_can_hold_is_bounded(running: Running) -> None:
    async with Server("stable") as stable, Server("canary") as canary, listening(hanging) as port:
        canary.port = port
        await running.gateway.apply(mirroring(running, stable, canary, 100, timeout=300.0))
        for _ in range(7):
            answers = await asyncio.gather(*(running.get() for _ in range(90)))
            assert {each.text for each in answers} == {"stable"}
        found = await figures(running, "canary")
        assert found["upstream_rq_active"] <= 256
        assert found["upstream_rq_pending_overflow"] >= 630 - 2 * 256


async def test_a_mirrored_transformers_call_leads_to_the_canary_alone(running: Running) -> None:
    port = free_port()
    async with Server("stable") as stable, Server("canary") as canary:
        described = running.describe((canary, 0), (stable, 100), entrance=port)
        mirror = splits.Mirror(f"{PREDICTOR}/canary", 0)
        await running.gateway.apply(asked(described, mirror))
        url = f"http://127.0.0.1:{port}/"
        mark = {splits.MIRRORED: "true"}
        assert (await running.client.get(url, headers=mark)).text == "canary"
        assert (await running.client.get(url)).text == "stable"
        await asyncio.sleep(0.1)
        assert (canary.requests, stable.requests) == (1, 1)
        outside = await running.client.get("/", headers={"host": HOST, **mark})
        assert outside.text == "stable"
        assert splits.MIRRORED not in stable.head.lower()


def saying(users: splits.Users, user: str) -> dict[str, str]:
    """The headers by which a user says who they are."""
    return {"cookie": f"a=b; user={user}; c=d"} if users.cookie else {"x-user": user}


async def where(running: Running, users: splits.Users) -> dict[str, str]:
    """The revision that each user gets, who asks three times."""
    found = {}
    for user in USERS:
        sent = {"host": HOST, **saying(users, user)}
        answers = {(await running.client.get("/", headers=sent)).text for _ in range(3)}
        (found[user],) = answers
    return found


@pytest.mark.parametrize("users", [splits.Users(header="x-user"), splits.Users(cookie="user")])
async def test_a_user_stays_and_a_weight_that_grows_moves_nobody_back(
    running: Running, users: splits.Users
) -> None:
    canaries = []
    async with Server("stable") as stable, Server("canary") as canary:
        for weight in (10, 50):
            described = running.describe((canary, weight), (stable, 100 - weight))
            await running.gateway.apply(asked(described, None, users))
            found = await where(running, users)
            canaries.append({user for user, revision in found.items() if revision == "canary"})
            deviation = (weight / 100 * (1 - weight / 100) * len(USERS)) ** 0.5
            assert abs(len(canaries[-1]) - len(USERS) * weight / 100) < 4 * deviation
            nobody = Counter([(await running.get()).text for _ in range(300)])
            assert abs(nobody["canary"] - 3 * weight) < 4 * (3 * weight * (1 - weight / 100)) ** 0.5
    for fewer, more in itertools.pairwise(canaries):
        assert fewer < more


@pytest.mark.parametrize("users", [splits.Users(header="x-user"), splits.Users(cookie="user")])
async def test_transformer_and_predictor_assign_a_user_alike(
    running: Running, users: splits.Users
) -> None:
    """What the gateway tells a transformer is all that this has to pass on."""
    port = free_port()
    async with Server("stable") as stable, Server("canary") as canary:
        described = running.describe((canary, 50), (stable, 50), entrance=port)
        await running.gateway.apply(asked(described, None, users))
        for user in USERS[:60]:
            sent = {"host": HOST, **saying(users, user)}
            outside = (await running.client.get("/", headers=sent)).text
            answering = canary if outside == "canary" else stable
            assert f"{splits.USER}: {user}\r\n" in answering.head.lower()
            inside = await running.client.get(
                f"http://127.0.0.1:{port}/", headers={splits.USER: user}
            )
            assert inside.text == outside
            await running.client.get("/", headers={**sent, splits.USER: "somebody else"})
        assert all("somebody" not in each.head for each in (stable, canary))
        await running.client.get("/", headers={"host": HOST, splits.USER: "somebody else"})
        assert all("somebody" not in each.head for each in (stable, canary))


async def test_grpc_is_mirrored_to_the_port_beside(running: Running) -> None:
    async with Server("stable") as stable, Server("canary") as canary, Server("grpc") as beside:
        described = mirroring(running, stable, canary, 100)
        second = tuple(
            dataclasses.replace(
                each, revision=f"{each.revision}{upstreams.GRPC}", endpoints=(beside.port,)
            )
            for each in described.backends
        )
        (host,) = described.hosts
        split = dataclasses.replace(host.split, grpc=True)
        described = dataclasses.replace(
            described,
            hosts=(dataclasses.replace(host, split=split),),
            backends=(*described.backends, *second),
        )
        await running.gateway.apply(described)
        headers = {"host": HOST, "content-type": "application/grpc"}
        await running.client.post("/inference.GRPCInferenceService/ModelInfer", headers=headers)

        async def both() -> bool:
            return beside.requests == 2

        await until(both)
        assert (stable.requests, canary.requests) == (0, 0)

"""A real Envoy that takes every change of weights over without losing a request."""

from __future__ import annotations

import asyncio
import dataclasses
from collections import Counter
from pathlib import Path

import httpx
import pytest

from calumma import errors
from calumma.cluster.node import gateway as gateway_room
from calumma.cluster.node import owners, routing, traffic
from calumma.cluster.node import settings as settings_room
from calumma.cluster.programs import envoy, upstreams
from support.gateway import Running, Server, free_port


async def test_routes_by_host_and_names_the_revision(running: Running) -> None:
    async with Server("rev-1") as one:
        await running.gateway.apply(running.describe((one, 100)))
        answer = await running.get("digits.default.localhost:8080")
        assert (answer.status_code, answer.text) == (200, "rev-1")
        assert answer.headers["x-calumma-predictor-revision"] == "rev-1"
        assert "host: digits-predictor.default.svc.cluster.local" in one.head.lower()
        assert "kserve-isvc-name: digits" in one.head.lower()
        unknown = await running.get("nobody.default.localhost")
        assert unknown.status_code == 404
        assert "no InferenceService" in unknown.text


async def test_an_entrance_has_the_same_split(running: Running) -> None:
    port = free_port()
    async with Server("rev-1") as one, Server("rev-2") as two:
        await running.gateway.apply(running.describe((one, 0), (two, 100), entrance=port))
        async with httpx.AsyncClient() as client:
            answer = await client.get(f"http://127.0.0.1:{port}/v2/health/ready")
        assert answer.text == "rev-2"


async def test_entrances_come_and_go_and_take_no_more_of_the_kernel(running: Running) -> None:
    """Envoy ends when the user's inotify instances do: as many services need no more of them."""

    async def ask(port: int) -> str:
        async with httpx.AsyncClient() as client:
            return (await client.get(f"http://127.0.0.1:{port}/")).text

    def watches() -> int:
        links = Path(f"/proc/{running.pid}/fd").iterdir()
        return sum(link.readlink().name == "anon_inode:inotify" for link in links)

    async with Server("rev-1") as one, Server("rev-2") as two:
        first, second = (
            running.describe((server, 100), entrance=free_port()) for server in (one, two)
        )
        both = dataclasses.replace(
            first,
            entrances=first.entrances
            + tuple(dataclasses.replace(each, name="default/two") for each in second.entrances),
            backends=first.backends + second.backends,
        )
        await running.gateway.apply(first)
        before = watches()
        await running.gateway.apply(both)
        assert watches() == before
        assert [await ask(each.port) for each in both.entrances] == ["rev-1", "rev-2"]
        await running.gateway.apply(dataclasses.replace(both, entrances=()))
        await running.gateway.apply(second)
        assert await ask(second.entrances[0].port) == "rev-2"
        assert watches() == before


async def test_weights_change_under_load_without_a_lost_request(running: Running) -> None:
    seen: Counter[str] = Counter()
    done = asyncio.Event()
    answered = asyncio.Semaphore(0)

    async def load() -> None:
        while not done.is_set():
            answer = await running.get()
            seen[answer.text if answer.status_code == 200 else str(answer.status_code)] += 1
            answered.release()

    async def further(count: int) -> None:
        nonlocal answered
        answered = asyncio.Semaphore(0)
        for _ in range(count):
            await answered.acquire()

    async with Server("rev-1", 0.002) as one, Server("rev-2", 0.002) as two:
        await running.gateway.apply(running.describe((one, 100)))
        tasks = [asyncio.create_task(load()) for _ in range(8)]
        for weight in (10, 50, 90, 0, 100, 10):
            await running.gateway.apply(running.describe((one, 100 - weight), (two, weight)))
            await further(80)
        await running.gateway.apply(running.describe((two, 100)))
        before = one.requests
        await further(80)
        done.set()
        await asyncio.gather(*tasks)
        assert one.requests == before
    assert set(seen) == {"rev-1", "rev-2"}


async def test_active_requests_tell_when_a_backend_is_drained(running: Running) -> None:
    async with Server("rev-1", 0.5) as one:
        gateway = running.describe((one, 100))
        await running.gateway.apply(gateway)
        request = asyncio.create_task(running.get())
        await asyncio.sleep(0.2)
        name = gateway.backends[0].name
        assert await running.gateway.active_requests(name) == 1
        assert (await request).status_code == 200
        assert await running.gateway.active_requests(name) == 0
        assert await running.gateway.active_requests("no/such/back/end") == 0


async def test_a_draining_pod_finishes_what_it_has_and_gets_nothing_new(running: Running) -> None:
    async with Server("stays") as one, Server("leaves", 0.5) as two:
        described = running.describe((two, 100))
        (backend,) = described.backends
        await running.gateway.apply(described)
        under_way = asyncio.create_task(running.get())
        await two.asked.wait()
        changed = dataclasses.replace(backend, endpoints=(one.port,), draining=(two.port,))
        await running.gateway.apply(dataclasses.replace(described, backends=(changed,)))
        assert {(await running.get()).text for _ in range(20)} == {"stays"}
        assert gateway_room.connections(two.port) == 1
        assert (await under_way).text == "leaves"
        await two.left.wait()
        assert gateway_room.connections(two.port) == 0
        alone = dataclasses.replace(backend, endpoints=(), draining=(two.port,))
        await running.gateway.apply(dataclasses.replace(described, backends=(alone,)))
        assert (await running.get()).status_code == 503
        assert two.requests == 1


async def test_grpc_inference_goes_to_the_port_beside_the_first_one(running: Running) -> None:
    async with Server("rev-1") as one, Server("grpc") as two:
        described = running.describe((one, 100))
        (backend,) = described.backends
        (host,) = described.hosts
        beside = dataclasses.replace(
            backend, revision=f"{backend.revision}{upstreams.GRPC}", endpoints=(two.port,)
        )
        split = dataclasses.replace(host.split, grpc=True)
        await running.gateway.apply(
            dataclasses.replace(
                described,
                hosts=(dataclasses.replace(host, split=split),),
                backends=(backend, beside),
            )
        )
        headers = {"host": host.domains[0], "content-type": "application/grpc+proto"}
        path = "/inference.GRPCInferenceService/ModelInfer"
        answer = await running.client.post(path, headers=headers)
        assert answer.text == "grpc"
        assert answer.headers["x-calumma-predictor-revision"] == "rev-1"
        assert (await running.get()).text == "rev-1"


async def test_h2c_on_the_same_port(running: Running) -> None:
    async with Server("rev-1") as one:
        await running.gateway.apply(running.describe((one, 100)))
        process = await asyncio.create_subprocess_exec(
            "curl",
            "--silent",
            "--http2-prior-knowledge",
            "--header",
            "Host: digits.default.localhost",
            "--write-out",
            " %{http_version}",
            f"http://127.0.0.1:{running.port}/",
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await process.communicate()
    assert output.decode() == "rev-1 2"


async def test_metrics_have_a_port_and_the_admin_interface_has_none(running: Running) -> None:
    async with Server("rev-1") as one, httpx.AsyncClient() as client:
        await running.gateway.apply(running.describe((one, 100)))
        await running.get()
        base = f"http://127.0.0.1:{running.statistics}"
        metrics = (await client.get(f"{base}/stats/prometheus")).text
        assert 'envoy_cluster_name="default/digits/predictor/rev-1"' in metrics
        assert (await client.get(f"{base}/quitquitquit")).status_code == 404
        assert (await client.get(f"{base}/stats/../quitquitquit")).status_code == 404


async def test_two_owners_of_one_name_do_not_take_the_others_routes_away(
    running: Running,
) -> None:
    """Envoy refuses a whole configuration in which a domain stands twice."""
    ports = settings_room.Settings(
        0, running.port, running.statistics, 0, None, "now", address="127.0.0.1"
    )
    control = traffic.Traffic(ports, running.gateway, running.directory / "targets.json")
    async with Server("rev-1") as one, Server("rev-2") as two, Server("rev-3") as other:
        for kind, server, name in (
            ("InferenceService", one, "digits"),
            ("InferenceGraph", two, "digits"),
            ("InferenceService", other, "other"),
        ):
            whole = running.describe((server, 100))
            host = envoy.Host(
                f"{name}.default", (f"{name}.default.localhost",), whole.hosts[0].split
            )
            part = routing.Part((host,), (), whole.backends)
            await control.apply(owners.Owner(kind, "default", name), part, {})
        assert (await running.get("digits.default.localhost")).text in ("rev-1", "rev-2")
        assert (await running.get("other.default.localhost")).text == "rev-3"


async def test_without_envoy_a_change_is_reported_as_not_taken_over(tmp_path: Path) -> None:
    running = Running(tmp_path)
    with pytest.raises(errors.GatewayNotReady, match="calumma logs envoy"):
        await running.gateway.apply(running.describe())
    await running.gateway.close()
    await running.client.aclose()

"""What a receiver of CloudEvents gets, and what clients do not notice of it."""

from __future__ import annotations

import asyncio
import io
import json
import uuid
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest

from support.sidecar import Component, Receiver, Sidecar, flags, started

PREDICT = "/v1/models/iris:predict"
BODY = b'{"instances": [1, 2]}'


async def test_both_events_of_an_exchange(logging_all: Sidecar, receiver: Receiver) -> None:
    began = datetime.now(UTC)
    headers = {
        "content-type": "application/json",
        "X-Request-Id": "r-1",
        "x-other": "not asked for",
        "tenant": "a",
    }
    async with logging_all.client.post(PREDICT, data=BODY, headers=headers) as answer:
        assert answer.status == 200
        answered = await answer.read()
    assert json.loads(answered) == {"predictions": [2, 4]}
    request, response = await receiver.of(2)
    assert (request.body, response.body) == (BODY, answered)
    for event, kind in ((request, "request"), (response, "response")):
        attributes = dict(event.headers)
        times = [attributes.pop(name) for name in ("ce-time", "ce-recordedtime")]
        happened, recorded = (datetime.fromisoformat(text) for text in times)
        assert began - timedelta(seconds=1) <= happened <= recorded <= datetime.now(UTC)
        assert all(text.endswith("Z") for text in times)
        assert uuid.UUID(attributes.pop("ce-id")) == uuid.UUID(request.headers["ce-id"])
        assert json.loads(attributes.pop("ce-metadata")) == {
            "X-Request-Id": ["r-1"],
            "Tenant": ["a"],
        }
        assert json.loads(attributes.pop("ce-annotations")) == {"team": "blue", "note": "a, b"}
        for transport in ("host", "content-length"):
            attributes.pop(transport)
        assert attributes == {
            ":path": "/events",
            "content-type": "application/json",
            "ce-specversion": "1.0",
            "ce-type": f"org.kubeflow.serving.inference.{kind}",
            "ce-source": "iris-predictor-00001-pod",
            "ce-inferenceservicename": "iris",
            "ce-namespace": "default",
            "ce-component": "predictor",
            "ce-endpoint": "",
        }


async def test_the_id_of_the_client_is_kept(logging_all: Sidecar, receiver: Receiver) -> None:
    async with logging_all.client.post(PREDICT, data=BODY, headers={"Ce-Id": "mine"}):
        pass
    assert [event.headers["ce-id"] for event in await receiver.of(2)] == ["mine", "mine"]


async def test_mirrored_requests_are_answered_and_not_logged(
    logging_all: Sidecar, receiver: Receiver
) -> None:
    for name in ("x-calumma-mirrored", "X-Other"):
        async with logging_all.client.post(PREDICT, data=BODY, headers={name: "true"}) as answer:
            assert (answer.status, await answer.json()) == (200, {"predictions": [2, 4]})
    await logging_all.end()
    assert len(receiver.events) == 2


@pytest.mark.parametrize("mode", ["request", "response"])
async def test_a_mode_of_one_kind(mode: str, receiver: Receiver, component: Component) -> None:
    async with started(*flags(receiver, component, mode)) as sidecar:
        for _ in range(3):
            async with sidecar.client.post(PREDICT, data=BODY) as answer:
                assert answer.status == 200
        await sidecar.end()
    types = {event.headers["ce-type"].rpartition(".")[2] for event in receiver.events}
    assert (types, len(receiver.events)) == ({mode}, 3)


async def test_only_success_is_logged(
    logging_all: Sidecar, receiver: Receiver, component: Component
) -> None:
    for status in (201, 404, 500):
        component.status = status
        async with logging_all.client.post(PREDICT, data=BODY) as answer:
            assert answer.status == status
    await logging_all.end()
    types = [event.headers["ce-type"].rpartition(".")[2] for event in receiver.events]
    assert types == ["request"] * 3


async def test_a_full_queue_drops_and_delays_nobody(
    logging_all: Sidecar, receiver: Receiver, component: Component
) -> None:
    receiver.open.clear()
    async with asyncio.timeout(30):
        for _ in range(80):
            async with logging_all.client.post(PREDICT, data=BODY) as answer:
                assert answer.status == 200
    assert receiver.most_under_way == 5
    receiver.open.set()
    await logging_all.end()
    assert len(receiver.events) == 105
    assert logging_all.log.count("are dropped: 100 events of ") == 1
    assert "55 events were dropped" in logging_all.log


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/", "http://nobody.invalid/", "nonsense"])
async def test_a_receiver_that_is_not_there(
    url: str, receiver: Receiver, component: Component
) -> None:
    receiver.url = url
    async with started(*flags(receiver, component, "all")) as sidecar:
        for _ in range(5):
            async with sidecar.client.post(PREDICT, data=BODY) as answer:
                assert answer.status == 200
        assert await sidecar.end() == 0
        assert sidecar.log.count(f"events for {url} are dropped: ") == 1
        assert "10 events were dropped" in sidecar.log


async def test_a_receiver_that_comes_back(logging_all: Sidecar, receiver: Receiver) -> None:
    for receiver.status in (503, 200):
        count = len(receiver.events)
        async with logging_all.client.post(PREDICT, data=BODY):
            pass
        await receiver.of(count + 2)
    await logging_all.end()
    assert logging_all.log.count("are dropped: it answered 503") == 1
    assert "arrive again; 2 were dropped" in logging_all.log


async def test_a_big_body_arrives_whole(logging_all: Sidecar, receiver: Receiver) -> None:
    body = bytes(range(256)) * (128 << 10)
    async with logging_all.client.post("/echo", data=io.BytesIO(body)) as answer:
        assert await answer.read() == body
    assert [event.body for event in await receiver.of(2)] == [body, body]


async def test_a_stream_flows_while_it_is_kept(
    logging_all: Sidecar, receiver: Receiver, component: Component
) -> None:
    component.running.clear()
    async with logging_all.client.get("/stream") as answer:
        assert await answer.content.readuntil(b"\n\n") == b"data: 1\n\n"
        component.running.set()
        assert await answer.content.read() == b"data: 2\n\n"
    response = (await receiver.of(2))[1]
    assert response.body == b"data: 1\n\ndata: 2\n\n"


async def test_what_a_client_left_is_not_logged_as_answered(
    logging_all: Sidecar, receiver: Receiver, component: Component
) -> None:
    asking = asyncio.create_task(logging_all.client.get("/wait").__aenter__())
    async with asyncio.timeout(20):
        await component.waiting.wait()
        asking.cancel()
        await component.left.wait()
    await logging_all.end()
    assert [event.headers["ce-type"][-7:] for event in receiver.events] == ["request"]


async def test_a_response_that_breaks_off_breaks_off_and_is_not_logged(
    logging_all: Sidecar, receiver: Receiver
) -> None:
    with pytest.raises(aiohttp.ClientPayloadError):
        async with logging_all.client.get("/break") as answer:
            assert answer.status == 200
            await answer.read()
    await logging_all.end()
    assert [event.headers["ce-type"][-7:] for event in receiver.events] == ["request"]
    assert "the component broke off its response" in logging_all.log
    assert "Traceback" not in logging_all.log


async def test_probes_are_not_logged(logging_all: Sidecar, receiver: Receiver) -> None:
    headers = {"user-agent": "kube-probe/1.36", "k-network-probe": "queue"}
    async with logging_all.client.get("/", headers=headers) as answer:
        assert (answer.status, await answer.text()) == (200, "queue")
    await logging_all.end()
    assert receiver.events == []


async def test_large_events_fill_the_queue_earlier(
    logging_all: Sidecar, receiver: Receiver
) -> None:
    receiver.open.clear()
    for _ in range(8):
        async with logging_all.client.post("/echo", data=io.BytesIO(bytes(32 << 20))) as answer:
            assert len(await answer.read()) == 32 << 20
    receiver.open.set()
    await logging_all.end()
    assert len(receiver.events) == 9
    assert "4 events of 134217728 bytes wait for it" in logging_all.log


async def test_a_host_that_the_cluster_does_not_have(
    receiver: Receiver, component: Component
) -> None:
    gateway, receiver.status, receiver.unknown = receiver.url.split("/")[2], 404, True
    receiver.url = "http://nobody.default.svc"
    words = (*flags(receiver, component, "request"), "--gateway", gateway)
    async with started(*words) as sidecar:
        async with sidecar.client.post(PREDICT, data=BODY) as answer:
            assert answer.status == 200
        await sidecar.end()
        assert "are dropped: the cluster has no host nobody.default.svc" in sidecar.log


async def test_hosts_of_the_cluster_are_asked_at_its_gateway(
    receiver: Receiver, component: Component
) -> None:
    gateway = receiver.url.split("/")[2]
    receiver.url = "http://message-dumper.team.svc.cluster.local/inbox?a=b"
    words = (*flags(receiver, component, "request"), "--gateway", gateway)
    async with started(*words) as sidecar, sidecar.client.post(PREDICT, data=BODY):
        event = (await receiver.of(1))[0]
    assert event.headers["host"] == "message-dumper.team.svc.cluster.local"
    assert event.headers[":path"] == "/inbox"

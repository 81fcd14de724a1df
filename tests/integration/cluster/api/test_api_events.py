"""Events as the node records them in a real API server, and as kubectl shows them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import httpx
import pytest

from calumma.cluster.kserve import controller
from calumma.cluster.node import client as node_client
from calumma.cluster.node import events
from calumma.cluster.objects import Object
from support.api_server import ApiServer
from support.simulation import digits

TRAP = "CanaryPromotedByUpdate"


@pytest.fixture
def isvc(client: httpx.Client, services: str, namespace: str) -> Object:
    body = digits()
    body["metadata"] = {"name": "digits", "namespace": namespace}
    answer = client.post(services, json=body)
    assert answer.status_code == 201, answer.text
    stored: Object = answer.json()
    return stored


def record(server: ApiServer, about: Object, told: Sequence[controller.Event]) -> list[Object]:
    """Record events one after the other; the stored ones by their reasons."""

    async def run() -> list[Object]:
        async with node_client.Client(server.home.node_kubeconfig) as api:
            for second, event in enumerate(told):
                await events.record(api, about, event, f"2026-01-01T00:00:{second:02d}Z")
            listing = await api.list(node_client.EVENT)
        own = about["metadata"]["uid"]
        found = [each for each in listing.items if each["involvedObject"]["uid"] == own]
        return sorted(found, key=lambda each: str(each["reason"]))

    return asyncio.run(run())


def test_an_event_of_a_generation_is_counted_once_for_it(server: ApiServer, isvc: Object) -> None:
    first, second = (controller.Event("Warning", TRAP, "all of it", each) for each in (1, 2))
    (event,) = record(server, isvc, [first, first, first, second, second])
    assert event["count"] == 2
    assert event["firstTimestamp"] == "2026-01-01T00:00:00Z"
    assert event["lastTimestamp"] == "2026-01-01T00:00:03Z"


def test_other_events_count_every_time(server: ApiServer, isvc: Object) -> None:
    again = controller.Event("Warning", "InternalError", "no")
    other = controller.Event("Warning", "InternalError", "never")
    found = record(server, isvc, [again, other, again, again])
    assert sorted(each["count"] for each in found) == [1, 3]


def test_kubectl_describe_shows_them(
    server: ApiServer, isvc: Object, kubectl: Callable[..., str]
) -> None:
    record(server, isvc, [controller.Event("Warning", TRAP, "v2 gets all of it", 1)])
    described = kubectl("describe", "isvc", "digits")
    line = next(line for line in described.splitlines() if TRAP in line)
    assert line.split()[0] == "Warning"
    assert "v2 gets all of it" in line

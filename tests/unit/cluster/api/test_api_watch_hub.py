"""The hub: what a watch says, when it ends, and what it does with history that is gone."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from calumma.cluster.api import watch
from calumma.cluster.api.store import Store
from calumma.cluster.api.watch import Event, Hub, Question
from calumma.cluster.objects import Object


def everything(_: Any) -> bool:
    return True


def question(after: int = 0, **facts: Any) -> Question:
    return Question("k/", facts.pop("matches", everything), after, **facts)


async def write(store: Store, name: str, deleted: bool = False, **fields: object) -> Object:
    key = f"k/{name}"
    return await store.write(key, store.get(key), {"metadata": {"name": name}, **fields}, deleted)


async def taken(hub: Hub, asked: Question, count: int) -> list[Event]:
    found = []
    events = hub.events(asked)
    async for event in events:
        found.append(event)
        if len(found) == count:
            break
    await events.aclose()  # type: ignore[attr-defined]
    return found


def kinds(events: list[Event]) -> list[tuple[str, str]]:
    return [(event.kind, event.value["metadata"].get("name", "")) for event in events]


async def test_history_that_is_gone_is_an_error_event(store: Store) -> None:
    hub = Hub(store)
    await write(store, "a")
    await write(store, "a", x=1)
    await store.compact(time.time() + 1)
    (event,) = [found async for found in hub.events(question(after=1))]
    assert event.kind == "ERROR"
    assert (event.value["code"], event.value["reason"]) == (410, "Expired")
    assert event.value["message"] == "too old resource version: 1 (2)"


async def test_a_watch_from_the_future_waits_for_it(store: Store) -> None:
    hub = Hub(store)
    await write(store, "a")
    watching = asyncio.create_task(taken(hub, question(after=2), 1))
    await asyncio.sleep(0.01)
    await write(store, "b")
    await write(store, "c")
    assert kinds(await watching) == [("ADDED", "c")]


async def test_nothing_is_sent_twice_when_a_write_arrives_during_the_replay(store: Store) -> None:
    hub = Hub(store)
    await write(store, "a")
    watching = asyncio.create_task(taken(hub, question(after=1), 3))
    for name in "bcd":
        await write(store, name)
    assert kinds(await watching) == [("ADDED", "b"), ("ADDED", "c"), ("ADDED", "d")]


async def test_a_watch_that_does_not_keep_up_ends(store: Store) -> None:
    hub = Hub(store)
    events = hub.events(question())
    await write(store, "a")
    assert (await anext(events)).kind == "ADDED"
    for number in range(watch.QUEUE + 1):
        await write(store, "a", x=number)
    assert [event async for event in events] == []


async def test_closing_ends_every_watch(store: Store) -> None:
    hub = Hub(store)
    watching = [asyncio.create_task(taken(hub, question(), 9)) for _ in range(3)]
    await asyncio.sleep(0.01)
    hub.close()
    assert await asyncio.wait_for(asyncio.gather(*watching), 1) == [[], [], []]
    assert [event async for event in hub.events(question())] == []


async def test_a_watch_ends_in_time(store: Store) -> None:
    before = time.monotonic()
    assert [event async for event in Hub(store).events(question(seconds=0.1))] == []
    assert time.monotonic() - before < 2


async def test_a_selection_sees_objects_come_and_go(store: Store) -> None:
    hub = Hub(store)

    def red(obj: Any) -> bool:
        return bool(obj.get("colour") == "red")

    watching = asyncio.create_task(taken(hub, question(matches=red), 5))
    await asyncio.sleep(0.01)
    await write(store, "a", colour="green")
    await write(store, "a", colour="red")
    await write(store, "a", colour="red", x=1)
    left = await write(store, "a", colour="blue")
    await write(store, "b", colour="red")
    await write(store, "b", deleted=True, colour="red")
    await write(store, "c", colour="green")
    events = await watching
    assert kinds(events) == [
        ("ADDED", "a"),
        ("MODIFIED", "a"),
        ("DELETED", "a"),
        ("ADDED", "b"),
        ("DELETED", "b"),
    ]
    assert events[2].value["colour"] == "red"
    assert events[2].value["metadata"]["resourceVersion"] == left["metadata"]["resourceVersion"]

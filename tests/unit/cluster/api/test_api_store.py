"""The log store: revisions, stale writes, history, compaction, migration."""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calumma import errors
from calumma.cluster.api import database
from calumma.cluster.api.store import Change, Compacted, Record, Stale, Store
from calumma.cluster.objects import Object


def thing(name: str, **fields: object) -> Object:
    return {"metadata": {"name": name}, **fields}


async def written(store: Store, key: str, value: Object, deleted: bool = False) -> Object:
    return await store.write(key, store.get(key), value, deleted)


async def test_a_write_has_the_revision_that_is_read(store: Store) -> None:
    first = await written(store, "k/a", thing("a", x=1))
    assert first["metadata"]["resourceVersion"] == "1"
    assert store.get("k/a") == Record(1, first)
    second = await written(store, "k/a", first | {"x": 2})
    assert second["metadata"]["resourceVersion"] == "2"
    assert store.get("k/a").value == second
    assert store.revision == 2


async def test_a_stale_write_is_refused(store: Store) -> None:
    absent = store.get("k/a")
    await store.write("k/a", absent, thing("a"))
    with pytest.raises(Stale):
        await store.write("k/a", absent, thing("a", x=2))
    before = store.get("k/a")
    await store.write("k/a", before, thing("a", x=3))
    with pytest.raises(Stale):
        await store.write("k/a", before, thing("a", x=4))
    assert store.get("k/a").value == thing("a", x=3) | {
        "metadata": {"name": "a", "resourceVersion": "2"}
    }


async def test_of_many_writers_of_one_state_one_wins(store: Store) -> None:
    absent = store.get("k/a")
    tries = (store.write("k/a", absent, thing("a", x=n)) for n in range(20))
    results = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(isinstance(result, Stale) for result in results) == 19
    assert store.revision == 1


async def test_what_was_deleted_can_be_created_again(store: Store) -> None:
    first = await written(store, "k/a", thing("a"))
    await written(store, "k/a", first, deleted=True)
    assert store.get("k/a") == Record(2, None)
    assert store.page("k/").items == []
    await written(store, "k/a", thing("a", again=True))
    assert store.get("k/a").revision == 3


async def test_pages_show_one_revision(store: Store) -> None:
    for name in "abcde":
        await written(store, f"k/{name}", thing(name))
    await written(store, "other/x", thing("x"))
    first = store.page("k/", limit=2)
    assert [item["metadata"]["name"] for item in first.items] == ["a", "b"]
    assert (first.revision, first.next_key, first.remaining) == (6, "k/c", 3)
    await written(store, "k/bb", thing("bb"))
    await written(store, "k/d", thing("d"), deleted=True)
    rest = store.page("k/", first.revision, first.next_key)
    assert [item["metadata"]["name"] for item in rest.items] == ["c", "d", "e"]
    assert [item["metadata"]["name"] for item in store.page("k/").items] == [
        "a",
        "b",
        "bb",
        "c",
        "e",
    ]


async def test_listeners_hear_of_every_write_in_order(store: Store) -> None:
    heard: list[Change] = []
    store.listen(heard.append)
    first = await written(store, "k/a", thing("a"))
    second = await written(store, "k/a", thing("a", x=1))
    third = await written(store, "k/a", second, deleted=True)
    assert [(change.revision, change.kind) for change in heard] == [
        (1, "ADDED"),
        (2, "MODIFIED"),
        (3, "DELETED"),
    ]
    assert heard[1].previous == first
    assert heard[2].value == third
    assert store.changes("k/", 0) == heard
    assert store.changes("k/", 2) == heard[2:]
    assert store.changes("other/", 0) == []


async def test_compaction_forgets_what_was_superseded(store: Store) -> None:
    for x in range(10):
        await written(store, "k/a", thing("a", x=x))
    gone = await written(store, "k/b", thing("b"))
    await written(store, "k/b", gone, deleted=True)
    assert await store.compact(time.time() - 60) == 0
    assert await store.compact(time.time() + 1) == 11
    assert store.page("k/").items == [store.get("k/a").value]
    assert store.compacted == 12
    with pytest.raises(Compacted):
        store.changes("k/", 11)
    with pytest.raises(Compacted):
        store.page("k/", revision=11)
    assert store.changes("k/", 12) == []
    again = await written(store, "k/b", thing("b"))
    assert again["metadata"]["resourceVersion"] == "13"


async def test_an_opened_store_goes_on_where_it_stopped(tmp_path: Path) -> None:
    path = tmp_path / "objects.db"
    first = Store(path)
    await written(first, "k/a", thing("a"))
    await written(first, "k/a", thing("a"), deleted=True)
    await first.compact(time.time() + 1)
    first.close()
    second = Store(path)
    try:
        assert (second.revision, second.compacted) == (2, 2)
        stored = await written(second, "k/a", thing("a"))
        assert stored["metadata"]["resourceVersion"] == "3"
    finally:
        second.close()


async def test_the_file_stays_small_under_many_writes(store: Store, tmp_path: Path) -> None:
    for _ in range(5):
        for x in range(100):
            await written(store, "k/a", thing("a", x=x, filler="x" * 2000))
        await store.compact(time.time() + 1)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 5_000_000
    file = sqlite3.connect(tmp_path / "objects.db")
    assert file.execute("SELECT COUNT(*) FROM log").fetchone() == (1,)
    file.close()


async def test_objects_are_found_by_what_they_mention_and_by_age(store: Store) -> None:
    await written(store, "k/a", thing("a", owner="uid-1"))
    await written(store, "k/b", thing("b", owner="uid-2"))
    assert [found["metadata"]["name"] for found in store.mentioning('"uid-2"')] == ["b"]
    assert store.idle_since("k/", time.time() - 60) == []
    assert len(store.idle_since("k/", time.time() + 60)) == 2


def test_one_file_has_one_store(store: Store, tmp_path: Path) -> None:
    with pytest.raises(errors.StoreError, match="in use by another API server"):
        Store(tmp_path / "objects.db")


def test_a_file_of_the_future_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "objects.db"
    file = sqlite3.connect(path)
    file.execute(f"PRAGMA user_version = {len(database.MIGRATIONS) + 1}")
    file.close()
    with pytest.raises(errors.StoreError, match="written by a newer Calumma"):
        Store(path)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "objects.db"
    path.write_bytes(b"nothing" * 1000)
    with pytest.raises(errors.StoreError, match="cannot be used"):
        Store(path)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=25),
    st.integers(0, 25),
)
def test_changes_replay_to_the_list(steps: list[tuple[str, bool]], since: int) -> None:
    async def run(folder: str) -> None:
        opened = Store(Path(folder) / "objects.db")
        try:
            for number, (name, deleted) in enumerate(steps):
                record = opened.get(f"k/{name}")
                if record.value is not None or not deleted:
                    value = record.value if deleted and record.value else thing(name, n=number)
                    await opened.write(f"k/{name}", record, value, deleted)
            at = min(since, opened.revision)
            state = {item["metadata"]["name"]: item for item in opened.page("k/", at or 1).items}
            if at == 0:
                state = {}
            for change in opened.changes("k/", at):
                name = change.value["metadata"]["name"]
                if change.kind == "DELETED":
                    del state[name]
                else:
                    assert (name in state) == (change.kind == "MODIFIED")
                    state[name] = change.value
            assert list(dict(sorted(state.items())).values()) == opened.page("k/").items
        finally:
            opened.close()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(folder))

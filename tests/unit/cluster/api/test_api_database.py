"""The file under the log: torn, broken, full, old, and no larger than it must be.

What SQLite promises with a write-ahead log and ``synchronous=FULL``: a commit that was acknowledged
is on disk. A test cannot cut the power, so it damages a copy of the files as they lie on disk: the
commits in front of the damage are there, exactly, and nothing behind it.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calumma import errors
from calumma.cluster.api import store as log
from calumma.cluster.api.store import Compacted, Store
from calumma.cluster.objects import Object

KEYS = 7


def thing(number: int, filler: str = "") -> Object:
    return {"metadata": {"name": f"n{number % KEYS}"}, "number": number, "filler": filler}


async def append(store: Store, number: int, filler: str = "") -> Object:
    key = f"k/n{number % KEYS}"
    return await store.write(key, store.get(key), thing(number, filler))


def names(path: Path) -> tuple[Path, Path]:
    return path, path.with_name(f"{path.name}-wal")


class Image(NamedTuple):
    """What lies on the disk of a machine that lost its power."""

    path: Path
    checkpointed: int
    """Writes that had been moved from the log into the database."""
    ends: list[int]
    """How long the log was after each later write."""

    def copied(self, folder: Path) -> Path:
        """A copy to be damaged."""
        folder.mkdir(exist_ok=True)
        for path in names(self.path):
            shutil.copy(path, folder / path.name)
        return folder / self.path.name


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """The files of a store in the middle of its work."""
    source, target = tmp_path_factory.mktemp("live"), tmp_path_factory.mktemp("image")
    path = source / "objects.db"
    ends: list[int] = []

    async def work() -> None:
        store = Store(path)
        for number in range(20):
            await append(store, number, "x" * 100 * number)
        with sqlite3.connect(path) as other:
            assert other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
        other.close()
        for number in range(20, 60):
            await append(store, number, "x" * 100 * (number % 17))
            ends.append(names(path)[1].stat().st_size)
        for file in names(path):
            shutil.copy(file, target / file.name)
        store.close()

    asyncio.run(work())
    return Image(target / path.name, 20, ends)


def check(path: Path, writes: int) -> None:
    """The store holds exactly the first writes, and goes on from there."""
    store = Store(path)
    try:
        assert store.revision == writes
        expected = {f"n{number % KEYS}": number for number in range(writes)}
        page = store.page("k/")
        assert {item["metadata"]["name"]: item["number"] for item in page.items} == expected
        told = [change.value["number"] for change in store.changes("k/", 0)]
        assert told == list(range(writes))
        written = asyncio.run(append(store, writes))
        assert written["metadata"]["resourceVersion"] == str(writes + 1)
    finally:
        store.close()


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.data())
def test_a_torn_log_keeps_what_lies_in_front_of_the_tear(
    image: Image, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = image.copied(tmp_path_factory.mktemp("torn"))
    journal = names(path)[1]
    content = bytearray(journal.read_bytes())
    at = data.draw(st.one_of(st.integers(0, len(content)), st.sampled_from(image.ends)), "at")
    match data.draw(st.sampled_from(["cut", "flipped", "zeroed", "noise"]), "damage"):
        case "cut":
            del content[at:]
        case "flipped" if at < len(content):
            content[at] ^= data.draw(st.integers(1, 255))
        case "zeroed":
            content[at:] = bytes(len(content) - at)
        case "noise":
            content[at:] = data.draw(st.binary(min_size=8, max_size=64)) * 200
    journal.write_bytes(content)
    # Damage that happens to change nothing, as zeros over zeros, is none.
    original = names(image.path)[1].read_bytes()
    pairs = enumerate(zip(content, original, strict=False))
    first = next((n for n, (one, other) in pairs if one != other), min(len(content), len(original)))
    check(path, image.checkpointed + sum(end <= first for end in image.ends))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.floats(0, 1), st.booleans(), st.integers(1, 255), st.integers(1, 3000))
def test_a_broken_database_is_refused_or_read_and_never_fails_otherwise(
    image: Image,
    tmp_path_factory: pytest.TempPathFactory,
    where: float,
    cut: bool,
    change: int,
    length: int,
) -> None:
    path = image.copied(tmp_path_factory.mktemp("broken"))
    names(path)[1].unlink()
    content = bytearray(path.read_bytes())
    at = int(where * (len(content) - 1))
    if cut:
        del content[at:]
    else:
        content[at : at + length] = bytes(byte ^ change for byte in content[at : at + length])
    path.write_bytes(content)
    try:
        store = Store(path)
    except errors.StoreError as refusal:
        told = str(refusal)
        assert told.startswith(f"The database {path} ")
        assert "move it and its -wal file away" in told or "Upgrade Calumma" in told
        return
    try:
        for number in range(KEYS):
            store.get(f"k/n{number}")
        store.page("k/")
        store.changes("k/", store.compacted)
    except errors.StoreError as refusal:
        assert "database" in str(refusal)
    finally:
        store.close()


async def test_history_has_a_bound_in_bytes_whatever_is_written(
    store: Store, tmp_path: Path
) -> None:
    """Half as much again as the bound, in objects of a megabyte, and no sweep."""
    filler, largest = "x" * (1 << 20), 0
    for number in range(3 * log.LARGEST_HISTORY // 2 // len(filler)):
        await append(store, number, filler)
        largest = max(largest, sum(path.stat().st_size for path in tmp_path.iterdir()))
    assert largest < 1.2 * log.LARGEST_HISTORY
    assert [item["number"] % KEYS for item in store.page("k/").items] == list(range(KEYS))
    with pytest.raises(Compacted):
        store.changes("k/", 1)


async def test_compaction_gives_room_back(store: Store, tmp_path: Path) -> None:
    for number in range(2000):
        await append(store, number, "x" * 5000)
    before = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert await store.compact(time.time() + 1) == 2000 - KEYS
    await append(store, 2000)
    with sqlite3.connect(tmp_path / "objects.db") as other:
        assert other.execute("PRAGMA freelist_count").fetchone()[0] < 20
        other.execute("PRAGMA wal_checkpoint").fetchone()
    other.close()
    after = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert before > 10e6
    assert after < (9 << 20)


async def test_a_page_is_whole_or_gone_while_history_is_forgotten(store: Store) -> None:
    for number in range(300):
        await append(store, number)
    for _ in range(20):
        at = store.revision
        expected = store.page("k/", at).items
        for number in range(300, 320):
            await append(store, number)
        forgetting = asyncio.create_task(store.compact(time.time() + 1))
        while not forgetting.done():
            try:
                assert store.page("k/", at).items == expected
                assert len(store.changes("k/", at)) == store.revision - at
            except Compacted:
                break
            await asyncio.sleep(0)
        await forgetting
        assert len(store.page("k/").items) == KEYS


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of eight megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"this user may not mount a small disk: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


async def test_a_full_disk_refuses_writes_and_keeps_reading(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(3 << 20))
    store = Store(small_disk / "objects.db")
    try:
        number = 0
        with pytest.raises(errors.StoreFull, match="is full: nothing was written"):
            while True:
                await append(store, number, "x" * 50_000)
                number += 1
        assert number > 20
        with pytest.raises(errors.StoreFull):
            await append(store, number, "x" * 50_000)
        assert [change.value["number"] for change in store.changes("k/", 0)] == list(range(number))
        assert len(store.page("k/").items) == KEYS
        ballast.unlink()
        await append(store, number, "x" * 50_000)
        assert await store.compact(time.time() + 1) == number + 1 - KEYS
    finally:
        store.close()
    again = Store(small_disk / "objects.db")
    assert (again.revision, len(again.page("k/").items)) == (number + 1, KEYS)
    again.close()


VERSION_1 = """
    CREATE TABLE log (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        key TEXT NOT NULL,
        previous INTEGER NOT NULL,  -- the row that this one succeeds; 0 where there was none
        deleted INTEGER NOT NULL,   -- whether this row ends the object
        written REAL NOT NULL,      -- seconds since 1970
        value BLOB NOT NULL         -- the object in JSON, without its resourceVersion
    ) STRICT;
    CREATE UNIQUE INDEX log_key_previous ON log (key, previous);
    CREATE TABLE compaction (id INTEGER NOT NULL) STRICT;
    INSERT INTO compaction VALUES (0);
    PRAGMA user_version = 1;
"""
"""The schema of the first Calumma, frozen: whatever comes after reads its files."""


def test_a_database_of_the_first_version_is_read(tmp_path: Path) -> None:
    path = tmp_path / "objects.db"
    with sqlite3.connect(path) as old:
        old.executescript(VERSION_1)
        for number in range(20):
            previous = number - KEYS + 1 if number >= KEYS else 0
            row = (f"k/n{number % KEYS}", previous, 0, 1e9, json.dumps(thing(number)).encode())
            query = (
                "INSERT INTO log (key, previous, deleted, written, value) VALUES (?, ?, ?, ?, ?)"
            )
            old.execute(query, row)
    old.close()
    check(path, 20)


def test_a_migration_that_is_cut_short_begins_anew(tmp_path: Path) -> None:
    """What a process leaves that dies between the steps of a migration."""
    path = tmp_path / "objects.db"
    dying = sqlite3.connect(path, isolation_level=None)
    dying.execute("PRAGMA journal_mode = WAL")
    dying.execute("BEGIN IMMEDIATE")
    dying.execute("CREATE TABLE log (id INTEGER PRIMARY KEY) STRICT")
    dying.execute("PRAGMA user_version = 1")
    for file in names(path):
        shutil.copy(file, tmp_path / f"left-{file.name}")
    dying.close()
    check(tmp_path / "left-objects.db", 0)

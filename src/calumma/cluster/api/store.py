"""The log of every object: one row a write, and the row's id is the ``resourceVersion``.

The room exists so that an acknowledged write survives anything, ``kill -9`` included, and so that a
watch can go on where it stopped. It guarantees:

- the database itself refuses a stale write: ``UNIQUE (key, previous)`` lets a row be succeeded
  only once;
- a write is on disk before its row id is returned (write-ahead log, ``synchronous=FULL``), and
  listeners hear of writes in the order of their ids;
- writes happen in one thread of their own, so that the event loop never waits for a disk;
- compaction bounds the file: what was superseded longer ago than is asked for, or more than
  :data:`LARGEST_HISTORY` ago, is forgotten, its room given back, and asking for it says so.

:mod:`.database` is the file. The log is kine's (k3s-io/kine, ``pkg/logstructured``):
deletions are rows too, which keep the last state of the object. :mod:`.watch` listens,
:mod:`.reading` and :mod:`.writing` ask.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from calumma import errors
from calumma.cluster.api import database
from calumma.cluster.objects import Object

_CURRENT: Final = """
    FROM log WHERE key >= :start AND key < :end AND id <= :revision AND deleted = 0
    AND NOT EXISTS (SELECT 1 FROM log AS later WHERE later.key = log.key
                    AND later.previous = log.id AND later.id <= :revision)
"""
_APPEND: Final = """
    INSERT INTO log (key, previous, deleted, written, value)
    SELECT :key, :previous, :deleted, :written, :value
    WHERE :previous = (SELECT COALESCE(MAX(id), 0) FROM log WHERE key = :key)
"""
_FORGET: Final = """
    DELETE FROM log WHERE id <= :target AND (deleted = 1 OR EXISTS (
        SELECT 1 FROM log AS later
        WHERE later.key = log.key AND later.previous = log.id AND later.id <= :target))
"""
_LAST: Final = "\U0010ffff"
LARGEST_HISTORY: Final = 256 << 20
"""Bytes of objects since the last compaction after which the store compacts by itself."""


class Stale(Exception):
    """A write was made for a state of the object that another write has succeeded."""


class Compacted(Exception):
    """The history that is asked for is gone; ``oldest`` is the oldest revision that is left."""

    def __init__(self, oldest: int) -> None:
        super().__init__(f"the history before revision {oldest} is gone")
        self.oldest = oldest


class Record(NamedTuple):
    """The current state of a key; ``value`` is None where the object was deleted."""

    revision: int
    value: Object | None


class Change(NamedTuple):
    """One write, as a watch tells it."""

    revision: int
    key: str
    kind: Literal["ADDED", "MODIFIED", "DELETED"]
    value: Object
    previous: Object | None
    """The state before a modification."""


class Page(NamedTuple):
    """A part of a list, all of it as of one revision."""

    items: list[Object]
    revision: int
    next_key: str
    """Where the rest begins; empty where there is none."""
    remaining: int


class Store:
    """An open database."""

    def __init__(self, path: Path) -> None:
        """Open a database, made or migrated where need be.

        Raises:
            errors.StoreError: the file cannot be used, or another server uses it.
        """
        self._listeners: list[Callable[[Change], None]] = []
        self._database = database.Database(path)
        with self._database.failures():
            self.revision: int = self._scalar("SELECT COALESCE(MAX(seq), 0) FROM sqlite_sequence")
            self.compacted: int = self._scalar("SELECT id FROM compaction")
            self._history = self._size_after(self.compacted)
        self._thread = ThreadPoolExecutor(1, "store")

    def close(self) -> None:
        """Finish the write in progress and close the file."""
        self._thread.shutdown()
        self._database.close()

    def listen(self, listener: Callable[[Change], None]) -> None:
        """Call the listener, on the event loop, with each write from now on."""
        self._listeners.append(listener)

    def _scalar(self, query: str) -> Any:
        return self._database.reader.execute(query).fetchone()[0]

    def get(self, key: str) -> Record:
        """The current state of a key; revision 0 where it never existed."""
        query = "SELECT id, deleted, value FROM log WHERE key = ? ORDER BY id DESC LIMIT 1"
        with self._database.failures():
            row = self._database.reader.execute(query, (key,)).fetchone()
        if row is None:
            return Record(0, None)
        revision, deleted, value = row
        return Record(revision, None if deleted else _decoded(value, revision))

    def page(self, prefix: str, revision: int = 0, start: str = "", limit: int = 0) -> Page:
        """A list of the objects whose keys begin with ``prefix``, in the order of their keys.

        Args:
            prefix: of the keys.
            revision: the state to show; the newest where it is 0.
            start: the key to begin at, as an earlier page named it.
            limit: the most items of a page; all where it is 0.

        Raises:
            Compacted: that revision is not known any more.
        """
        revision = revision or self.revision
        bounds = {"start": start or prefix, "end": prefix + _LAST, "revision": revision}
        query = f"SELECT key, id, value {_CURRENT} ORDER BY key LIMIT {limit + 1 if limit else -1}"
        with self._database.failures():
            rows = self._database.reader.execute(query, bounds).fetchall()
            rest = rows[limit:] if limit else []
            remaining = 0
            if rest:
                bounds["start"] = rest[0][0]
                count = self._database.reader.execute(f"SELECT COUNT(*) {_CURRENT}", bounds)
                remaining = count.fetchone()[0]
        self._check_kept(revision)
        items = [_decoded(value, at) for _, at, value in rows[: limit or None]]
        return Page(items, revision, rest[0][0] if rest else "", remaining)

    def mentioning(self, text: str) -> list[Object]:
        """The current objects whose JSON contains a text, such as the uid of an owner."""
        bounds = {"start": "", "end": _LAST, "revision": self.revision, "text": text.encode()}
        query = f"SELECT id, value {_CURRENT} AND INSTR(value, :text) > 0 ORDER BY id"
        with self._database.failures():
            rows = self._database.reader.execute(query, bounds).fetchall()
        return [_decoded(value, revision) for revision, value in rows]

    def idle_since(self, prefix: str, moment: float) -> list[Object]:
        """The current objects under a prefix that were last written before a moment."""
        bounds = {
            "start": prefix,
            "end": prefix + _LAST,
            "revision": self.revision,
            "moment": moment,
        }
        query = f"SELECT id, value {_CURRENT} AND written < :moment ORDER BY id"
        with self._database.failures():
            rows = self._database.reader.execute(query, bounds).fetchall()
        return [_decoded(value, revision) for revision, value in rows]

    def changes(self, prefix: str, after: int) -> list[Change]:
        """What was written under a prefix after a revision, up to :attr:`revision`.

        Raises:
            Compacted: not all of that is known any more.
        """
        query = """
            SELECT log.id, log.key, log.deleted, log.value, earlier.deleted, earlier.id,
                   earlier.value
            FROM log LEFT JOIN log AS earlier ON earlier.id = log.previous
            WHERE log.id > ? AND log.id <= ? AND log.key >= ? AND log.key < ? ORDER BY log.id
        """
        with self._database.failures():
            bounds = (after, self.revision, prefix, prefix + _LAST)
            rows = self._database.reader.execute(query, bounds).fetchall()
        self._check_kept(after)
        found = []
        for revision, key, deleted, value, was_deleted, before, earlier in rows:
            previous = _decoded(earlier, before) if was_deleted == 0 else None
            found.append(_change(revision, key, bool(deleted), _decoded(value, revision), previous))
        return found

    def _check_kept(self, revision: int) -> None:
        """Raise where the history since a revision is gone; asked after reading it.

        A compaction says what it forgets before it does, so what was read before is whole.
        """
        if revision < self.compacted:
            raise Compacted(self.compacted)

    async def write(
        self, key: str, current: Record, value: Object, deleted: bool = False
    ) -> Object:
        """Append a row that succeeds ``current``; returns the object with its new revision.

        Raises:
            Stale: another write has succeeded ``current`` meanwhile.
            errors.StoreError: the row could not be written; nothing has changed.
        """
        loop = asyncio.get_running_loop()

        def commit() -> Object:
            revision = self._append(key, current.revision, value, deleted)
            stored = value | {"metadata": value["metadata"] | {"resourceVersion": str(revision)}}
            change = _change(revision, key, deleted, stored, current.value)
            loop.call_soon_threadsafe(self._published, change)
            if self._history > LARGEST_HISTORY:
                with suppress(errors.StoreError):
                    self._forget(time.time())
            return stored

        return await loop.run_in_executor(self._thread, commit)

    def _append(self, key: str, previous: int, value: Object, deleted: bool) -> int:
        """Write one row, in the store's thread; returns its id."""
        content = _encoded(value)
        row = {
            "key": key,
            "previous": previous,
            "deleted": int(deleted),
            "written": time.time(),
            "value": content,
        }
        try:
            with self._database.failures():
                inserted = self._database.writer.execute(_APPEND, row)
        except errors.StoreError as error:
            if database.is_taken(error):
                raise Stale(key) from error
            raise
        if not inserted.rowcount:
            raise Stale(key)
        self._history += len(content)
        return inserted.lastrowid or 0

    def _published(self, change: Change) -> None:
        """Tell the listeners, on the event loop."""
        self.revision = change.revision
        for listener in self._listeners:
            listener(change)

    async def compact(self, moment: float) -> int:
        """Forget what was superseded before a moment; returns how many rows that were."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._forget, moment)

    def _forget(self, moment: float) -> int:
        """Compact, in the store's thread, no further than what listeners have heard of."""
        with self._database.failures():
            query = "SELECT COALESCE(MAX(id), 0) FROM log WHERE written < ? AND id <= ?"
            row = self._database.writer.execute(query, (moment, self.revision)).fetchone()
            before, target = self.compacted, row[0]
            if target <= before:
                return 0
            self.compacted = target
            try:
                with self._database.transaction():
                    self._database.writer.execute("UPDATE compaction SET id = ?", (target,))
                    gone = self._database.writer.execute(_FORGET, {"target": target})
            except Exception:
                self.compacted = before
                raise
            self._history = self._size_after(target)
            self._database.give_back()
            return gone.rowcount

    def _size_after(self, revision: int) -> int:
        """The bytes of the objects that were written after a revision."""
        query = "SELECT COALESCE(SUM(LENGTH(value)), 0) FROM log WHERE id > ?"
        size: int = self._database.writer.execute(query, (revision,)).fetchone()[0]
        return size


def _encoded(value: Object) -> bytes:
    """An object as it lies in the log."""
    meta = {key: item for key, item in value["metadata"].items() if key != "resourceVersion"}
    text = json.dumps(value | {"metadata": meta}, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "replace")


def _decoded(value: bytes, revision: int) -> Object:
    """An object from the log, with the revision that it has there."""
    try:
        decoded: Object = json.loads(value)
        decoded["metadata"]["resourceVersion"] = str(revision)
    except (ValueError, KeyError, TypeError) as error:
        raise errors.StoreError(
            f"Row {revision} of the database holds no object any more: {error}. {database.ADVICE}"
        ) from error
    return decoded


def _change(
    revision: int, key: str, deleted: bool, value: Object, previous: Object | None
) -> Change:
    """A write as a watch tells it."""
    if deleted:
        return Change(revision, key, "DELETED", value, previous)
    return Change(revision, key, "MODIFIED" if previous else "ADDED", value, previous)

"""The log of every object: one row a write, and the row's id is the ``resourceVersion``.

The room exists so that an acknowledged write survives anything, ``kill -9`` included, and so that a
watch can go on where it stopped. It guarantees:

- the database itself refuses a stale write: ``UNIQUE (key, previous)`` lets a row be succeeded
  only once;
- a write is on disk before its row id is returned (write-ahead log, ``synchronous=FULL``), and
  listeners hear of writes in the order of their ids;
- writes happen in one thread of their own, so that the event loop never waits for a disk;
- compaction bounds the file: what was superseded longer ago than that is forgotten, and asking for
  it says so.

This is the only room that uses SQLite. The log is kine's (k3s-io/kine, ``pkg/logstructured``):
deletions are rows too, which keep the last state of the object. :mod:`.watch` listens,
:mod:`.reading` and :mod:`.writing` ask.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from calumma import errors
from calumma.cluster.objects import Object

MIGRATIONS: Final = (
    """
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
    """,
)
"""What brings a file from one schema version, its ``user_version``, to the next."""

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
        self._path = path
        self._listeners: list[Callable[[Change], None]] = []
        with self._failures(), ExitStack() as opened:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = opened.enter_context(path.with_suffix(".lock").open("w"))
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise errors.StoreError(
                    f"The database {path} is in use by another API server. Stop that one first."
                ) from error
            self._writer = self._connect(opened)
            self._migrate()
            self._reader = self._connect(opened)
            self.revision: int = self._scalar("SELECT COALESCE(MAX(seq), 0) FROM sqlite_sequence")
            self.compacted: int = self._scalar("SELECT id FROM compaction")
            self._opened = opened.pop_all()
        self._thread = ThreadPoolExecutor(1, "store")

    def _connect(self, opened: ExitStack) -> sqlite3.Connection:
        """A connection, which is closed with what else is open."""
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        opened.callback(connection.close)
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA cache_size = -1024")
        return connection

    def _migrate(self) -> None:
        """Bring the file to the newest schema version."""
        (version,) = self._writer.execute("PRAGMA user_version").fetchone()
        if version > len(MIGRATIONS):
            raise errors.StoreError(
                f"The database {self._path} has schema version {version}, written by a newer "
                f"Calumma; this one knows versions up to {len(MIGRATIONS)}. Upgrade Calumma."
            )
        for number, migration in enumerate(MIGRATIONS[version:], version + 1):
            steps = f"BEGIN IMMEDIATE; {migration}; PRAGMA user_version = {number}; COMMIT;"
            self._writer.executescript(steps)

    @contextmanager
    def _failures(self) -> Iterator[None]:
        """Turn what SQLite and the file system say into sentences."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            code = getattr(error, "sqlite_errorname", "")
            if code.startswith("SQLITE_FULL"):
                raise errors.StoreFull(
                    f"The disk that holds the database {self._path} is full: nothing was written. "
                    "Make room and try again."
                ) from error
            raise errors.StoreError(
                f"The database {self._path} cannot be used: {error}."
            ) from error

    def close(self) -> None:
        """Finish the write in progress and close the file."""
        self._thread.shutdown()
        self._opened.close()

    def listen(self, listener: Callable[[Change], None]) -> None:
        """Call the listener, on the event loop, with each write from now on."""
        self._listeners.append(listener)

    def _scalar(self, query: str) -> Any:
        return self._reader.execute(query).fetchone()[0]

    def get(self, key: str) -> Record:
        """The current state of a key; revision 0 where it never existed."""
        query = "SELECT id, deleted, value FROM log WHERE key = ? ORDER BY id DESC LIMIT 1"
        with self._failures():
            row = self._reader.execute(query, (key,)).fetchone()
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
        if revision < self.compacted:
            raise Compacted(self.compacted)
        bounds = {"start": start or prefix, "end": prefix + _LAST, "revision": revision}
        query = f"SELECT key, id, value {_CURRENT} ORDER BY key LIMIT {limit + 1 if limit else -1}"
        with self._failures():
            rows = self._reader.execute(query, bounds).fetchall()
            rest = rows[limit:] if limit else []
            remaining = 0
            if rest:
                bounds["start"] = rest[0][0]
                count = self._reader.execute(f"SELECT COUNT(*) {_CURRENT}", bounds)
                remaining = count.fetchone()[0]
        items = [_decoded(value, at) for _, at, value in rows[: limit or None]]
        return Page(items, revision, rest[0][0] if rest else "", remaining)

    def mentioning(self, text: str) -> list[Object]:
        """The current objects whose JSON contains a text, such as the uid of an owner."""
        bounds = {"start": "", "end": _LAST, "revision": self.revision, "text": text.encode()}
        query = f"SELECT id, value {_CURRENT} AND INSTR(value, :text) > 0 ORDER BY id"
        with self._failures():
            rows = self._reader.execute(query, bounds).fetchall()
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
        with self._failures():
            rows = self._reader.execute(query, bounds).fetchall()
        return [_decoded(value, revision) for revision, value in rows]

    def changes(self, prefix: str, after: int) -> list[Change]:
        """What was written under a prefix after a revision, up to :attr:`revision`.

        Raises:
            Compacted: not all of that is known any more.
        """
        if after < self.compacted:
            raise Compacted(self.compacted)
        query = """
            SELECT log.id, log.key, log.deleted, log.value, earlier.deleted, earlier.id,
                   earlier.value
            FROM log LEFT JOIN log AS earlier ON earlier.id = log.previous
            WHERE log.id > ? AND log.id <= ? AND log.key >= ? AND log.key < ? ORDER BY log.id
        """
        with self._failures():
            bounds = (after, self.revision, prefix, prefix + _LAST)
            rows = self._reader.execute(query, bounds).fetchall()
        found = []
        for revision, key, deleted, value, was_deleted, before, earlier in rows:
            previous = _decoded(earlier, before) if was_deleted == 0 else None
            found.append(_change(revision, key, bool(deleted), _decoded(value, revision), previous))
        return found

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
            return stored

        return await loop.run_in_executor(self._thread, commit)

    def _append(self, key: str, previous: int, value: Object, deleted: bool) -> int:
        """Write one row, in the store's thread; returns its id."""
        row = {
            "key": key,
            "previous": previous,
            "deleted": int(deleted),
            "written": time.time(),
            "value": _encoded(value),
        }
        try:
            with self._failures():
                inserted = self._writer.execute(_APPEND, row)
        except errors.StoreError as error:
            if isinstance(error.__cause__, sqlite3.IntegrityError):
                raise Stale(key) from error
            raise
        if not inserted.rowcount:
            raise Stale(key)
        return inserted.lastrowid or 0

    def _published(self, change: Change) -> None:
        """Tell the listeners, on the event loop."""
        self.revision = change.revision
        for listener in self._listeners:
            listener(change)

    async def compact(self, moment: float) -> int:
        """Forget what was superseded before a moment; returns how many rows that were."""
        loop = asyncio.get_running_loop()

        def forget() -> tuple[int, int]:
            with self._failures():
                query = "SELECT COALESCE(MAX(id), 0) FROM log WHERE written < ?"
                (target,) = self._writer.execute(query, (moment,)).fetchone()
                if target <= self.compacted:
                    return self.compacted, 0
                self._writer.execute("BEGIN IMMEDIATE")
                try:
                    self._writer.execute("UPDATE compaction SET id = ?", (target,))
                    removed = self._writer.execute(_FORGET, {"target": target}).rowcount
                    self._writer.execute("COMMIT")
                except sqlite3.Error:
                    self._writer.execute("ROLLBACK")
                    raise
                self._writer.execute("PRAGMA incremental_vacuum")
                return target, removed

        self.compacted, removed = await loop.run_in_executor(self._thread, forget)
        return removed


def _encoded(value: Object) -> bytes:
    """An object as it lies in the log."""
    meta = {key: item for key, item in value["metadata"].items() if key != "resourceVersion"}
    text = json.dumps(value | {"metadata": meta}, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "replace")


def _decoded(value: bytes, revision: int) -> Object:
    """An object from the log, with the revision that it has there."""
    decoded: Object = json.loads(value)
    decoded["metadata"]["resourceVersion"] = str(revision)
    return decoded


def _change(
    revision: int, key: str, deleted: bool, value: Object, previous: Object | None
) -> Change:
    """A write as a watch tells it."""
    if deleted:
        return Change(revision, key, "DELETED", value, previous)
    return Change(revision, key, "MODIFIED" if previous else "ADDED", value, previous)

"""The file under the log: opened by one server at a time, whole, durable, of the newest schema.

The only room that uses SQLite; :mod:`.store` says what is read and written. It guarantees:

- a file that another server uses, that is broken or that a newer Calumma wrote is refused with a
  sentence, before anything is read from it or written;
- a file of an older schema is migrated, each step whole or not at all;
- a committed write is on disk (write-ahead log, ``synchronous=FULL``): when the machine or the
  process dies, what was committed before is there and what was not is gone. Of a log whose end is
  torn, SQLite's checksums keep the commits before the tear;
- the write-ahead log is cut back on disk after it has grown.

Source: SQLite's *Write-Ahead Logging*, *PRAGMA* and *Result and Error Codes*.
"""

from __future__ import annotations

import fcntl
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from calumma import errors

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
"""What brings a file from one schema version, its ``user_version``, to the next.

What stands here is never edited: files of that version exist. A new version is appended.
"""
ADVICE: Final = (
    "Put a copy of it back, or move it and its -wal file away: the cluster then starts empty, and "
    "what was applied has to be applied again."
)
"""What a person can do about a broken file."""

_LARGEST_JOURNAL: Final = 8 << 20
"""Bytes that the write-ahead log keeps on disk once all of it is in the database."""


class Database:
    """An open file, with one connection that writes and one that reads."""

    def __init__(self, path: Path) -> None:
        """Open a file, made or migrated where need be.

        Raises:
            errors.StoreError: the file cannot be used, or another server uses it.
        """
        self._path = path
        with self.failures(), ExitStack() as opened:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = opened.enter_context(path.with_suffix(".lock").open("w"))
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise errors.StoreError(
                    f"The database {path} is in use by another API server. Stop that one first."
                ) from error
            self.writer = self._connect(opened)
            self._check()
            self._migrate()
            self.reader = self._connect(opened)
            self._opened = opened.pop_all()

    def close(self) -> None:
        """Close the file."""
        self._opened.close()

    def _connect(self, opened: ExitStack) -> sqlite3.Connection:
        """A connection, which is closed with what else is open."""
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        opened.callback(connection.close)
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA journal_size_limit = {_LARGEST_JOURNAL}")
        connection.execute("PRAGMA cache_size = -1024")
        return connection

    def _check(self) -> None:
        """Refuse a file whose structure is broken."""
        ((found,),) = self.writer.execute("PRAGMA quick_check(1)").fetchall()
        if found != "ok":
            raise sqlite3.DatabaseError(f"it is malformed ({' '.join(found.split())})")

    def _migrate(self) -> None:
        """Bring the file to the newest schema version."""
        (version,) = self.writer.execute("PRAGMA user_version").fetchone()
        if version > len(MIGRATIONS):
            raise errors.StoreError(
                f"The database {self._path} has schema version {version}, written by a newer "
                f"Calumma; this one knows versions up to {len(MIGRATIONS)}. Upgrade Calumma."
            )
        for number, migration in enumerate(MIGRATIONS[version:], version + 1):
            steps = f"BEGIN IMMEDIATE; {migration}; PRAGMA user_version = {number}; COMMIT;"
            self.writer.executescript(steps)

    @contextmanager
    def failures(self) -> Iterator[None]:
        """Turn what SQLite and the file system say into sentences.

        Raises:
            errors.StoreFull: the disk has no room.
            errors.StoreError: anything else.
        """
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            code = getattr(error, "sqlite_errorname", "")
            if code.startswith("SQLITE_FULL"):
                raise errors.StoreFull(
                    f"The disk that holds the database {self._path} is full: nothing was written. "
                    "Make room and try again."
                ) from error
            broken = type(error) is sqlite3.DatabaseError
            raise errors.StoreError(
                f"The database {self._path} cannot be used: {error}.{f' {ADVICE}' * broken}"
            ) from error

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Write all of it or nothing."""
        self.writer.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.writer.execute("COMMIT")
        except BaseException:
            # After some errors SQLite has rolled back already.
            if self.writer.in_transaction:
                self.writer.execute("ROLLBACK")
            raise

    def give_back(self) -> None:
        """Return the pages that hold nothing any more to the file system.

        ``execute`` would take one step of this statement, which frees one page.
        """
        self.writer.executescript("PRAGMA incremental_vacuum")


def is_taken(error: errors.StoreError) -> bool:
    """Whether the database refused a write because a unique key has a row already."""
    return isinstance(error.__cause__, sqlite3.IntegrityError)

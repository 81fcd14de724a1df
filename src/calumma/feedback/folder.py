"""A folder of feedback: lines that are only ever added, in files that are only ever begun.

``predictions-000001.jsonl`` and so on hold one prediction a line, ``labels-000001.jsonl`` and so on
one label, ``images/ab/ab12...`` the images by their SHA-256. One program writes at a time. A file
that is large enough is followed by another, and so is one whose last line a crash has torn: nothing
is ever written into what is there, and a torn last line is no record. Labels are somebody's work
and on disk when they are acknowledged; predictions are at most :data:`PAUSE` seconds behind.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self, TypeVar

import pydantic

from calumma import errors
from calumma.feedback import records

LARGEST = 64 << 20
"""Bytes after which a file is followed by the next one."""
PAUSE = 1.0
"""Seconds that predictions may wait to be on disk."""

_FILE = re.compile(r"(predictions|labels)-(\d{6})\.jsonl")
_FLAGS = os.O_CLOEXEC | os.O_NOFOLLOW

Line = TypeVar("Line", bound=records.Record)


@dataclass(frozen=True)
class Contents:
    """All records of a folder, in the order in which they were written.

    ``torn`` is the number of last lines that a crash left unfinished.
    """

    predictions: tuple[records.Prediction, ...]
    labels: tuple[records.Label, ...]
    torn: int


def read(path: Path | str) -> Contents:
    """Everything in a folder; another program may be adding to it.

    Raises :class:`~calumma.errors.FeedbackError` for a folder that is not there, and for a line
    that is no record.
    """
    return Reader(path).read()


class Reader:
    """Reads a folder again and again; a line that was read is not read again."""

    def __init__(self, path: Path | str) -> None:
        self._folder = Path(path)
        self._predictions: list[records.Prediction] = []
        self._labels: list[records.Label] = []
        self._read: dict[Path, tuple[int, int]] = {}

    def read(self) -> Contents:
        """Everything in the folder now; raises as :func:`read` does."""
        if not self._folder.is_dir():
            raise errors.FeedbackError(
                f"the feedback folder {self._folder} is not there; `python -m calumma.feedback "
                f"--folder {self._folder}` makes it and writes what KServe's logger sends"
            )
        torn = self._add("predictions", records.Prediction, self._predictions)
        torn += self._add("labels", records.Label, self._labels)
        return Contents(tuple(self._predictions), tuple(self._labels), torn)

    def _add(self, kind: str, model: type[Line], into: list[Line]) -> int:
        """Take what is new in the files of a kind; how many of them end in a torn line."""
        torn = 0
        for each in _files(self._folder, kind):
            size, lines = self._read.get(each, (0, 0))
            with _opened(each) as file:
                file.seek(size)
                *whole, rest = file.read().split(b"\n")
            into += list(_records(whole, model, each, lines))
            self._read[each] = size + sum(len(line) + 1 for line in whole), lines + len(whole)
            torn += bool(rest)
        return torn


def image(path: Path | str, digest: str) -> bytes:
    """An image of the folder by its SHA-256.

    Raises :class:`~calumma.errors.FeedbackError` when it is not there or another one.
    """
    place = _place(Path(path), digest)
    with _opened(place) as file:
        content = file.read()
    if hashlib.sha256(content).hexdigest() != digest:
        raise errors.FeedbackError(f"the image {place} is damaged: its SHA-256 is not its name")
    return content


class Writer:
    """The one program that adds to a folder; use it as a context manager.

    Raises :class:`~calumma.errors.FeedbackError` when another one does already, and OSError when
    something cannot be written; what comes after that goes into another file.
    """

    def __init__(self, path: Path | str, largest: int = LARGEST) -> None:
        self.path = Path(path)
        self._largest = largest
        self._files: dict[str, IO[bytes]] = {}

    def __enter__(self) -> Self:
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = os.open(self.path / ".lock", os.O_RDWR | os.O_CREAT | _FLAGS, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._lock)
            raise errors.FeedbackError(
                f"another program writes into the feedback folder {self.path}; one at a time can"
            ) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self.sync()
        finally:
            for file in self._files.values():
                file.close()
            os.close(self._lock)

    def predictions(self, found: list[records.Prediction]) -> None:
        """Add predictions; they are safe after the next :meth:`sync`."""
        self._append("predictions", found)

    def label(self, found: records.Label) -> None:
        """Add a label; it is on disk when this returns."""
        self._append("labels", [found])
        os.fsync(self._files["labels"].fileno())

    def image(self, content: bytes) -> str:
        """Keep an image once; the SHA-256 by which it is found."""
        digest = hashlib.sha256(content).hexdigest()
        place = _place(self.path, digest)
        if not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            partial = place.with_suffix(".partial")
            partial.write_bytes(content)
            partial.replace(place)
        return digest

    def sync(self) -> None:
        """Put everything that was added on disk."""
        for file in self._files.values():
            os.fsync(file.fileno())

    def _append(self, kind: str, found: Sequence[records.Record]) -> None:
        lines = b"".join(
            each.model_dump_json(exclude_defaults=True).encode() + b"\n" for each in found
        )
        file = self._files.get(kind)
        if file is None or file.tell() >= self._largest:
            if file is not None:
                os.fsync(file.fileno())
                file.close()
            file = self._files[kind] = self._open(kind)
        try:
            _write(file.fileno(), lines)
            file.seek(0, os.SEEK_END)
        except OSError:  # half of a line may be there: nothing may follow it
            self._files.pop(kind).close()
            raise

    def _open(self, kind: str) -> IO[bytes]:
        """The last file, if it is small and whole, else the next one."""
        number = 0
        for each in _files(self.path, kind):
            number = int(each.stem.rpartition("-")[2])
            with _opened(each) as last:
                size = last.seek(0, os.SEEK_END)
                whole = not size or os.pread(last.fileno(), 1, size - 1) == b"\n"
        if number == 0 or size >= self._largest or not whole:
            number += 1
        place = self.path / f"{kind}-{number:06d}.jsonl"
        return _opened(place, os.O_WRONLY | os.O_CREAT | os.O_APPEND)


def _write(descriptor: int, content: bytes) -> None:
    while content:
        content = content[os.write(descriptor, content) :]


def _opened(path: Path, flags: int = os.O_RDONLY) -> IO[bytes]:
    """A file of the folder without a buffer; raises FeedbackError, for a link as well."""
    try:
        descriptor = os.open(path, flags | _FLAGS, 0o600)
    except OSError as error:
        raise errors.FeedbackError(f"{path} cannot be used: {error.strerror}") from error
    return os.fdopen(descriptor, "rb" if flags == os.O_RDONLY else "ab", buffering=0)


def _files(folder: Path, kind: str) -> Iterator[Path]:
    for each in sorted(folder.iterdir()):
        match = _FILE.fullmatch(each.name)
        if match and match[1] == kind:
            yield each


def _records(lines: list[bytes], model: type[Line], path: Path, before: int) -> Iterator[Line]:
    """What the lines say, of which the first is preceded by others of its file."""
    for number, line in enumerate(lines, before + 1):
        try:
            yield model.model_validate_json(line)
        except pydantic.ValidationError as error:
            what = error.errors()[0]
            place = ".".join(map(str, what["loc"])) or "the line"
            raise errors.FeedbackError(
                f"line {number} of {path} is no record: {place}: {what['msg']}"
            ) from error


def _place(folder: Path, digest: str) -> Path:
    if not records.DIGEST.fullmatch(digest):
        raise errors.FeedbackError(f"{digest!r} is no SHA-256, by which images are kept")
    return folder / "images" / digest[:2] / digest

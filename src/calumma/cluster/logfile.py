"""How the output of programs lies on disk, and how it is read while it grows.

One of the cluster's own programs has one log. A container has a folder with a log for each run,
``0.log``, ``1.log``, of which the last two are kept, as the kubelet does; each line has its time in
front, as container runtimes write it. A log that has become :data:`LARGEST` moves aside, ``0.log``
to ``0.log.1`` and so on, and :data:`PIECES` are kept. :class:`Reader` goes through pieces and runs
in order and loses its place in none of that. :mod:`calumma.cluster.node.output` writes; the API
server, the agent and ``calumma logs`` read. Source: Kubernetes' CRI log format, and the kubelet's
``containerLogMaxSize`` and ``containerLogMaxFiles``.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

LARGEST: Final = 10 << 20
"""Bytes after which a log moves aside."""
PIECES: Final = 5
"""How many files of one log are kept, the present one among them."""
RUNS: Final = 2
"""How many runs of a container are kept: the present one and the one before."""
LONGEST_LINE: Final = 16 << 10
"""Bytes after which a line that has not ended is written in parts."""

_BLOCK: Final = 64 << 10
_SLACK: Final = 2 * _BLOCK
_STAMPED: Final = re.compile(
    rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z) stdout ([FP]) (.*)", re.DOTALL
)


class Entry(NamedTuple):
    """A line of a container's log: when it was written (RFC 3339, 30 bytes) and its text.

    The text ends with a newline unless the line goes on in the next entry.
    """

    time: bytes
    text: bytes


def moment(nanoseconds: int) -> bytes:
    """A time as entries begin with it; two of them compare as times do."""
    seconds, rest = divmod(nanoseconds, 10**9)
    return time.strftime(f"%Y-%m-%dT%H:%M:%S.{rest:09d}Z", time.gmtime(seconds)).encode()


def stamped(text: bytes, at: bytes, *, whole: bool = True) -> bytes:
    """A line, or a part of one, as it lies in a container's log."""
    return b"%s stdout %c %s\n" % (at, b"F" if whole else b"P", text)


def entry(line: bytes) -> Entry:
    """What a line of a container's log says; one without a time is its own text."""
    found = _STAMPED.fullmatch(line)
    if found is None:
        return Entry(b"", line)
    text = found[3]
    return Entry(found[1], text if found[2] == b"F" else text.removesuffix(b"\n"))


def runs(folder: Path) -> list[Path]:
    """The logs of a container's runs, oldest first, whether or not their last piece exists."""
    numbers = {path.name.split(".")[0] for path in folder.glob("*.log*")}
    return [folder / f"{number}.log" for number in sorted(map(int, filter(str.isdigit, numbers)))]


def next_run(folder: Path) -> Path:
    """The log of a container's next run; those of runs that are too old are removed."""
    known = runs(folder)
    for old in known[: max(0, len(known) - RUNS + 1)]:
        for piece in pieces(old):
            piece.unlink(missing_ok=True)
    return folder / f"{int(known[-1].stem) + 1 if known else 0}.log"


def pieces(log: Path) -> list[Path]:
    """The files of one log that exist, oldest first."""
    names = [log.with_name(f"{log.name}.{number}") for number in range(PIECES - 1, 0, -1)]
    return [path for path in (*names, log) if path.exists()]


def rotate(log: Path) -> BinaryIO:
    """Begin the next file of a log; the others move aside. Raises OSError, and then none moved."""
    draft = log.with_name(f"{log.name}.next")
    fresh = draft.open("ab", buffering=0)
    for number in range(PIECES - 1, 0, -1):
        older = log.with_name(f"{log.name}.{number}")
        newer = log.with_name(f"{log.name}.{number - 1}") if number > 1 else log
        if newer.exists():
            newer.replace(older)
    draft.replace(log)
    return fresh


def end(log: Path, most: int) -> str:
    """The last so many bytes that a run wrote, as text; empty where there is no log."""
    found: list[bytes] = []
    length = 0
    for piece in reversed(pieces(log)):
        try:
            with piece.open("rb") as file:
                begin = file.seek(max(0, file.seek(0, os.SEEK_END) - most - _SLACK))
                lines = file.readlines()
        except FileNotFoundError:
            continue
        if begin:
            del lines[0]  # only the end of a line
        found = [entry(line).text for line in lines] + found
        length += sum(map(len, lines))
        if length >= most:
            break
    return b"".join(found)[-most:].decode(errors="replace")


class Reader:
    """Reads logs in order: ``files`` says which there are, oldest first, each time it is asked.

    Begins ``last`` lines before the end, or at the beginning when that is None. Raises
    FileNotFoundError when there is no file at all.
    """

    def __init__(self, files: Callable[[], list[Path]], last: int | None = None) -> None:
        self._files = files
        self._file = _open_first(files(), last)

    def close(self) -> None:
        """Close the file that is open."""
        self._file.close()

    def lines(self) -> Iterator[bytes]:
        """The whole lines that are there, to the present end; ask again for what comes later."""
        while True:
            yield from self._rest()
            following = self._following()
            if following is None:
                return
            yield from self._rest()  # what was written between the two looks
            self._file.close()
            self._file = following

    def _rest(self) -> Iterator[bytes]:
        """The whole lines from here to the end of the file."""
        while line := self._file.readline():
            if not line.endswith(b"\n"):
                self._file.seek(-len(line), os.SEEK_CUR)
                return
            yield line

    def _following(self) -> BinaryIO | None:
        """The file after this one, opened, or None where this is the last.

        Files move while this looks: what it opens counts only if nothing moved meanwhile.
        """
        while True:
            before = self._listing()
            places = [place for _, place in before]
            mine = os.fstat(self._file.fileno())
            here = (mine.st_dev, mine.st_ino)
            if here in places:
                after = places.index(here) + 1
            elif mine.st_nlink == 0:
                after = 0
            else:
                return None
            if after >= len(before):
                return None
            try:
                opened = before[after][0].open("rb")
            except FileNotFoundError:
                continue
            if self._listing() == before:
                return opened
            opened.close()

    def _listing(self) -> list[tuple[Path, tuple[int, int]]]:
        """The files with their devices and inodes."""
        found = []
        for path in self._files():
            try:
                about = path.stat()
            except FileNotFoundError:
                continue
            found.append((path, (about.st_dev, about.st_ino)))
        return found


def _open_first(files: list[Path], last: int | None) -> BinaryIO:
    """The file in which reading begins, at the place where it does."""
    if last is None:
        return files[0].open("rb") if files else _nothing()
    for path in reversed(files):
        file = path.open("rb")
        last -= _back(file, last)
        if last <= 0 or path == files[0]:
            return file
        file.close()
    return _nothing()


def _nothing() -> BinaryIO:
    raise FileNotFoundError("there is no log")


def _back(file: BinaryIO, count: int) -> int:
    """Place a file before its last ``count`` lines, or at its beginning; how many lines follow."""
    at = file.seek(0, os.SEEK_END)
    if count == 0 or at == 0:
        return 0
    end, found = at, 0
    while at > 0:
        length = min(_BLOCK, at)
        at -= length
        file.seek(at)
        block = file.read(length)
        limit = length - 1 if at + length == end else length
        while (newline := block.rfind(b"\n", 0, limit)) >= 0:
            found += 1
            if found == count:
                file.seek(at + newline + 1)
                return found
            limit = newline
    file.seek(0)
    return found + 1

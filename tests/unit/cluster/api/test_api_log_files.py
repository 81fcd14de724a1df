"""Where the last lines of a log begin, and the times that programs write."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from calumma.cluster.api import logs
from calumma.cluster.api.logs import Asked


def asked(**facts: object) -> Asked:
    found = {"follow": False, "since": None, "tail": None, "limit": None, "timestamps": False}
    return Asked("main", **(found | facts))  # type: ignore[arg-type]


async def read(path: Path, wanted: Asked) -> bytes:
    return b"".join([part async for part in logs.read(path, wanted, lambda: False)])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.text("ab", max_size=4), max_size=8), st.booleans(), st.integers(0, 9))
async def test_the_last_lines_of_any_file(
    tmp_path: Path, texts: list[str], unfinished: bool, count: int
) -> None:
    lines = [f"{text}\n".encode() for text in texts]
    if unfinished:
        lines.append(b"unfinished")
    path = tmp_path / "log"
    path.write_bytes(b"".join(lines))
    expected = lines[max(len(lines) - count, 0) :]
    assert await read(path, asked(tail=count)) == b"".join(expected)


async def test_long_files_are_read_from_their_end(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"".join(b"line %d %s\n" % (n, b"x" * 1000) for n in range(500)))
    found = await read(path, asked(tail=3))
    assert [line.split()[1] for line in found.splitlines()] == [b"497", b"498", b"499"]


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (b"2026-11-21 10:00:00,250 INFO x", "2026-11-21T10:00:00.250"),
        (b"2026-11-21T10:00:00Z x", "2026-11-21T10:00:00+00:00"),
        (b"[2026-11-21T10:00:00+02:00] x", "2026-11-21T10:00:00+02:00"),
        (b"I1121 10:00:00.5 1 file.cc:1] x", f"{time.localtime().tm_year}-11-21T10:00:00.500"),
    ],
)
def test_times_of_lines(line: bytes, text: str) -> None:
    assert logs.line_time(line) == datetime.fromisoformat(text).timestamp()


@pytest.mark.parametrize("line", [b"", b"hello", b"I9999 10:00:00 x", b"2026-99-99 10:00:00 x"])
def test_lines_without_a_time(line: bytes) -> None:
    assert logs.line_time(line) is None

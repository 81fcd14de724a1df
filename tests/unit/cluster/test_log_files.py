"""Logs on disk: what a line says, where the last lines begin, and reading while files move."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from calumma.cluster import logfile


def reader(log: Path, last: int | None = None) -> logfile.Reader:
    return logfile.Reader(lambda: logfile.pieces(log), last)


def read(log: Path, last: int | None = None) -> list[bytes]:
    opened = reader(log, last)
    try:
        return list(opened.lines())
    finally:
        opened.close()


def append(log: Path, *lines: bytes) -> None:
    with log.open("ab") as file:
        file.writelines(line + b"\n" for line in lines)


@given(st.binary(), st.integers(0, 4 * 10**18), st.booleans())
def test_a_line_says_its_time_and_its_text(text: bytes, at: int, whole: bool) -> None:
    line = logfile.stamped(text, logfile.moment(at), whole=whole)
    assert logfile.entry(line) == (logfile.moment(at), text + b"\n" if whole else text)


@given(st.integers(0, 4 * 10**18), st.integers(0, 4 * 10**18))
def test_times_compare_as_moments_do(one: int, other: int) -> None:
    assert (logfile.moment(one) < logfile.moment(other)) == (one < other)


@pytest.mark.parametrize("line", [b"", b"hello\n", b"2026-11-21T10:00:00Z stdout F x\n"])
def test_a_line_without_a_time_is_its_own_text(line: bytes) -> None:
    assert logfile.entry(line) == (b"", line)


def test_a_time_is_written_as_kubernetes_writes_it() -> None:
    assert logfile.moment(1_700_000_000_000_000_001) == b"2023-11-14T22:13:20.000000001Z"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(st.lists(st.text("ab", max_size=4), max_size=4), min_size=1, max_size=4),
    st.integers(0, 20),
)
def test_the_last_lines_of_any_pieces(tmp_path: Path, texts: list[list[str]], count: int) -> None:
    log = tmp_path / "log"
    lines = []
    for number, piece in enumerate(reversed(texts)):
        path = log if number == 0 else log.with_name(f"log.{number}")
        path.write_text("".join(f"{text}\n" for text in piece))
    lines = [f"{text}\n".encode() for piece in texts for text in piece]
    assert read(log, count) == lines[max(len(lines) - count, 0) :]
    assert read(log) == lines
    for path in tmp_path.iterdir():
        path.unlink()


def test_long_files_are_read_from_their_end(tmp_path: Path) -> None:
    log = tmp_path / "log"
    append(log, *(b"line %d %s" % (number, b"x" * 1000) for number in range(500)))
    assert [line.split()[1] for line in read(log, 3)] == [b"497", b"498", b"499"]


def test_a_line_that_has_not_ended_comes_when_it_has(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"one\ntw")
    opened = reader(log)
    assert list(opened.lines()) == [b"one\n"]
    append(log, b"o")
    assert list(opened.lines()) == [b"two\n"]
    opened.close()


@pytest.mark.parametrize("moves", range(1, logfile.PIECES + 3))
def test_nothing_that_is_kept_is_missed_or_told_twice(tmp_path: Path, moves: int) -> None:
    log = tmp_path / "0.log"
    append(log, b"first")
    opened = reader(log)
    assert list(opened.lines()) == [b"first\n"]
    append(log, b"second")
    for number in range(moves):
        logfile.rotate(log).close()
        append(log, b"%d" % number)
    kept = [b"%d\n" % number for number in range(moves)][-logfile.PIECES :]
    # a file that is open is read to its end even after it was removed
    assert list(opened.lines()) == [b"second\n", *kept]
    assert len(logfile.pieces(log)) == min(moves + 1, logfile.PIECES)
    opened.close()


def test_the_runs_of_a_container_and_which_are_kept(tmp_path: Path) -> None:
    assert logfile.runs(tmp_path / "none") == []
    for number in range(12):
        log = logfile.next_run(tmp_path)
        assert log == tmp_path / f"{number}.log"
        append(log, b"%d" % number)
        logfile.rotate(log).close()
    assert logfile.runs(tmp_path) == [tmp_path / "10.log", tmp_path / "11.log"]
    assert len(list(tmp_path.iterdir())) == 4


def test_the_end_of_a_run_goes_back_over_its_pieces(tmp_path: Path) -> None:
    log = tmp_path / "0.log"
    assert logfile.end(log, 100) == ""
    at = logfile.moment(0)
    log.write_bytes(b"".join(logfile.stamped(b"old %d" % n, at) for n in range(3)))
    logfile.rotate(log).close()
    log.write_bytes(logfile.stamped(b"ne", at, whole=False) + logfile.stamped(b"w", at))
    assert logfile.end(log, 1000) == "old 0\nold 1\nold 2\nnew\n"
    assert logfile.end(log, 4) == "new\n"
    log.write_bytes(b"".join(logfile.stamped(b"%06d" % n, at) for n in range(10_000)))
    assert logfile.end(log, 14) == "009998\n009999\n"

"""The supervisor with real child processes."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from pathlib import Path
from typing import cast

import pytest

from calumma import errors
from calumma.cluster import logfile
from calumma.cluster.node import process, supervision
from calumma.cluster.node.record import Observed, Wanted
from calumma.cluster.node.supervisor import Supervisor

Changes = AsyncGenerator[tuple[str, Observed | None], None]

SLEEP = "import time; time.sleep(60)"


class Bench:
    """A served supervisor and a client of it."""

    client: supervision.Client

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = folder / "supervisor.sock"
        self.supervisor = Supervisor(folder)

    def wanted(self, name: str, code: str, **options: object) -> Wanted:
        return Wanted(
            name=name,
            argv=(sys.executable, "-c", code),
            environment={"PATH": os.environ["PATH"]},
            directory=str(self.folder),
            log=str(self.folder / f"{name}.log"),
            **options,  # type: ignore[arg-type]
        )

    async def put(self, name: str, code: str, **options: object) -> Observed:
        row = await self.client.put(self.wanted(name, code, **options))
        assert row is not None
        return row

    async def row(self, name: str) -> Observed | None:
        rows = await self.client.list()
        return next((row for row in rows if row.wanted.name == name), None)

    async def until(self, name: str, true: Callable[[Observed | None], bool]) -> Observed | None:
        for _ in range(400):
            row = await self.row(name)
            if true(row):
                return row
            await asyncio.sleep(0.01)
        raise AssertionError(f"{name} stays {row}")


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path)
    server = await supervision.serve(bench.supervisor, bench.socket)
    async with supervision.Client(bench.socket) as client:
        bench.client = client
        yield bench
    await bench.supervisor.close()
    server.close()


def alive(pid: int) -> bool:
    """Whether a process runs; one that ended and was not reaped yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


async def until_dead(pid: int) -> None:
    for _ in range(200):
        if not alive(pid):
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"process {pid} lives on")


async def test_runs_a_program_and_keeps_its_log(bench: Bench) -> None:
    row = await bench.put("one", f"print('hello', flush=True); {SLEEP}")
    assert row.state == "running"
    assert row.pid is not None
    for _ in range(200):
        if (bench.folder / "one.log").read_text() == "hello\n":
            break
        await asyncio.sleep(0.01)
    else:
        raise AssertionError("no output")


async def test_each_run_of_a_container_has_a_log_with_times(bench: Bench) -> None:
    began = logfile.moment(time.time_ns())
    code = "import os; print('mine:', os.getpid()); raise SystemExit(3)"
    await bench.put("one", code, runs=True)
    row = await bench.until(
        "one", lambda r: r is not None and r.restarts >= 2 and r.state != "running"
    )
    assert row is not None
    assert row.last is not None
    kept = logfile.runs(bench.folder / "one.log")
    assert [path.name for path in kept] == ["1.log", "2.log"]
    assert row.last.log == str(kept[1])
    entries = [logfile.entry(path.read_bytes()) for path in kept]
    assert began < entries[0].time < entries[1].time < logfile.moment(time.time_ns())
    assert [entry.text.startswith(b"mine: ") for entry in entries] == [True, True]
    assert entries[0].text != entries[1].text


async def test_a_log_moves_aside_and_no_line_is_lost(bench: Bench) -> None:
    lines, size = 3_000, 10_000
    code = f"""
import sys
for number in range({lines}):
    print(number, "x" * {size}, flush=number % 7 == 0)
print("the end", end="")
"""
    await bench.put("one", code, task=True, runs=True)
    row = await bench.until("one", lambda r: r is not None and r.state == "completed")
    assert row is not None
    log = bench.folder / "one.log/0.log"
    pieces = logfile.pieces(log)
    assert [path.name for path in pieces] == ["0.log.2", "0.log.1", "0.log"]
    assert all(path.stat().st_size <= logfile.LARGEST for path in pieces)
    found = b"".join(path.read_bytes() for path in pieces).splitlines(keepends=True)
    texts = [logfile.entry(line).text for line in found]
    assert [int(text.split(b" ")[0]) for text in texts[:-1]] == list(range(lines))
    assert {len(text.split(b" ")[1]) for text in texts[:-1]} == {size + 1}
    assert texts[-1] == b"the end\n"


async def test_a_line_without_end_is_written_in_parts(bench: Bench) -> None:
    length = 5 * logfile.LONGEST_LINE
    code = f"import time; print('x' * {length}, end='', flush=True); {SLEEP}"
    await bench.put("one", code, runs=True)
    log = bench.folder / "one.log/0.log"
    await bench.until("one", lambda _: log.exists() and len(log.read_bytes()) > length)
    entries = [logfile.entry(line) for line in log.read_bytes().splitlines(keepends=True)]
    assert b"".join(entry.text for entry in entries) == b"x" * length


async def test_a_full_disk_costs_output_and_not_the_program(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    (bench.folder / "one.log").symlink_to("/dev/full")
    await bench.put("one", "for _ in range(99): print('x' * 9999, flush=True)", task=True)
    row = await bench.until("one", lambda r: r is not None and r.state == "completed")
    assert row is not None
    assert [each.message for each in caplog.records if each.levelname == "ERROR"] == [
        f"{bench.folder / 'one.log'}: No space left on device; output is lost meanwhile"
    ]


async def test_the_log_of_a_program_of_the_cluster_goes_on_as_it_is(bench: Bench) -> None:
    (bench.folder / "one.log").write_text("before\n")
    await bench.put("one", "print('after')", task=True)
    await bench.until("one", lambda r: r is not None and r.state == "completed")
    assert (bench.folder / "one.log").read_text() == "before\nafter\n"


async def test_the_same_request_again_changes_nothing(bench: Bench) -> None:
    first = await bench.put("one", SLEEP)
    assert await bench.put("one", SLEEP) == first
    other = await bench.put("one", "pass")
    assert other == first


async def test_a_failing_program_is_restarted_with_growing_delays(bench: Bench) -> None:
    await bench.put("one", "raise SystemExit(3)")
    row = await bench.until("one", lambda r: r is not None and r.restarts >= 2)
    assert row is not None
    assert row.last is not None
    assert row.last.code == 3
    waiting = await bench.until("one", lambda r: r is not None and r.state == "waiting")
    assert waiting is not None
    assert waiting.retry_at is not None
    assert waiting.retry_at - time.time() > 0.5


async def test_a_task_ends_with_success_and_is_not_run_again(bench: Bench) -> None:
    await bench.put("one", "pass", task=True)
    row = await bench.until("one", lambda r: r is not None and r.state == "completed")
    assert row is not None
    assert row.restarts == 0
    await bench.client.stop("one")
    assert await bench.row("one") is None


async def test_stop_asks_first_and_kills_after_the_grace_period(bench: Bench) -> None:
    ignore = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    stubborn = f"{ignore}; print(1, flush=True); {SLEEP}"
    row = await bench.put("one", stubborn, grace=0.3)
    await bench.until("one", lambda r: (bench.folder / "one.log").read_text() == "1\n")
    began = time.monotonic()
    await bench.client.stop("one")
    stopping = await bench.row("one")
    assert stopping is not None
    assert stopping.state == "stopping"
    await bench.until("one", lambda r: r is None)
    assert time.monotonic() - began >= 0.3
    assert row.pid is not None
    assert not alive(row.pid)


async def test_grandchildren_end_with_their_program(bench: Bench) -> None:
    code = (
        "import subprocess, sys; "
        f"p = subprocess.Popen([sys.executable, '-c', {SLEEP!r}]); print(p.pid, flush=True)"
    )
    await bench.put("one", code, task=True)
    await bench.until("one", lambda r: r is not None and r.state == "completed")
    await until_dead(int((bench.folder / "one.log").read_text()))


async def test_a_killed_program_comes_back(bench: Bench) -> None:
    row = await bench.put("one", SLEEP)
    assert row.pid is not None
    os.kill(row.pid, signal.SIGKILL)
    again = await bench.until("one", lambda r: r is not None and r.pid not in (None, row.pid))
    assert again is not None
    assert again.last is not None
    assert (again.last.code, again.last.signal) == (137, signal.SIGKILL)


async def test_a_restart_ends_the_run_and_another_follows(bench: Bench) -> None:
    row = await bench.put("one", SLEEP)
    await bench.client.restart("one")
    again = await bench.until("one", lambda r: r is not None and r.pid not in (None, row.pid))
    assert again is not None
    assert (again.state, again.restarts) == ("running", 1)


async def test_a_program_that_does_not_exist_is_a_failure_and_not_a_crash(bench: Bench) -> None:
    missing = Wanted("one", ("/no/such/program",), {}, str(bench.folder), str(bench.folder / "l"))
    await bench.client.put(missing)
    row = await bench.row("one")
    assert row is not None
    assert (row.state, row.last.code if row.last else 0) == ("waiting", 127)


async def test_a_watch_gives_all_rows_a_mark_and_then_changes(bench: Bench) -> None:
    await bench.put("one", SLEEP)
    changes = cast(Changes, supervision.watch(bench.socket))
    name, row = await anext(changes)
    assert (name, row.state if row else None) == ("one", "running")
    assert await anext(changes) == (supervision.SYNCED, None)
    await bench.client.stop("one")
    name, row = await anext(changes)
    assert (name, row.state if row else None) == ("one", "stopping")
    assert await anext(changes) == ("one", None)
    await changes.aclose()


async def test_programs_die_with_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    code = f"""
import asyncio, sys
from pathlib import Path
from typing import cast
from calumma.cluster.node.record import Wanted
from calumma.cluster.node.supervisor import Supervisor
async def main():
    s = Supervisor(Path({str(tmp_path)!r}))
    argv = (sys.executable, "-c", {SLEEP!r})
    row = s.put(Wanted("one", argv, {{}}, "/", {str(tmp_path / "l")!r}))
    print(row.pid, flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    child = int(await parent.stdout.readline())
    assert list(process.leftovers(tmp_path)) == [child]
    parent.kill()
    await parent.wait()
    await until_dead(child)


async def test_without_a_supervisor_the_client_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(errors.NotRunning, match="calumma up"):
        await supervision.Client(tmp_path / "none.sock").__aenter__()


async def test_the_socket_is_only_its_owners(bench: Bench) -> None:
    assert bench.socket.stat().st_mode & 0o777 == 0o600

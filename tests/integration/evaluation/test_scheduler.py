"""The scheduler as a process: runs are processes, and whatever is killed is noticed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from aiohttp import web

from calumma.cluster import layout
from calumma.schedule import metrics, store
from calumma.schedule.definition import Schedule
from calumma.schedule.state import Outcome, Run, State

# What stands in for `calumma evaluate`, named by the document's own `command`: it notes how it was
# called, keeps a notebook cell by cell, starts a kernel in a session of its own, and ends as asked.
EVALUATION = """
import json, os, pathlib, signal, subprocess, sys, time
asked = json.loads(pathlib.Path("asked.json").read_text())
with open("begun", "a") as begun:
    begun.write(os.environ["CALUMMA_SCHEDULED_RUN"] + "\\n")
pathlib.Path("called.json").write_text(json.dumps([sys.argv[1:], dict(os.environ)]))
runs = pathlib.Path(sys.argv[sys.argv.index("--into") + 1])
runs.mkdir(exist_ok=True)
def keep(*_):
    (runs / "notebook.ipynb").write_text("as far as it came, and a note")
    sys.exit(3)
signal.signal(signal.SIGTERM, keep)
(runs / "notebook.ipynb").write_text("as far as it came")
print("evaluating", flush=True)
if asked["hang"]:
    stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    kernel = subprocess.Popen([sys.executable, "-c", stubborn], start_new_session=True)
    pathlib.Path("kernel.pid").write_text(str(kernel.pid))
    while True:
        time.sleep(0.05)
sys.exit(asked["code"])
"""


class Place:
    """A home, a project, and a scheduler."""

    def __init__(self, folder: Path) -> None:
        self.home = layout.Home(folder / "home")
        self.store = store.Store(self.home)
        self.project = folder / "project"
        self.project.mkdir()
        (self.project / "evaluation.py").write_text(EVALUATION)
        self.ask(code=0)
        self._process: asyncio.subprocess.Process | None = None

    def ask(self, *, code: int = 0, hang: bool = False) -> None:
        """How evaluations end from now on."""
        (self.project / "asked.json").write_text(json.dumps({"code": code, "hang": hang}))

    def apply(self, name: str = "yearly", secret: str | None = None, **given: Any) -> None:
        """A schedule that is due once a year, unless something else is given."""
        content = {
            "name": name,
            "schedule": "0 0 1 1 *",
            "suite": "suites/digits.yaml",
            "command": [sys.executable, "evaluation.py"],
            **given,
        }
        schedule = Schedule.model_validate(content, strict=False)
        self.store.apply(store.Applied(schedule=schedule, project=str(self.project)), secret)

    async def start(self) -> None:
        words = ("-m", "calumma.schedule", "--home", str(self.home.path))
        self._process = await asyncio.create_subprocess_exec(sys.executable, *words)

    async def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        assert self._process is not None
        process, self._process = self._process, None
        process.send_signal(number)
        return await process.wait()

    async def close(self) -> None:
        if self._process is not None:
            await self.end(signal.SIGKILL)

    def state(self, name: str = "yearly") -> State:
        found = self.store.state(name)
        assert found is not None
        return found

    async def until(self, true: Callable[[], object], seconds: float = 30) -> None:
        deadline = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < deadline, "waited in vain"
            await asyncio.sleep(0.05)

    async def run(self, name: str = "yearly") -> Run:
        """Ask for a run and wait until it has ended."""
        before = sum(self.counts(name).values())
        self.store.ask(name)
        await self.until(lambda: sum(self.counts(name).values()) > before)
        last = self.state(name).last
        assert last is not None
        return last

    def counts(self, name: str = "yearly") -> dict[str, int]:
        found = self.store.state(name)
        return {} if found is None else found.counts

    async def until_hanging(self) -> psutil.Process:
        """Wait until an evaluation hangs; its kernel."""
        pid = self.project / "kernel.pid"
        await self.until(lambda: pid.exists() and pid.read_text())
        return psutil.Process(int(pid.read_text()))

    @property
    def notebook(self) -> str:
        return (self.project / "runs/notebook.ipynb").read_text()

    @property
    def exposition(self) -> str:
        return (self.home.metrics / metrics.FILE).read_text()


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    found = Place(tmp_path)
    yield found
    await found.close()


@contextlib.asynccontextmanager
async def webhook() -> AsyncIterator[tuple[str, list[dict[str, Any]]]]:
    """A server that takes down what it is told."""
    told: list[dict[str, Any]] = []

    async def take(request: web.Request) -> web.Response:
        told.append(await request.json())
        return web.Response()

    application = web.Application()
    application.router.add_post("/hooks/secret", take)
    server = web.AppRunner(application)
    await server.setup()
    site = web.TCPSite(server, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{server.addresses[0][1]}/hooks/secret", told
    finally:
        await server.cleanup()


def gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


async def test_a_run_is_the_command_in_the_project(place: Place) -> None:
    place.apply(revision="stable", parameters={"seed": 7})
    await place.start()
    run = await place.run()
    assert (run.outcome, run.attempt) == (Outcome.PASS, 1)
    words, environment = json.loads((place.project / "called.json").read_text())
    assert words == [
        "suites/digits.yaml",
        "--revision",
        "stable",
        "--into",
        "runs",
        "-p",
        "seed",
        "7",
    ]
    assert environment["KUBECONFIG"] == str(place.home.kubeconfig)
    assert environment["CALUMMA_HOME"] == str(place.home.path)
    assert place.store.log("yearly", run.id).read_text() == "evaluating\n"
    assert place.store.request("yearly") is None
    await place.until(lambda: 'runs_total{schedule="yearly",outcome="pass"} 1' in place.exposition)
    place.ask(code=2)
    assert (await place.run()).outcome is Outcome.INCONCLUSIVE
    assert await place.end() == 0


async def test_what_was_due_while_nothing_ran_is_made_up_for_once(place: Place) -> None:
    place.apply(schedule="* * * * *")
    hour_ago = time.time() - 3600
    times = ("* * * * *", "Etc/UTC")
    earlier = State(since=hour_ago, times=times, considered=hour_ago)
    place.store.write_state("yearly", earlier)
    await place.start()
    await place.until(lambda: place.counts().get("pass"))
    assert 58 <= place.counts()["missed"] <= 60
    assert place.state().runs[0].due > time.time() - 120


async def test_a_run_whose_scheduler_is_killed_is_noticed_and_not_begun_again(place: Place) -> None:
    place.ask(hang=True)
    place.apply()
    await place.start()
    place.store.ask("yearly")
    kernel = await place.until_hanging()
    evaluation = kernel.parent()
    assert evaluation is not None
    await place.end(signal.SIGKILL)
    await place.until(lambda: gone(evaluation))
    (cut,) = place.state().runs
    assert cut.running  # as the killed scheduler left it
    place.ask(code=0)
    await place.start()
    await place.until(lambda: not place.state().active)
    await place.until(lambda: gone(kernel))
    (found,) = place.state().runs
    assert (found.id, found.outcome) == (cut.id, Outcome.INTERRUPTED)
    assert "was ended while it was under way" in found.sentence
    assert place.notebook == "as far as it came"
    assert place.counts() == {"interrupted": 1}
    assert (await place.run()).outcome is Outcome.PASS


async def test_killed_at_any_moment_it_begins_no_run_twice_and_loses_none(place: Place) -> None:
    place.apply(successfulJobsHistoryLimit=99, failedJobsHistoryLimit=99)
    chance = random.Random(0)
    for _ in range(8):
        await place.start()
        place.store.ask("yearly")
        await asyncio.sleep(chance.uniform(0.4, 2.2))
        await place.end(signal.SIGKILL)
    await place.start()
    await place.until(lambda: place.store.request("yearly") is None and not place.state().active)
    runs = [f"yearly/{run.id}" for run in place.state().runs]
    begun = (place.project / "begun").read_text().split()
    assert runs and len(set(begun)) == len(begun)
    assert set(begun) <= set(runs)
    passed = [run.id for run in place.state().runs if run.outcome is Outcome.PASS]
    assert place.counts().get("pass", 0) == len(passed)
    assert {f"yearly/{each}" for each in passed} <= set(begun)


async def test_a_scheduler_that_is_ended_ends_its_runs_first(place: Place) -> None:
    place.ask(hang=True)
    place.apply()
    await place.start()
    place.store.ask("yearly")
    kernel = await place.until_hanging()
    assert await place.end(signal.SIGTERM) == 0
    assert gone(kernel)
    assert place.state().runs[0].outcome is Outcome.INTERRUPTED
    assert place.notebook == "as far as it came, and a note"


async def test_a_run_that_hangs_is_ended_with_all_it_started(place: Place) -> None:
    place.ask(hang=True)
    place.apply(activeDeadlineSeconds=4)
    await place.start()
    place.store.ask("yearly")
    kernel = await place.until_hanging()
    await place.until(lambda: place.counts() == {"timeout": 1})
    assert place.notebook == "as far as it came, and a note"
    assert gone(kernel)


async def test_an_error_is_tried_again_and_a_command_that_is_not_there_is_one(place: Place) -> None:
    place.ask(code=3)
    place.apply("missing", command=["no-such-command"])
    place.apply(backoffLimit=1)
    await place.start()
    assert (await place.run("missing")).sentence == "exit status 127"
    place.store.ask("yearly")
    await place.until(lambda: place.state().runs and place.state().runs[0].retry_at)
    place.ask(code=0)
    await place.until(lambda: place.counts() == {"pass": 1})
    assert place.state().runs[0].attempt == 2


async def test_people_are_told_once_when_it_fails_and_once_when_it_recovers(place: Place) -> None:
    async with webhook() as (url, told):
        place.apply(alerts={"webhook": {"environment": "URL"}}, secret=url)
        await place.start()
        outcomes = []
        for code in (1, 1, 0, 0):
            place.ask(code=code)
            outcomes.append((await place.run()).outcome)
            await asyncio.sleep(1.2)  # the next look, which tells
        assert outcomes == [Outcome.FAIL, Outcome.FAIL, Outcome.PASS, Outcome.PASS]
        assert [(each["status"], each["outcome"]) for each in told] == [
            ("failing", "fail"),
            ("passing", "pass"),
        ]
        assert told[0]["text"] == (
            "The schedule yearly is failing: the last run has not passed, "
            "the last one ended with fail."
        )


async def test_a_command_tells_and_a_restart_does_not_tell_again(
    place: Place, tmp_path: Path
) -> None:
    notice = tmp_path / "told"
    command = tmp_path / "command"
    command.write_text(f"""sh -c 'echo "$CALUMMA_ALERT" >> {notice}'\n""")
    place.ask(code=1)
    place.apply(alerts={"command": {"file": str(command)}})
    await place.start()
    await place.run()
    await place.until(lambda: place.state().told == "failing")
    await place.end(signal.SIGKILL)
    await place.start()
    await place.run()
    (line,) = notice.read_text().splitlines()
    assert json.loads(line)["schedule"] == "yearly"


async def test_a_webhook_that_does_not_answer_keeps_its_secret(
    place: Place, capfd: pytest.CaptureFixture[str]
) -> None:
    place.ask(code=1)
    url = "http://127.0.0.1:9/hooks/secret"
    place.apply(alerts={"webhook": {"environment": "URL"}}, secret=url)
    await place.start()
    await place.run()
    await place.until(lambda: place.state().tell_attempts == 1)
    await place.end()
    error = capfd.readouterr().err
    assert "nobody was told that it is failing: the webhook was not reached" in error
    assert "secret" not in error
    assert (place.home.schedules / "yearly/secret").stat().st_mode & 0o077 == 0


async def test_a_deleted_schedule_ends_its_run_and_leaves_nothing_but_its_results(
    place: Place,
) -> None:
    place.ask(hang=True)
    place.apply()
    await place.start()
    place.store.ask("yearly")
    kernel = await place.until_hanging()
    assert 'schedule="yearly"' in place.exposition
    place.store.delete("yearly")
    await place.until(lambda: gone(kernel))
    await place.until(lambda: place.exposition == "")
    assert not (place.home.schedules / "yearly").exists()
    assert place.notebook == "as far as it came, and a note"


async def test_a_broken_schedule_holds_up_no_other(
    place: Place, capfd: pytest.CaptureFixture[str]
) -> None:
    place.apply("broken")
    (place.home.schedules / "broken/schedule.json").write_text("{")
    place.apply()
    (place.home.schedules / "yearly/state.json").write_text("{")
    await place.start()
    assert (await place.run()).outcome is Outcome.PASS
    place.apply("broken")
    assert (await place.run("broken")).outcome is Outcome.PASS
    await place.end()
    error = capfd.readouterr().err
    assert error.count("broken/schedule.json cannot be read") == 1
    assert (place.home.schedules / "yearly/state.json.broken").read_text() == "{"


async def test_a_paused_schedule_is_taken_over_without_a_restart(place: Place) -> None:
    place.apply()
    await place.start()
    await place.run()
    place.store.suspend("yearly", True)
    await place.until(lambda: 'suspended{schedule="yearly"} 1' in place.exposition)
    assert "success_expected" not in place.exposition
    assert (await place.run()).outcome is Outcome.PASS  # what a person asks for runs


async def test_an_idle_scheduler_costs_little(place: Place) -> None:
    for number in range(10):
        place.apply(f"s{number}")
    await place.start()
    await place.until(lambda: len(list(place.home.schedules.glob("*/state.json"))) == 10)
    process = psutil.Process(os.getpid()).children()[-1]
    before = process.cpu_times()
    await asyncio.sleep(3)
    after = process.cpu_times()
    assert after.user + after.system - before.user - before.system < 0.15
    assert process.memory_info().rss < 70 << 20

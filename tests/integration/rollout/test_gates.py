"""Gates as they are: processes that evaluate, and webhooks that answer or do not."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from calumma.cluster import layout
from calumma.rollout import gates, telling
from calumma.rollout.policy import Gate
from support import moments, suites

EVALUATION: dict[str, Any] = {"evaluation": {"suite": "evaluation/suites/small.yaml"}}


@contextlib.asynccontextmanager
async def asked(project: Path, *wanted: dict[str, Any]) -> AsyncIterator[gates.Gates]:
    """The gates of a first step, all of them asked."""
    found = [Gate.model_validate(each, strict=False) for each in wanted]
    policy = moments.policy(project=str(project), steps=[{"weight": 10, "gates": list(wanted)}])
    home = layout.Home(project / "home")
    asking = gates.Gates("digits-1", policy, project / "runs/rollouts/digits/digits-1", home)
    told = telling.document(moments.state(), "May the first step begin?")
    for index, gate in enumerate(found):
        asking.ask(f"0/{index}", gate, told)
    try:
        yield asking
    finally:
        await asking.close()


async def answer(asking: gates.Gates, key: str = "0/0", seconds: float = 60) -> gates.GateResult:
    await until(lambda: asking.results()[key].outcome != "pending", seconds)
    return asking.results()[key]


async def until(true: Callable[[], object], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        await asyncio.sleep(0.05)


def hook(folder: Path, url: str, **more: Any) -> dict[str, Any]:
    (folder / "url").write_text(url + "\n")
    return {"webhook": {"file": str(folder / "url")}, **more}


def marked(project: Path) -> list[psutil.Process]:
    """What an evaluation of a project's gates has started."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get("CALUMMA_SCHEDULED_RUN", "").startswith(str(project)):
                found.append(process)
    return found


@pytest.mark.parametrize(
    ("right", "outcome"), [(95, "agree"), (30, "refuse"), (80, "inconclusive")]
)
async def test_an_evaluation_answers_by_its_verdict_and_links_its_page(
    tmp_path: Path, right: int, outcome: str
) -> None:
    suites.project(tmp_path, "offline")
    notebook = tmp_path / "evaluation/offline.ipynb"
    notebook.write_text(notebook.read_text().replace("right: int = 95", f"right: int = {right}"))
    async with asked(tmp_path, EVALUATION) as asking:
        found = await answer(asking)
    assert found.outcome == outcome, found
    assert "evaluation/suites/small.yaml" in found.sentence
    assert found.link is not None and Path(found.link).name == "index.html"
    assert found.sentence.endswith(f"({found.link})")
    page = Path(found.link).read_text()
    assert "digits in default" in page
    assert Path(found.link).is_relative_to(tmp_path / "runs/rollouts/digits/digits-1/gates/0-0")


async def test_only_the_sections_that_are_named_are_run_and_once(tmp_path: Path) -> None:
    suites.project(tmp_path, "offline", "drift")
    only = {"evaluation": {**EVALUATION["evaluation"], "only": ["drift"]}}
    async with asked(tmp_path, only) as asking:
        asking.ask("0/0", Gate.model_validate(only, strict=False), {})
        found = await answer(asking)
    assert found.link is not None
    assert len(list(tmp_path.glob("runs/rollouts/digits/digits-1/gates/0-0/small/*/"))) == 1
    folder = Path(found.link).parent
    assert {path.name for path in folder.glob("*.ipynb")} == {"drift.ipynb"}


async def test_an_evaluation_that_cannot_be_carried_out_is_an_error_with_its_log(
    tmp_path: Path,
) -> None:
    async with asked(tmp_path, EVALUATION) as asking:
        found = await answer(asking)
    assert found.outcome == "error"
    log = tmp_path / "runs/rollouts/digits/digits-1/gates/0-0/output.log"
    assert f"ended with status 3 and without a run; {log} says:" in found.sentence
    assert "evaluation/suites/small.yaml cannot be read" in found.sentence


async def test_an_evaluation_that_takes_too_long_is_a_refusal_and_leaves_no_process(
    tmp_path: Path,
) -> None:
    suites.project(tmp_path, "offline")
    suites.notebook(tmp_path / "evaluation/offline.ipynb", suites.SO_FAR, suites.HUNG)
    async with asked(tmp_path, {**EVALUATION, "timeout": 4}) as asking:
        found = await answer(asking)
    assert found.outcome == "refuse"
    assert "took longer than the 4 s of its gate" in found.sentence
    assert marked(tmp_path) == []


async def test_closing_ends_what_is_under_way(tmp_path: Path) -> None:
    suites.project(tmp_path, "offline")
    suites.notebook(tmp_path / "evaluation/offline.ipynb", suites.SO_FAR, suites.HUNG)
    async with asked(tmp_path, EVALUATION):
        await until(lambda: marked(tmp_path), 30)
    assert marked(tmp_path) == []


async def test_an_evaluation_does_not_get_the_policys_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suites.project(tmp_path, "offline")
    suites.notebook(
        tmp_path / "evaluation/offline.ipynb",
        "import os\nassert os.environ['PLAIN'] == '1' and 'HOOK' not in os.environ",
        suites.REPORT,
    )
    async with moments.webhook(lambda _: 200) as (url, _):
        monkeypatch.setenv("HOOK", url)
        monkeypatch.setenv("PLAIN", "1")
        wanted = {"webhook": {"environment": "HOOK"}}
        async with asked(tmp_path, EVALUATION, wanted) as asking:
            assert (await answer(asking, "0/1")).outcome == "agree"
            assert (await answer(asking)).outcome == "agree"


async def test_a_webhook_gets_the_status_and_agrees(tmp_path: Path) -> None:
    async with (
        moments.webhook(lambda _: 204) as (url, told),
        asked(tmp_path, hook(tmp_path, url)) as asking,
    ):
        found = await answer(asking)
    assert (found.outcome, found.sentence) == ("agree", "the webhook agreed (204)")
    assert len(told) == 1
    assert told[0]["rollout"] == "digits-20261121T210000Z"
    assert told[0]["text"] == "May the first step begin?"


async def test_a_webhook_refuses(tmp_path: Path) -> None:
    async with (
        moments.webhook(lambda _: 403) as (url, told),
        asked(tmp_path, hook(tmp_path, url)) as asking,
    ):
        found = await answer(asking)
    assert (found.outcome, found.sentence) == ("refuse", "the webhook refused (403)")
    assert len(told) == 1


async def test_a_webhook_that_says_neither_is_asked_again_and_a_redirect_is_no_yes(
    tmp_path: Path,
) -> None:
    statuses = {1: 503, 2: 302, 3: 429}
    async with (
        moments.webhook(lambda number: statuses.get(number, 200)) as (url, told),
        asked(tmp_path, hook(tmp_path, url)) as asking,
    ):
        found = await answer(asking)
    assert found.outcome == "agree"
    assert len(told) == 4


@pytest.mark.parametrize("listens", [True, False])
async def test_no_answer_in_time_is_a_refusal_that_does_not_tell_the_url(
    tmp_path: Path, listens: bool
) -> None:
    async with moments.webhook(lambda _: 500) as (url, told):
        if not listens:
            url = "http://127.0.0.1:1/hooks/hidden"
        async with asked(tmp_path, hook(tmp_path, url, timeout=1.5)) as asking:
            found = await answer(asking)
    assert found.outcome == "refuse"
    assert "has not said yes or no within 1.5 s" in found.sentence
    assert ("answered 500" if listens else "Connection refused") in found.sentence
    assert "hidden" not in found.sentence
    assert len(told) == (2 if listens else 0)


async def test_a_receiver_that_talks_another_language_is_asked_again(tmp_path: Path) -> None:
    async def junk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"220 mail.example ESMTP\r\n")
        writer.close()

    server = await asyncio.start_server(junk, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hooks/hidden"
        async with asked(tmp_path, hook(tmp_path, url, timeout=1.5)) as asking:
            found = await answer(asking)
    assert found.outcome == "refuse"
    assert "was not reached" in found.sentence


async def test_a_secret_that_is_not_there_is_an_error_that_names_it(tmp_path: Path) -> None:
    wanted = {"webhook": {"environment": "NO_SUCH_VARIABLE"}}
    async with asked(tmp_path, wanted) as asking:
        found = await answer(asking)
    assert found.outcome == "error"
    assert "the environment variable NO_SUCH_VARIABLE, which is not set" in found.sentence


async def test_a_person_is_not_asked_and_another_key_is_another_question(tmp_path: Path) -> None:
    statuses = {1: 403}
    async with (
        moments.webhook(lambda number: statuses.get(number, 200)) as (url, _),
        asked(tmp_path, hook(tmp_path, url), {"person": "May it?"}) as asking,
    ):
        assert (await answer(asking)).outcome == "refuse"
        assert set(asking.results()) == {"0/0"}
        asking.ask("0/0/1", Gate.model_validate(hook(tmp_path, url), strict=False), {})
        assert (await answer(asking, "0/0/1")).outcome == "agree"

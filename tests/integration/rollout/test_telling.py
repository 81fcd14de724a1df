"""People are told by a real webhook or command, sooner or later, and the rollout never waits."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
from pathlib import Path

import pytest

from calumma.cluster import layout
from calumma.rollout import telling
from calumma.rollout.policy import Policy
from calumma.rollout.state import Phase, State
from support import moments


def policy(folder: Path, way: str, secret: str) -> Policy:
    (folder / "secret").write_text(secret + "\n")
    return moments.policy(notify={way: {"file": str(folder / "secret")}})


def rolled_back() -> State:
    reading = {
        "name": "errors",
        "verdict": "worse",
        "estimate": 0.08,
        "low": 0.01,
        "high": float("inf"),
        "margin": 0.05,
        "alpha": 0.05,
        "n": 400,
        "other_n": 3600,
    }
    return moments.state(phase=Phase.ROLLED_BACK, why="errors is worse", readings=[reading])


async def test_a_failure_to_tell_is_tried_again_in_order(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    statuses = {1: 500, 2: 302}
    async with moments.webhook(lambda number: statuses.get(number, 200)) as (url, told):
        people = telling.Telling(policy(tmp_path, "webhook", url), tmp_path, layout.Home(tmp_path))
        began = time.monotonic()
        for text in ("one", "two"):
            people.tell(telling.document(rolled_back(), text))
        assert time.monotonic() - began < 0.5
        await people.close(30)
    assert [each["text"] for each in told] == ["one", "one", "one", "two"]
    assert people.trouble == ""
    assert "the webhook answered 500" in caplog.text
    assert "hidden" not in caplog.text


async def test_what_cannot_be_told_is_given_up_at_the_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gone = policy(tmp_path, "webhook", "http://127.0.0.1:1/hooks/hidden")
    people = telling.Telling(gone, tmp_path, layout.Home(tmp_path))
    people.tell(telling.document(rolled_back(), "one"))
    with caplog.at_level(logging.ERROR):
        await asyncio.wait_for(people.close(1), 10)
    assert "people were not told: the webhook was not reached" in caplog.text
    assert "hidden" not in caplog.text


async def test_a_command_gets_the_same_document_and_its_numbers_are_json(tmp_path: Path) -> None:
    program = "import os; open('told.json', 'w').write(os.environ['CALUMMA_ALERT'])"
    line = f'{sys.executable} -c "{program}"'
    people = telling.Telling(policy(tmp_path, "command", line), tmp_path, layout.Home(tmp_path))
    state = rolled_back()
    people.tell(telling.document(state, telling.sentence(state)))
    await people.close(30)
    told = json.loads((tmp_path / "told.json").read_text(), parse_constant=pytest.fail)
    assert told["phase"] == "RolledBack"
    assert told["metrics"][0]["low"] == 0.01 and told["metrics"][0]["high"] is None
    assert told["text"] == (
        "The rollout of digits-predictor-00002 of digits in namespace default was rolled back: "
        "errors is worse. errors is worse (+0.08, +0.01 to +inf)."
    )


async def test_without_alerts_nobody_is_told(tmp_path: Path) -> None:
    people = telling.Telling(moments.policy(), tmp_path, layout.Home(tmp_path))
    people.tell(telling.document(rolled_back(), "one"))
    await people.close(1)
    assert not people.trouble


async def test_two_commands_at_once_leave_each_other_alone(tmp_path: Path) -> None:
    everybody: list[telling.Telling] = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        begun = f"open('{name}.begun', 'a').write('x')"
        program = f"import time; {begun}; time.sleep({len(everybody)} + 1)"
        line = f'{sys.executable} -c "{program}"'
        found = policy(folder, "command", line)
        everybody.append(telling.Telling(found, folder, layout.Home(tmp_path)))
    for people in everybody:
        people.tell(telling.document(rolled_back(), "one"))
    await asyncio.gather(*(people.close(30) for people in everybody))
    assert [(tmp_path / f"{name}.begun").read_text() for name in ("one", "two")] == ["x", "x"]

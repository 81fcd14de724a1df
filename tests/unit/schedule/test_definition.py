"""A schedule's file is understood whole, or refused with every mistake named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from calumma import errors
from calumma.evaluation import document, suite
from calumma.schedule.definition import Schedule, Secret

ROOT = Path(__file__).parents[3]
LEAST = {"name": "nightly", "schedule": "30 2 * * *", "suite": "evaluation/suites/digits.yaml"}


def read(folder: Path, **given: Any) -> Schedule:
    path = folder / "schedule.yaml"
    path.write_text(yaml.safe_dump({**LEAST, **given}, sort_keys=False))
    return document.read(path, Schedule)


def test_what_is_left_out_is_as_careful_as_can_be(tmp_path: Path) -> None:
    found = read(tmp_path)
    assert (found.timeZone, found.revision, found.concurrencyPolicy) == (
        "Etc/UTC",
        "latest",
        "Forbid",
    )
    assert (found.backoffLimit, found.suspend, found.alerts) == (0, False, None)
    assert found.startingDeadlineSeconds is None


def test_the_command_line_of_a_run(tmp_path: Path) -> None:
    found = read(tmp_path, parameters={"rate": 50.0, "seed": 3, "out": "a b"})
    assert found.argv == (
        *("calumma", "evaluate", "evaluation/suites/digits.yaml", "--revision", "latest"),
        *("--into", "runs", "-p", "rate", "50.0", "-p", "seed", "3", "-p", "out", "a b"),
    )
    own = read(tmp_path, command=["nice", "-n", "10", "calumma", "evaluate"])
    assert own.argv[:4] == ("nice", "-n", "10", "calumma")


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"name": "Nightly"}, "name is 'Nightly'"),
        ({"name": "n" * 41}, "should have at most 40"),
        ({"schedule": "30 25 * * *"}, "'25' is out of range as hour in '30 25 * * *'"),
        ({"schedule": "30 2 * *"}, "a cron expression has five"),
        ({"timeZone": "Europe/Zürich"}, "'Europe/Zürich' is no IANA time zone"),
        ({"suite": "/etc/suite.yaml"}, "a suite is a path in the project"),
        ({"suite": "../suite.yaml"}, "a suite is a path in the project"),
        ({"concurrencyPolicy": "Maybe"}, "'Allow', 'Forbid' or 'Replace'"),
        ({"startingDeadlineSeconds": 5}, "greater than or equal to 10"),
        ({"activeDeadlineSeconds": "7200"}, "activeDeadlineSeconds is '7200'"),
        ({"backoffLimit": -1}, "backoffLimit is -1"),
        ({"retries": 1}, "retries is not known here; accepted are name, schedule, timeZone"),
        ({"alerts": {}}, "alerts need either webhook or command"),
        ({"alerts": {"webhook": "https://hooks"}}, "alerts.webhook is 'https://hooks'"),
        ({"alerts": {"webhook": {}}}, "either environment, a variable's name, or file"),
        (
            {"alerts": {"webhook": {"environment": "A", "file": "b"}}},
            "either environment, a variable's name, or file",
        ),
        ({"alerts": {"command": {"environment": "A B"}}}, "alerts.command.environment is 'A B'"),
        ({"alerts": {"afterFailures": 0, "command": {"file": "a"}}}, "alerts.afterFailures is 0"),
        ({"cluster": {"storage": "lots"}}, "cluster.storage is 'lots'"),
        ({"command": []}, "command is []"),
    ],
)
def test_a_mistake_gets_a_sentence(tmp_path: Path, given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(errors.DocumentInvalid) as refused:
        read(tmp_path, **given)
    assert sentence in str(refused.value)


def test_the_example_can_be_applied() -> None:
    found = document.read(ROOT / "evaluation/schedules/nightly.yaml", Schedule)
    assert found.name == "nightly"
    assert suite.read(ROOT / found.suite).service == "digits"


def test_a_secret_is_a_place_and_never_the_secret_itself() -> None:
    assert set(Secret.model_fields) == {"environment", "file"}

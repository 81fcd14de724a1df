"""``calumma schedule``: what people write and what they are told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from calumma import cli
from calumma.cluster import layout, preparation
from calumma.cluster.node import settings
from calumma.schedule import decision, store

DOCUMENT = {"name": "nightly", "schedule": "30 2 * * *", "suite": "suites/digits.yaml"}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> layout.Home:
    monkeypatch.setenv("CALUMMA_HOME", str(tmp_path / "home"))
    return layout.Home(tmp_path / "home")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    (folder / "suites").mkdir(parents=True)
    suite = {"name": "digits", "service": "digits", "offline": {}}
    (folder / "suites/digits.yaml").write_text(yaml.safe_dump(suite))
    return folder


def written(project: Path, **given: Any) -> str:
    path = project / "schedule.yaml"
    path.write_text(yaml.safe_dump({**DOCUMENT, **given}))
    return str(path)


def calumma(*words: str) -> int:
    return cli.main(["schedule", *words])


def apply(project: Path, **given: Any) -> int:
    return calumma("apply", written(project, **given), "--project", str(project))


@pytest.mark.parametrize(
    "command", ["", "apply", "list", "show", "run", "pause", "resume", "delete", "render"]
)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        calumma(*command.split(), "--help")
    assert ended.value.code == 0
    assert f"usage: calumma schedule {command}".strip() in capsys.readouterr().out


def test_the_document_in_the_help_is_one(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        calumma("apply", "--help")
    shown = capsys.readouterr().out
    example = shown[shown.index("  name: nightly") : shown.index("A webhook gets")]
    content = yaml.safe_load(example)
    assert set(content) > set(DOCUMENT)
    del content["alerts"]
    assert apply(project, **{**content, "suite": DOCUMENT["suite"]}) == 0


def test_from_apply_to_delete(
    project: Path, home: layout.Home, capsys: pytest.CaptureFixture[str]
) -> None:
    assert calumma("list") == 0
    assert "No schedules; `calumma schedule apply FILE`" in capsys.readouterr().out
    assert apply(project, timeZone="Europe/Zurich") == 0
    told = capsys.readouterr().out
    assert "nightly: 2" in told and "02:30 CE" in told
    assert "`calumma up` starts the scheduler" in told
    assert calumma("list") == 0
    assert "nightly  30 2 * * *  Europe/Zurich  waiting" in capsys.readouterr().out
    assert calumma("pause", "nightly") == 0
    assert calumma("show", "nightly") == 0
    shown = capsys.readouterr().out
    assert "state       suspended" in shown
    assert f"suites/digits.yaml, revision latest, in {project}" in shown
    assert calumma("resume", "nightly") == 0
    assert "next 2" in capsys.readouterr().out
    assert calumma("run", "nightly") == 1
    assert "No scheduler is running" in capsys.readouterr().err
    assert calumma("delete", "nightly") == 0
    assert calumma("show", "nightly") == 1
    assert "There is no schedule 'nightly'; there are none." in capsys.readouterr().err
    assert list(home.schedules.iterdir()) == []


def test_runs_are_shown_with_how_they_ended(
    project: Path, home: layout.Home, capsys: pytest.CaptureFixture[str]
) -> None:
    apply(project, alerts={"webhook": {"file": str(project / "url")}})
    assert "cannot be read" in capsys.readouterr().err
    (project / "url").write_text("https://hooks.example/1\n")
    apply(project, alerts={"webhook": {"file": str(project / "url")}})
    found = store.Store(home)
    schedule = found.read("nightly").schedule
    state = decision.first(schedule, 1_800_000_000)
    for request, code in ((1_800_000_100.0, 0), (1_800_000_200.0, 3), (1_800_000_300.0, None)):
        state = decision.decide(schedule, schedule.times, state, request, {}, request).state
        if code is not None:
            state = decision.ended(schedule, state, state.runs[-1].id, code, request + 61)
    found.write_state("nightly", decision.told(state, "failing"))
    capsys.readouterr()
    assert calumma("show", "nightly") == 0
    shown = capsys.readouterr().out
    assert "state       running, failing (1)" in shown
    assert "a webhook, after 1 failure in a row; people know that it fails" in shown
    assert "so far      1 pass, 1 error" in shown
    lines = [line.split() for line in shown.splitlines() if "-manual" in line]
    assert [line[6] for line in lines] == ["1", "1", "1"]
    assert [line[7] for line in lines] == ["running", "error", "pass"]
    assert "61 s" in shown and "exit status 3" in shown
    assert calumma("list") == 0
    assert "error" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"schedule": "every night"}, "has 2 fields; a cron expression has five"),
        ({"suite": "suites/other.yaml"}, "suites/other.yaml cannot be read"),
        (
            {"alerts": {"webhook": {"environment": "NO_SUCH_VARIABLE"}}},
            "alerts need the environment variable NO_SUCH_VARIABLE",
        ),
        ({"alerts": {"command": {"file": "/no/such/file"}}}, "/no/such/file cannot be read"),
    ],
)
def test_what_cannot_be_applied_leaves_nothing(
    project: Path,
    home: layout.Home,
    given: dict[str, Any],
    sentence: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert apply(project, **given) == 1
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1
    assert not home.schedules.exists()


@pytest.mark.parametrize(
    ("way", "value", "sentence"),
    [
        ("webhook", "file:///etc/passwd", "does not begin with http:// or https://"),
        ("command", "sh -c 'open", "no command line"),
    ],
)
def test_a_secret_that_cannot_be_one_is_refused_without_being_shown(
    way: str,
    value: str,
    sentence: str,
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("ALERT", value)
    assert apply(project, alerts={way: {"environment": "ALERT"}}) == 1
    error = capsys.readouterr().err
    assert sentence in error
    assert value not in error


def test_a_secret_from_a_variable_is_kept_for_its_owner_alone(
    project: Path, home: layout.Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALERT", "https://hooks.example/secret")
    assert apply(project, alerts={"webhook": {"environment": "ALERT"}}) == 0
    assert calumma("pause", "nightly") == 0
    kept = home.schedules / "nightly/secret"
    assert (kept.read_text(), kept.stat().st_mode & 0o777) == (
        "https://hooks.example/secret",
        0o600,
    )
    assert "hooks.example" not in (home.schedules / "nightly/schedule.json").read_text()
    assert apply(project) == 0
    assert not kept.exists()


def test_the_cluster_has_a_scheduler_when_there_is_something_to_schedule(
    project: Path, home: layout.Home
) -> None:
    ports = settings.Settings(1, 2, 3, 4, None, "now")
    assert "scheduler" not in [each.name for each in preparation.own_programs(home, ports)]
    apply(project)
    found = {each.name: each for each in preparation.own_programs(home, ports)}
    assert found["scheduler"] == preparation.scheduler(home)
    assert found["scheduler"].argv[1:3] == ("-m", "calumma.schedule")

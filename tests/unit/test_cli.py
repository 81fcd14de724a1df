"""The command line: help that teaches, and one sentence for what cannot be done."""

from __future__ import annotations

from pathlib import Path

import pytest

from calumma import __version__, cli


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CALUMMA_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def complaint(capsys: pytest.CaptureFixture[str]) -> str:
    """What went to standard error: one line, after the command's name."""
    text = capsys.readouterr().err
    assert text.startswith("calumma: ")
    assert text.count("\n") == 1
    return text


@pytest.mark.parametrize(
    "command",
    [
        "",
        "up",
        "down",
        "status",
        "logs",
        "kubeconfig",
        "evaluate",
        "evaluate run",
        "evaluate compare",
        "train",
        "dashboards",
        "demo",
    ],
)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([*command.split(), "--help"])
    assert ended.value.code == 0
    assert "usage: calumma" in capsys.readouterr().out


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--version"])
    assert capsys.readouterr().out == f"calumma {__version__}\n"


@pytest.mark.parametrize("words", [["fly"], ["up", "--port", "high"], ["train", "cats"], []])
def test_a_wrong_command_line_is_2(words: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(words)
    assert ended.value.code == 2


def test_without_a_cluster(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["status"]) == 1
    assert "`calumma up` starts one" in capsys.readouterr().out
    assert cli.main(["down"]) == 0
    assert f"No cluster is running in {home}" in capsys.readouterr().out
    assert cli.main(["kubeconfig"]) == 1
    assert "`calumma up` writes it" in complaint(capsys)
    assert cli.main(["logs", "digits"]) == 1
    assert "There is no log of 'digits'; there are none" in complaint(capsys)


def test_claims_are_names_of_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["up", "--claim", "models"]) == 1
    assert "--claim 'models' is not NAME=FOLDER" in complaint(capsys)
    assert cli.main(["up", "--claim", f"models={tmp_path / 'nowhere'}"]) == 1
    assert "which is not a folder" in complaint(capsys)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot be read"),
        ("images: {", "cannot be read"),
        ("image: x", "has no list `images`"),
        ("images: [{image: a/b}]", "images[0] has no `command`"),
    ],
)
def test_an_image_table_that_is_none(
    tmp_path: Path, text: str | None, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "images.yaml"
    if text is not None:
        table.write_text(text)
    assert cli.main(["up", "--images", str(table)]) == 1
    assert message in capsys.readouterr().err


def test_training_needs_the_project(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["train", "digits", "--project", str(tmp_path)]) == 1
    assert "run this in the project's folder" in complaint(capsys)

"""What an evaluation leaves: written whole, cleared before the next, and with its commit."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from calumma import errors, evidence
from calumma.scoring import figures, gates, metrics, report

GATE = gates.Gate("accuracy", gates.Bound.AT_LEAST, 0.5)


def evaluation(correct: int) -> report.Report:
    accuracy = metrics.proportion("accuracy", correct, 100)
    return report.Report(
        title="t",
        question="q?",
        decision=gates.judge([GATE], [accuracy]),
        tables=(report.Table("Quality", "", (accuracy,)),),
        figures=(report.Figure("one", "c", figures.intervals([accuracy], 0.5, "accuracy")),),
        subject={},
        parameters={},
        data={},
        environment={},
        times=report.Times("2026-01-02T03:04:05Z", 1.0, report.Table("Latency", "", ())),
    )


def test_a_report_is_written_and_read(tmp_path: Path) -> None:
    evidence.write(evaluation(90), tmp_path / "runs" / "x")
    names = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert names == {"runs/x/report.json", "runs/x/report.html", "runs/x/figures/one.png"}
    found = evidence.read(tmp_path / "runs" / "x")
    assert found is not None and found["verdict"] == "pass"


def test_clearing_removes_the_report_and_nothing_else(tmp_path: Path) -> None:
    evidence.write(evaluation(90), tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    assert evidence.clear(tmp_path) == tmp_path
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["notes.txt"]
    assert evidence.read(tmp_path) is None
    assert evidence.clear(tmp_path / "never" / "was") == tmp_path / "never" / "was"


@pytest.mark.parametrize(("correct", "verdict"), [(10, "fail"), (50, "inconclusive")])
def test_only_a_pass_goes_on(correct: int, verdict: str) -> None:
    evidence.require_pass(evaluation(90).decision)
    with pytest.raises(errors.VerdictNotPassed, match=r"accuracy is 0\.") as raised:
        evidence.require_pass(evaluation(correct).decision)
    assert raised.value.verdict == verdict


def git(folder: Path, *arguments: str) -> str:
    names = ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL")
    environment = {**os.environ, **dict.fromkeys(names, "x"), "GIT_CONFIG_GLOBAL": os.devnull}
    done = subprocess.run(
        ["git", *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_the_commit_is_found_however_git_stores_it(tmp_path: Path) -> None:
    assert evidence.environment(tmp_path)["commit"] is None
    repository = tmp_path / "repository"
    (repository / "evaluation").mkdir(parents=True)
    git(repository, "init", "--initial-branch=main")
    assert evidence.environment(repository)["commit"] is None
    git(repository, "commit", "--allow-empty", "--message=one")
    first = git(repository, "rev-parse", "HEAD")
    assert evidence.environment(repository / "evaluation")["commit"] == first
    git(repository, "pack-refs", "--all")
    assert evidence.environment(repository)["commit"] == first
    git(repository, "worktree", "add", "-b", "other", "../tree")
    git(tmp_path / "tree", "commit", "--allow-empty", "--message=two")
    second = git(tmp_path / "tree", "rev-parse", "HEAD")
    assert evidence.environment(tmp_path / "tree")["commit"] == second != first
    git(repository, "checkout", "--detach", second)
    assert evidence.environment(repository)["commit"] == second


def test_the_environment_names_the_versions() -> None:
    found = evidence.environment()
    assert found["packages"]["numpy"].startswith("1.")
    assert found["cpus"] >= 1 and found["platform"].startswith("linux")

"""The evidence of a rollout's moments: real notebooks, in processes of their own."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from calumma import datasets, running
from calumma.cluster import layout
from calumma.load.pairs import Pair
from calumma.rollout import disagreements, evidence
from calumma.rollout.state import Note, Phase, State
from calumma.scoring import cases
from support import moments

ROOT = Path(__file__).parents[3]
NOTEBOOK = ROOT / "evaluation/rollout.ipynb"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with the notebook, and a rollout whose pairs differed."""
    (tmp_path / "evaluation").mkdir()
    (tmp_path / "evaluation/rollout.ipynb").write_bytes(NOTEBOOK.read_bytes())
    folder = evidence.folder(tmp_path, "digits", "digits-1") / disagreements.FOLDER
    folder.mkdir(parents=True)
    answers = [
        [cases.Answer(case, said, 0.75, 0.01, None, None) for said in (str(case.label), "another")]
        for case in datasets.held_out("digits")[:7]
    ]
    disagreements.keep(folder, [Pair(*each) for each in answers])
    return tmp_path


def keeping(project: Path) -> evidence.Evidence:
    return evidence.Evidence("digits-1", "digits", project, layout.Home(project / "home"))


def rolled_back() -> State:
    note = Note(
        time=moments.BEGAN + 60,
        reason="RolledBack",
        text="errors <is> worse",
        warning=True,
        evidence="runs/rollouts/digits/digits-1/01-step-1/report.html",
    )
    return moments.counted(worse=0.2, phase=Phase.ROLLED_BACK, why="errors is worse", notes=(note,))


async def test_a_moment_is_an_executed_notebook_with_its_report(project: Path) -> None:
    keeper = keeping(project)
    page = keeper.keep(rolled_back(), "rolled-back")
    assert page == evidence.folder(project, "digits", "digits-1") / "01-rolled-back/report.html"
    await keeper.close(240)
    assert keeper.troubles() == ()
    folder = page.parent
    text = page.read_text()
    assert "errors &lt;is&gt; worse" in text and "<is>" not in text
    executed = (folder / "rollout.ipynb").read_text()
    assert "01-step-1/report.html" in executed
    report = json.loads((folder / "report.json").read_text())
    assert report["verdict"] == "fail"
    assert "the rollout is RolledBack: errors is worse" in report["sentence"]
    assert {each["metric"] for each in report["gates"]} >= {"errors", "correct", "agreement"}
    assert report["data"]["pairs that differ"] == 7
    share = report["metrics"][2]["metrics"][0]
    assert (share["count"], share["n"], share["remark"]) == (240, 2400, "10% is declared")
    pictures = {path.name for path in (folder / "figures").iterdir()}
    assert pictures == {"bounds.png", "disagreements.png"}
    assert State.model_validate_json((folder / "state.json").read_text()).id == rolled_back().id


async def test_a_restart_goes_on_counting_and_makes_what_was_cut_off(project: Path) -> None:
    folder = evidence.folder(project, "digits", "digits-1")
    first = keeping(project)
    page = first.keep(rolled_back(), "step-1")
    await asyncio.sleep(1)
    await first.close(0.1)
    assert "The evidence of the last moments could not be made" in " ".join(first.troubles())
    assert not page.exists()
    second = keeping(project)
    second.resume()
    assert second.keep(rolled_back(), "step-1") == page
    await second.close(240)
    assert second.troubles() == () and page.exists()
    third = keeping(project)
    third.resume()
    assert third.keep(rolled_back(), "step-1") == folder / "02-step-1/report.html"
    await third.close(0)


async def test_what_cannot_be_made_is_told_and_stops_nothing(project: Path) -> None:
    (project / "evaluation/rollout.ipynb").unlink()
    keeper = keeping(project)
    keeper.keep(rolled_back(), "step-1")
    (evidence.folder(project, "digits", "digits-1") / "03-file").write_text("in the way")
    keeper.keep(rolled_back(), "file")
    await keeper.close(60)
    (first, second) = keeper.troubles()
    assert first.startswith("The evidence of file could not be made:")
    assert second.startswith("The evidence of step-1 could not be made:")
    assert "evaluation/rollout.ipynb cannot be read as a notebook" in second
    assert keeper.troubles() == ()


@pytest.mark.parametrize(
    ("given", "verdict"),
    [
        (moments.counted(phase=Phase.PROMOTED, why="shown not to be worse", looks=200), "pass"),
        (moments.counted(phase=Phase.PROGRESSING, looks=2), "inconclusive"),
        (moments.state(phase=Phase.PENDING, canary=None), "inconclusive"),
    ],
    ids=["promoted", "under way", "not begun"],
)
def test_the_notebook_runs_alone_whatever_is_known(
    given: State, verdict: str, tmp_path: Path
) -> None:
    (tmp_path / "state.json").write_text(given.model_dump_json())
    done = running.execute(
        NOTEBOOK,
        tmp_path / "out.ipynb",
        {"state": str(tmp_path / "state.json"), "out": str(tmp_path / "out")},
    )
    assert str(done.verdict) == verdict, done.sentence

"""The section online: what it demands, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from calumma import errors
from calumma.evaluation import document, online, suite

ROOT = Path(__file__).parents[3]
LIVE = {"dataset": "digits"}


def section(**content: Any) -> online.Online:
    return document.check(content, online.Online, "online")


def test_the_examples_section_is_read() -> None:
    found = online.plan(suite.read(ROOT / "evaluation/suites/digits.yaml").online, "digits")
    assert [each.metric for each in found.demands] == [online.ACCURACY, online.FAILURES]
    assert found.predictor is not None
    assert found.predictor.form.image[:3] == ("L", 8, 8)
    assert len(found.predictor.form.classes) == 10


def test_margins_and_gates_are_demanded_together() -> None:
    margins = {"accuracy": 0.02, "failures": None, "feedback": 0.1, "minimum": 7}
    gate = {"metric": "slow requests, canary minus stable", "at_most": 0.01}
    found = section(**LIVE, margins=margins, gates=[gate], feedback={"folder": "f"})
    assert [(each.metric, each.at_least, each.at_most, each.minimum) for each in found.demands] == [
        (online.ACCURACY, -0.02, None, 7),
        (online.FEEDBACK, -0.1, None, 7),
        ("slow requests, canary minus stable", None, 0.01, 1),
    ]


def test_the_command_line_changes_what_it_gives_and_is_checked_too() -> None:
    found = online.plan(section(**LIVE), "s", traffic="", seconds=0.0, rate=5.0, folder="here")
    assert (found.traffic, found.seconds, found.rate) == ("live", 60.0, 5.0)
    assert found.feedback is not None and found.feedback.folder == "here"
    again = online.plan(section(**LIVE, feedback={"folder": "f", "maturity": 9}), "s", folder="g")
    assert again.feedback is not None
    assert (again.feedback.folder, again.feedback.maturity) == ("g", 9)
    with pytest.raises(errors.DocumentInvalid, match="section online of s: traffic is 'mirror'"):
        online.plan(section(**LIVE), "s", traffic="mirror")
    with pytest.raises(errors.DocumentInvalid, match="s has no section online"):
        online.plan(None, "s")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({}, "live traffic needs a dataset"),
        ({"traffic": "replay"}, "a replay needs a dataset, or feedback"),
        ({"traffic": "prometheus"}, "so margins.accuracy is null"),
        ({**LIVE, "margins": {"feedback": 0.1}}, "margins.feedback needs feedback"),
        ({**LIVE, "margins": {"speed": 1}}, "margins.speed is not known here; accepted are acc"),
        ({**LIVE, "seconds": 0}, "seconds is 0: input should be greater than 0"),
        ({**LIVE, "feedback": {"maturity": 3}}, "feedback.folder is missing"),
    ],
)
def test_what_cannot_be_is_refused(content: Any, said: str) -> None:
    with pytest.raises(errors.DocumentInvalid, match=said):
        section(**content)

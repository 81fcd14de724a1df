"""A suite is understood whole, or refused with every mistake named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from calumma import errors
from calumma.evaluation import section, suite
from calumma.scoring import gates, metrics


def written(folder: Path, content: Any) -> Path:
    path = folder / "suite.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return path


def test_a_section_has_a_notebook_and_its_demands(tmp_path: Path) -> None:
    gate = {"metric": "recall of *", "at_least": 0.75, "minimum": 20}
    path = written(tmp_path, {"name": "d", "service": "digits", "offline": {"gates": [gate]}})
    found = suite.read(path)
    assert list(found.sections) == ["offline"]
    assert found.namespace == "default"
    assert suite.notebook(path, "offline", found.sections["offline"]) == (
        tmp_path / "../offline.ipynb"
    )
    measured = [metrics.proportion("recall of 1", 80, 100), metrics.proportion("recall of 2", 5, 6)]
    decision = section.judge(found.sections["offline"].gates, measured)
    assert [ruling.gate.metric for ruling in decision.rulings] == ["recall of 1", "recall of 2"]
    assert decision.verdict is gates.Verdict.INCONCLUSIVE


def test_a_demand_on_what_is_not_there_is_never_met() -> None:
    demand = section.Demand(metric="recall of *", at_least=0.5)
    assert section.judge([demand], []).verdict is gates.Verdict.INCONCLUSIVE
    assert section.judge([], []).verdict is gates.Verdict.INCONCLUSIVE


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "is empty; expected a mapping with name, service"),
        ("[1]", "is a list"),
        ("{", "is not YAML"),
        ({"name": "d", "offline": {}}, "service is missing"),
        ({"name": "D!", "service": "s", "offline": {}}, "name is 'D!': string should match"),
        ({"name": "d", "service": "s"}, "has no section"),
        (
            {"name": "d", "service": "s", "offline": {"gate": []}},
            "offline.gate is not known here; accepted are notebook, timeout, gates",
        ),
        (
            {"name": "d", "service": "s", "load": {"timeout": "10"}},
            "load.timeout is '10': input should be a valid integer",
        ),
        (
            {"name": "d", "service": "s", "offline": {"gates": [{"metric": "accuracy"}]}},
            "a demand needs either at_least or at_most",
        ),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, content: Any, words: str) -> None:
    with pytest.raises(errors.DocumentInvalid) as caught:
        suite.read(written(tmp_path, content))
    assert words in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(errors.DocumentInvalid, match=r"none\.yaml cannot be read"):
        suite.read(tmp_path / "none.yaml")

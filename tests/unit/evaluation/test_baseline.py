"""Baselines: found, or refused with what is missing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from calumma import errors, inference
from calumma.evaluation import baseline

STABLE = inference.Target("digits-1", 90, latest=False)
CANARY = inference.Target("digits-2", 10, latest=True)


def endpoint(*targets: inference.Target) -> inference.Endpoint:
    return inference.Endpoint("digits", "default", "http://x", "digits", targets, None)


def test_without_a_name_there_is_none() -> None:
    found = baseline.find("", endpoint(CANARY), CANARY)
    assert not found and str(found) == "none"


def test_the_stable_revision_of_a_canary() -> None:
    found = baseline.find("stable", endpoint(STABLE, CANARY), CANARY)
    assert found and found.revision == "digits-1"
    assert str(found) == "digits-1, on the same images"
    with pytest.raises(errors.EvaluationError, match="would be compared with itself"):
        baseline.find("stable", endpoint(STABLE, CANARY), STABLE)
    with pytest.raises(errors.EvaluationError, match="has no canary"):
        baseline.find("stable", endpoint(CANARY._replace(percent=100)), CANARY)


def test_an_earlier_report_by_its_file_or_folder(tmp_path: Path) -> None:
    content = {"data": {"sha256": "a"}, "metrics": [], "times": {"started": "2026-11-21"}}
    path = tmp_path / "report.json"
    path.write_text(json.dumps(content))
    for name in (path, tmp_path):
        found = baseline.find(str(name), endpoint(CANARY), CANARY)
        assert found and found.report == content
        assert str(found) == "an earlier report, of 2026-11-21"


@pytest.mark.parametrize("text", [None, "{", "[]", "{}", '{"data": 1}'])
def test_what_is_no_report_is_refused(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "report.json").write_text(text)
    with pytest.raises(
        errors.EvaluationError, match=r"neither 'stable' nor a readable report\.json"
    ):
        baseline.find(str(tmp_path), endpoint(CANARY), CANARY)

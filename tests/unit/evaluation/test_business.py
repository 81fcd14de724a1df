"""The section business: what it reads, and what it says where something is missing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from calumma import errors
from calumma.evaluation import answers, business, document
from calumma.feedback import folder, records
from calumma.scoring import cases, page

SUITE = Path(__file__).parents[3] / "evaluation/suites/digits.yaml"


def section(**changes: Any) -> business.Business:
    content = yaml.safe_load(SUITE.read_text())["business"]
    return document.check({**content, **changes}, business.Business, "business")


def test_the_digits_say_of_every_number_that_it_is_invented() -> None:
    found = section()
    sources = [each.assumption.source for _, each in found.value.described()]
    assert len(sources) == 9 + 4
    assert all(source.startswith("invented for teaching") for source in sources)
    assert found.readers is not None and "invented" in business.about(found.readers)
    assert "not people" in business.about(found.readers)


def test_an_assumption_stands_beside_its_source_and_no_gate_on_it_passes() -> None:
    found = business.assumptions(section().value)
    assert {metric.n for metric in found.metrics} == {0}
    html = page.table(found)
    row = next(row for row in html.split("<tr>") if "price of a person" in row)
    assert "0.500 EUR" in row and "0.450 to 0.600 (100%)" in row
    assert "30 EUR for an hour of work (triangular)" in row


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"readers": {"truth": "labels"}}, "readers have either a table or are synthetic"),
        ({"readers": {"truth": "guess", "table": "t"}}, "'labels' or 'consensus'"),
        ({"days": 0}, "days is 0"),
        ({"value": None}, "value is None"),
    ],
)
def test_a_section_that_says_nonsense_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(errors.DocumentInvalid, match=words):
        section(**changes)


def test_answers_survive_the_table(tmp_path: Path) -> None:
    kept = [
        cases.Answer(cases.Case("b", b"image", "3"), "8", 0.1 + 0.2, 0.5, "r", None, (0.3, 0.7)),
        cases.Answer(cases.Case("a", b"image", None), None, None, 0.5, None, "status 503"),
    ]
    path = answers.write(kept, tmp_path / "runs")
    found = answers.read(path)
    assert [answer.case.id for answer in found] == ["a", "b"]
    assert (found[1].case.label, found[1].label, found[1].confidence) == ("3", "8", 0.1 + 0.2)
    assert (found[0].case.label, found[0].failure) == (None, "status 503")
    assert answers.digest(found) == answers.digest(kept)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (None, "cannot be read"),
        (["a\tb"], "has the columns a, b; expected are case, truth"),
        (["{}", "\t3\t3\t\t\t"], "line 2 has no case"),
        (["{}", "a\t3\t\t\t\t"], "line 2 has no label and no failure"),
        (["{}", "a\t3\t3\tsure\t\t"], "line 2: the confidence 'sure' is no number"),
        (["{}", "a\t3\t3\t2\t\t"], "line 2: the confidence '2' is no number from 0 to 1"),
        (["{}", "a\t3"], "line 2 has 2 columns; expected are 6"),
    ],
)
def test_answers_that_cannot_be_understood_are_refused(
    tmp_path: Path, rows: list[str] | None, words: str
) -> None:
    path = tmp_path / "answers.tsv"
    if rows is not None:
        path.write_text("\n".join(rows).format("\t".join(answers.COLUMNS)) + "\n")
    with pytest.raises(errors.DocumentInvalid, match=words):
        answers.read(path)


def test_files_that_are_not_there_are_named(tmp_path: Path) -> None:
    found = section(readers={"truth": "labels", "table": "readers.tsv"})
    with pytest.raises(errors.DocumentInvalid, match=r"readings .*readers\.tsv cannot be read"):
        business.readings(found.readers, tmp_path / "suite.yaml", [], seed=0)
    with pytest.raises(errors.FeedbackError, match="nowhere is not there"):
        business.uses(str(tmp_path / "nowhere"), "default", "digits")
    assert business.readings(None, tmp_path, [], seed=0) == []
    nothing: tuple[Any, ...] = (None, {"data": {}})
    for content in nothing:
        if content is not None:
            (tmp_path / "report.json").write_text(json.dumps(content))
        with pytest.raises(errors.EvaluationError, match="is no baseline: expected the folder"):
            business.baseline(str(tmp_path), found.value)


def test_without_records_users_are_not_known() -> None:
    for table in (business.used([], seed=0), business.counted(None, "default", "digits", 28)):
        (users,) = table.metrics
        assert (users.name, users.value, users.n) == ("unique users", None, 0)


def test_users_of_the_service_are_pseudonyms_in_the_feedback(tmp_path: Path) -> None:
    made = [
        records.Prediction(
            id=str(n),
            time=1e9 + n,
            service=service,
            namespace="default",
            label="3",
            confidence=0.5,
            user=user,
        )
        for n, (service, user) in enumerate([("digits", "ann"), ("digits", None), ("other", "bob")])
    ]
    with folder.Writer(tmp_path / "feedback") as writer:
        writer.predictions(made)
    first, second = business.uses(str(tmp_path / "feedback"), "default", "digits")
    assert first.user not in (None, "ann") and second.user is None
    found = {metric.name: metric for metric in business.used([first, second], seed=0).metrics}
    assert found["unique users"].value == 1
    assert found["requests per day"].value == 2

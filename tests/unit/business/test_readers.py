"""Readings: a table understood or refused, invented readers, and who judges whom."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calumma import errors
from calumma.business import readers
from calumma.business.readers import NONE, Reading
from calumma.evaluation import document
from calumma.scoring import cases

from .conftest import MakeAnswer

CLASSES = ("n", "f", "g")
FINDINGS = np.array([False, True, True])


def test_a_table_is_read_with_or_without_seconds() -> None:
    assert readers.parse("case\treader\tlabel\na\tann\tf\n", "t") == [Reading("a", "ann", "f")]
    found = readers.parse("case\treader\tlabel\tseconds\na\tann\tf\t2.5\na\tben\tn\t\n", "t")
    assert found == [Reading("a", "ann", "f", 2.5), Reading("a", "ben", "n", None)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "t has the columns none; expected are case, reader, label"),
        ("case,reader,label\n", "t has the columns case,reader,label"),
        ("case\treader\tlabel\na\tann\n", "t, line 2: found"),
        ("case\treader\tlabel\na\tann\tf\tg\n", "t, line 2: found"),
        ("case\treader\tlabel\na\tann\tf\na\tann\tn\n", "line 3: ann has read a before"),
        ("case\treader\tlabel\tseconds\na\tann\tf\t-1\n", "line 2: '-1' are no seconds"),
        ("case\treader\tlabel\tseconds\na\tann\tf\tslow\n", "'slow' are no seconds"),
        ("case\treader\tlabel\tseconds\na\tann\tf\tinf\n", "'inf' are no seconds"),
        ("case\treader\tlabel\tseconds\na\tann\tf\tnan\n", "'nan' are no seconds"),
    ],
)
def test_a_table_that_cannot_be_understood_is_refused(text: str, words: str) -> None:
    with pytest.raises(errors.DocumentInvalid, match=words):
        readers.parse(text, "t")


def invented(**changes: Any) -> readers.Synthetic:
    content = {
        "source": "a test",
        "confusion": {"f": {"n": 0.1, "g": 0.05}, "n": {"f": 0.02}},
        "readers": {"ann": 0.0, "ben": 1.0, "cem": 4.0},
        **changes,
    }
    return document.check(content, readers.Synthetic, "readers")


def test_invented_readers_err_as_often_as_declared() -> None:
    population = [cases.Case(str(n), b"", "nf"[n % 2]) for n in range(20000)]
    population.append(cases.Case("unlabelled", b"", None))
    found = readers.invented(invented(), population, seed=3)
    assert found == readers.invented(invented(), population, seed=3)
    assert found != readers.invented(invented(), population, seed=4)
    assert len(found) == 3 * 20000
    truth = {case.id: case.label for case in population}
    said = Counter((each.reader, truth[each.case], each.label) for each in found)
    assert said["ann", "f", "f"] == said["ann", "n", "n"] == 10000
    for reader, times in (("ben", 1), ("cem", 4)):
        assert said[reader, "f", "n"] == pytest.approx(1000 * times, rel=0.1)
        assert said[reader, "f", "g"] == pytest.approx(500 * times, rel=0.1)
        assert said[reader, "n", "f"] == pytest.approx(200 * times, rel=0.25)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"source": ""}, "source is ''"),
        ({"readers": {}}, "readers is {}"),
        ({"readers": {"a": -1.0}}, "greater than or equal to 0"),
        ({"readers": {"a": 8.0}}, "f would be taken for others 1.2 times as often as it comes"),
        ({"confusion": {"f": {"f": 0.1}}}, "how often f is taken for itself"),
        ({"confusion": {"f": {"n": 1.1}}}, "less than or equal to 1"),
    ],
)
def test_rates_that_cannot_be_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(errors.DocumentInvalid, match=words):
        invented(**changes)


votes = st.integers(2, 5).flatmap(
    lambda people: st.lists(
        st.lists(st.integers(NONE, 2), min_size=people, max_size=people), min_size=1, max_size=6
    )
)


@given(votes)
def test_nobody_is_judged_by_a_truth_that_holds_their_own_vote(rows: list[list[int]]) -> None:
    said = np.array(rows).T
    truth = readers.majority_of_others(said, 3)
    for reader, case in np.ndindex(*said.shape):
        others = Counter(v for v in np.delete(said[:, case], reader).tolist() if v != NONE)
        top = [label for label, count in others.items() if count == max(others.values())]
        assert truth[reader, case] == (top[0] if len(top) == 1 else NONE)
        changed = said.copy()
        changed[reader, case] = (said[reader, case] + 1) % 3
        assert readers.majority_of_others(changed, 3)[reader, case] == truth[reader, case]


def test_readings_are_arranged_beside_the_answers(answer: MakeAnswer) -> None:
    answers = [answer("f", "f"), answer("n", None), answer("g", "n")]
    first, second, third = (each.case.id for each in answers)
    readings = [
        Reading(first, "ben", "n", 3.0),
        Reading(first, "ann", "f"),
        Reading(second, "ann", "n"),
        Reading(third, "ben", "g"),
    ]
    study = readers.arrange(readings, answers, CLASSES, FINDINGS, "labels")
    assert study.readers == ("ann", "ben") and study.cases == (first, second, third)
    assert study.said.tolist() == [[1, 0, NONE], [0, NONE, 2]]
    assert study.truth.tolist() == [[1, 0, 2], [1, 0, 2]]
    assert study.suggested.tolist() == [1, NONE, 0]
    assert np.nansum(study.seconds) == 3.0


def test_a_reading_that_fits_nothing_is_refused(answer: MakeAnswer) -> None:
    one = answer("f", "f")
    for reading, truth, words in (
        (Reading(one.case.id, "ann", "x"), "labels", "ann said 'x' of case-.* which is no class"),
        (Reading("other", "ann", "f"), "labels", "ann has read other, which is not among the 1"),
        (Reading(one.case.id, "ann", "f"), "consensus", "there are 1 readers; each is judged"),
    ):
        with pytest.raises(errors.EvaluationError, match=words):
            readers.arrange([reading], [one], CLASSES, FINDINGS, truth)  # type: ignore[arg-type]

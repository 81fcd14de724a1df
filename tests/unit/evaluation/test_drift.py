"""The section ``drift`` of a suite: what it compares, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from calumma import errors
from calumma.evaluation import document, drift, suite

SUITES = Path(__file__).parents[3] / "evaluation/suites"


def test_the_example_is_understood_and_demands_no_alarm() -> None:
    found = suite.read(SUITES / "digits.yaml").drift
    assert found is not None
    first, *others = found.demands
    assert (first.metric, first.at_least, first.minimum) == ("adjusted p-value of *", 0.05, 100)
    assert others == list(found.gates)


def test_one_data_set_is_divided_into_halves_that_share_nothing() -> None:
    reference, current = drift.Drift().populations()
    assert len(reference) == len(current) == 300
    assert not {case.image for case in reference} & {case.image for case in current}
    again, _ = drift.Drift().populations()
    assert again == reference


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"detectors": ["inputs", "magic"]}, "each may be named once, of inputs, embeddings"),
        ({"detectors": ["inputs", "inputs"]}, "each may be named once"),
        ({"detectors": []}, "detectors is []"),
        ({"alpha": 0}, "alpha is 0"),
        ({"alpha": 0.001}, "999 permutations cannot give a p-value below 0.0002"),
        ({"window": 1}, "window is 1"),
        ({"threshold": 0.1}, "threshold is not known here"),
    ],
)
def test_a_mistake_is_named(content: dict[str, Any], words: str) -> None:
    with pytest.raises(errors.DocumentInvalid) as caught:
        document.check(content, drift.Drift, "suite")
    assert words in str(caught.value)

"""The section ``drift`` of a suite: what it compares, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from calumma import datasets, errors
from calumma.evaluation import document, drift, suite
from calumma.feedback import folder, records

SUITES = Path(__file__).parents[3] / "evaluation/suites"


def test_the_example_is_understood_and_demands_no_alarm() -> None:
    found = suite.read(SUITES / "digits.yaml").drift
    assert found is not None
    first, *others = found.demands
    assert (first.metric, first.at_least, first.minimum) == ("adjusted p-value of *", 0.05, 100)
    assert others == list(found.gates)


def test_one_data_set_is_divided_into_halves_that_share_nothing() -> None:
    reference, current = drift.Drift().populations("digits", "default")
    assert len(reference) == len(current) == 300
    assert not {case.image for case in reference} & {case.image for case in current}
    again, _ = drift.Drift().populations("digits", "default")
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


def test_recorded_requests_are_compared_in_their_order_the_newest_of_them(tmp_path: Path) -> None:
    images = [case.image for case in datasets.held_out("digits")[:30]]
    with folder.Writer(tmp_path) as writer:
        found = [
            records.Prediction(
                id=f"{number}",
                time=1000.0 + number,
                service="digits" if number else "other",
                namespace="default",
                label="1",
                confidence=0.9,
                image=writer.image(image),
            )
            for number, image in enumerate(images)
        ]
        writer.predictions(found)
        writer.sync()
    section = drift.Drift(feedback=str(tmp_path), newest=20)
    reference, current = section.populations("digits", "default")
    assert len(reference) == 600
    assert [case.image for case in current] == images[10:]
    assert "recorded in" in section.source
    with pytest.raises(errors.FeedbackError, match="is not there"):
        drift.Drift(feedback=str(tmp_path / "no")).populations("digits", "default")

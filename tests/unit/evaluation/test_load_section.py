"""The section ``load``: what it needs, and the times and parameters that follow from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from calumma import errors
from calumma.evaluation import document, load, suite

SUITES = Path(__file__).parents[3] / "evaluation" / "suites"
CONSTANT = {"constant": {"rate": 10, "seconds": 2}, "arrivals": "even"}
IMAGES = {"name": "images", "dataset": "digits"}
SEARCH = {"start": 1, "maximum": 2}


def section(**changes: Any) -> load.Load:
    content = {"pattern": [CONSTANT], "payloads": [IMAGES], **changes}
    return document.check(content, load.Load, "load")


def test_the_example_s_section_is_complete() -> None:
    found = suite.require(suite.read(SUITES / "digits.yaml").load, "load", "digits.yaml")
    (_, warm_up), (times, seconds) = found.times(SUITES / "digits.yaml", seed=0, scale=1.0)
    assert (warm_up, seconds) == (3, 21) and 400 < len(times) < 620
    assert found.search is not None and found.objective is not None and found.gates


def test_a_scale_multiplies_the_rates_and_a_seed_draws_the_times() -> None:
    found = section(warm_up=[CONSTANT])
    assert [len(times) for times, _ in found.times("x.yaml", seed=0, scale=3.0)] == [60, 60]
    drawn = section(pattern=[{"constant": {"rate": 10, "seconds": 2}}])
    first, again, other = (drawn.times("x", seed=seed, scale=1)[1][0] for seed in (1, 1, 2))
    assert first.tolist() == again.tolist() != other.tolist()


def test_its_parameters_are_what_makes_the_load_and_its_gates_are_not_among_them() -> None:
    found = section(pattern=[{"ramp": {"from": 1, "to": 2, "seconds": 3}}], gates=[])
    assert found.parameters["pattern"] == [
        {"ramp": {"from": 1.0, "to": 2.0, "seconds": 3.0}, "arrivals": "poisson"}
    ]
    assert {"payloads", "target", "connections"} <= set(found.parameters)
    assert not {"gates", "notebook", "search"} & set(found.parameters)
    assert document.check(found.parameters, load.Load, "again") == found


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"pattern": []}, "pattern is []"),
        ({"payloads": []}, "payloads is []"),
        ({"search": SEARCH}, "a search needs an objective to search under"),
        ({"payloads": [IMAGES, IMAGES]}, "images, images are not all named differently"),
        ({"payloads": [{"name": "x", "body": "", "expects": [400]}]}, "no payload expects 200"),
        ({"payloads": [{"name": "x"}]}, "one of dataset, tensors, body; found is none"),
        ({"payloads": [{**IMAGES, "tensors": 1}]}, "found is dataset and tensors"),
        ({"payloads": [{**IMAGES, "weight": 0}]}, "payloads.0.weight is 0"),
        ({"target": "somebody"}, "target is 'somebody'"),
    ],
)
def test_a_load_that_would_measure_nothing_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(errors.DocumentInvalid) as caught:
        section(**changes)
    assert words in str(caught.value)

"""An assumption has a range and a source; a value model is one language or refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from calumma import errors
from calumma.business.assumptions import Amount, Share
from calumma.business.valuemodel import ValueModel
from calumma.evaluation import document

from .conftest import assumption, content


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"source": ""}, "source is ''"),
        ({"source": " "}, "source is ' '"),
        ({"range": [-1, 3]}, "range begins at -1; an amount is at least 0"),
        ({"value": -1, "range": [-1, 3]}, "an amount is at least 0"),
        ({"range": [3, 4]}, "the value 2 must lie in its range 3 to 4"),
        ({"range": [4, 1]}, "the range go from the lower to the higher"),
        ({"range": [1, float("inf")]}, "must lie in its range|finite"),
        ({"value": "2"}, "value is '2'"),
        ({"shape": "normal"}, "'triangular' or 'uniform'"),
        ({"unit": "s"}, "unit is not known here; accepted are value, range, shape, source"),
    ],
)
def test_an_assumption_that_says_too_little_or_nonsense_is_refused(
    changes: dict[str, Any], words: str
) -> None:
    given = {"value": 2, "range": [1, 3], "source": "somebody", **changes}
    with pytest.raises(errors.DocumentInvalid, match=words):
        document.check(given, Amount, "minutes")


def test_an_assumption_without_a_source_is_refused() -> None:
    given = content()
    del given["catches"]["source"]
    with pytest.raises(errors.DocumentInvalid, match=r"catches\.source is missing"):
        document.check(given, ValueModel, "the model")


def test_a_share_is_at_most_one() -> None:
    with pytest.raises(errors.DocumentInvalid, match="a share is from 0 to 1"):
        document.check(assumption((0.5, 0.2, 1.2)), Share, "catches")


def test_draws_stay_in_the_range_and_follow_its_shape() -> None:
    sure, uniform = assumption(2), {**assumption((2, 1, 6)), "shape": "uniform"}
    triangular = document.check(assumption((2, 1, 6)), Amount, "x").draw("x", 0, 20000)
    flat = document.check(uniform, Amount, "x").draw("x", 0, 20000)
    assert set(document.check(sure, Amount, "x").draw("x", 0, 10)) == {2.0}
    for drawn, mean in ((triangular, 3.0), (flat, 3.5)):
        assert drawn.min() >= 1 and drawn.max() <= 6
        assert drawn.mean() == pytest.approx(mean, abs=0.03)
    again = document.check(assumption((2, 1, 6)), Amount, "x").draw("x", 0, 20000)
    assert np.array_equal(triangular, again)
    other = document.check(assumption((2, 1, 6)), Amount, "x").draw("y", 0, 20000)
    assert abs(np.corrcoef(triangular, other)[0, 1]) < 0.03


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"missed": {"g": 1}, "false_alarm": {"g": 1}}, "missed names g, which the model does not"),
        ({"false_alarm": {}}, "the findings f and false_alarm none; both must name the same"),
        ({"missed": {}, "false_alarm": {}}, "missed is {}"),
        ({"classes": ["f", "f"]}, "a class is named twice"),
        ({"classes": ["f"]}, "at least 2 items"),
        ({"mix": {"f": 1}}, "mix must name every class, and n is not there"),
        ({"mix": {"f": 0, "n": 0}}, "weights of mix may all be 0"),
        ({"mix": {"f": 1, "n": 1, "x": 1}}, "mix names x"),
        ({"accept_from": 1.5}, "accept_from is 1.5"),
        ({"minutes_alone": -2}, "an amount is at least 0"),
        ({"catches": 2}, "a share is from 0 to 1"),
    ],
)
def test_a_value_model_that_contradicts_itself_is_refused(
    changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(errors.DocumentInvalid, match=words):
        document.check(content(**changes), ValueModel, "the model")


def test_every_assumption_is_described_with_its_unit() -> None:
    model = document.check(content(currency="CHF", mix={"n": 3, "f": 1}), ValueModel, "the model")
    described = dict(model.described())
    fields = set(ValueModel.model_fields) - {"currency", "classes", "accept_from"}
    assert {name.split(" ")[0] for name in described} == fields
    assert described["price_of_a_minute"].unit == described["missed f"].unit == "CHF"
    assert len({each.meaning for each in described.values()}) == len(described)
    assert model.best_guess()["mix n"] == 3

"""Value models and answers to order, for the tests of business."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from calumma.business.valuemodel import ValueModel
from calumma.evaluation import document
from calumma.scoring import cases

MakeModel = Callable[..., ValueModel]
MakeAnswer = Callable[..., cases.Answer]

SMALL: dict[str, Any] = {
    "classes": ["n", "f"],
    "accept_from": 0.9,
    "minutes_alone": 2,
    "minutes_confirming": 1,
    "price_of_a_minute": 3,
    "cases_a_day": 100,
    "serving_an_hour": 1,
    "person_misses": 0.1,
    "person_false_alarms": 0.05,
    "catches": 0.5,
    "spoils": 0.1,
    "missed": {"f": 50},
    "false_alarm": {"f": 10},
}
"""A finding f and nothing n; numbers stand for assumptions that are sure of themselves."""


def assumption(value: Any) -> Any:
    """A number as an assumption; three are value, low, high; a mapping has one for each class."""
    if isinstance(value, dict):
        return {name: assumption(each) for name, each in value.items()}
    value, low, high = value if isinstance(value, tuple) else (value, value, value)
    return {"value": value, "range": [low, high], "source": "a test"}


def content(**changes: Any) -> dict[str, Any]:
    """The document of a value model."""
    plain = ("classes", "accept_from", "currency")
    found = {**SMALL, **changes}
    return {name: each if name in plain else assumption(each) for name, each in found.items()}


@pytest.fixture
def make_model() -> MakeModel:
    return lambda **changes: document.check(content(**changes), ValueModel, "the model")


@pytest.fixture
def answer() -> MakeAnswer:
    """An answer; every call makes another case."""
    made = iter(range(10_000_000))

    def make(true: str | None, said: str | None, confidence: float = 0.95) -> cases.Answer:
        case = cases.Case(f"case-{next(made):05}", b"", true)
        failure = "timeout" if said is None else None
        return cases.Answer(case, said, None if failure else confidence, 0.0, None, failure)

    return make


@pytest.fixture
def ten(answer: MakeAnswer) -> list[cases.Answer]:
    """Four findings and six others: right, wrong, sure, unsure, failed."""
    return [
        answer("f", "f"),
        answer("f", "f", 0.5),
        answer("f", "n"),
        answer("f", "n", 0.5),
        answer("n", "n"),
        answer("n", "n"),
        answer("n", "n", 0.5),
        answer("n", "f"),
        answer("n", "f", 0.5),
        answer("n", None),
    ]

"""Answers to order, for the tests of scoring."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from calumma.scoring import cases

Make = Callable[..., cases.Answer]


@pytest.fixture
def make() -> Make:
    """An answer; every call makes another case."""
    made = iter(range(10_000_000))

    def answer(
        true: str | None,
        said: str | None,
        confidence: float = 0.9,
        seconds: float = 0.010,
        failure: str | None = None,
    ) -> cases.Answer:
        number = next(made)
        case = cases.Case(f"case-{number:05}", f"image {number}".encode(), true)
        given = None if failure else confidence
        return cases.Answer(case, said, given, seconds, "digits-predictor-00001", failure)

    return answer

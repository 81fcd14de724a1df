"""Figures: the same bytes for the same input, and drawn whatever there is to show."""

from __future__ import annotations

import io
from collections.abc import Sequence

import pytest
from PIL import Image

from calumma.business import estimate, figures, sensitivity, tally
from calumma.scoring import cases, metrics

from .conftest import MakeAnswer, MakeModel


def drawn(make_model: MakeModel, answers: Sequence[cases.Answer]) -> list[bytes]:
    model = make_model(minutes_alone=(2, 1, 4))
    found = estimate.of(tally.of_answers(answers, model), model, seed=0, draws=200)
    tried = sensitivity.by_threshold(answers, model, (0.5, 0.9), seed=0, draws=200)
    effect = float(found.follow(found.best).effect)
    by_class = [metrics.proportion(f"missed f, {name}", 1, 9) for name in ("person alone", "x")]
    return [
        figures.tornado(sensitivity.tornado(found), effect, "EUR/day"),
        figures.break_even(found),
        figures.thresholds(tried, model.accept_from),
        figures.thresholds([], None),
        figures.policies(by_class),
        figures.policies([]),
        figures.hours([0] * 23 + [5]),
    ]


@pytest.mark.parametrize("kind", ["some", "failed", "none"])
def test_the_same_input_gives_the_same_bytes(
    make_model: MakeModel, ten: list[cases.Answer], answer: MakeAnswer, kind: str
) -> None:
    answers = {
        "some": ten,
        "failed": [answer("f", None), answer("n", None)],
        "none": [],
    }[kind]
    first, second = (drawn(make_model, answers) for _ in range(2))
    assert first == second
    for png in first:
        with Image.open(io.BytesIO(png)) as image:
            assert image.format == "PNG" and image.width > 600

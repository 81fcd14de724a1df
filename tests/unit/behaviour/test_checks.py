"""The tests judged on answers of models whose behaviour is known."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from calumma import errors
from calumma.behaviour import checks, figures
from calumma.scoring import cases

Model = Callable[[cases.Case], tuple[float, float]]
CLASSES = ["dark", "bright"]
BRIGHTER = checks.Test(
    "brighter", checks.Kind.INVARIANCE, "brightness", (1.2, 2.0), images=30, side=16
)
DARKER = checks.Test(
    "darker", checks.Kind.DIRECTIONAL, "brightness", (0.8, 0.5), images=30, side=16, tolerance=0.01
)


def grey(level: int) -> bytes:
    file = io.BytesIO()
    Image.new("L", (8, 8), level).save(file, "PNG")
    return file.getvalue()


POPULATION = [
    cases.Case(f"level {level}", grey(level), CLASSES[level > 127]) for level in range(10, 250, 8)
]


def level(case: cases.Case) -> float:
    with Image.open(io.BytesIO(case.image)) as image:
        return float(np.asarray(image).mean())


def sighted(case: cases.Case) -> tuple[float, float]:
    """A model that is surer the further from the middle."""
    bright = level(case) / 255
    return 1 - bright, bright


def stubborn(_: cases.Case) -> tuple[float, float]:
    return 0.3, 0.7


def ask(model: Model, images: Iterable[cases.Case]) -> dict[str, cases.Answer]:
    answers = {}
    for case in images:
        both = model(case)
        said = int(np.argmax(both))
        answers[case.id] = cases.Answer(
            case, CLASSES[said], both[said], 0.01, None, None, probabilities=both
        )
    return answers


def judged(test: checks.Test, model: Model, seed: int = 0) -> checks.Result:
    made = checks.chains(test, POPULATION, seed=seed)
    return checks.judge(test, made, ask(model, checks.images([made])), CLASSES)


def test_a_model_that_never_changes_its_mind_is_invariant() -> None:
    found = judged(BRIGHTER, stubborn)
    assert (found.metric.name, found.metric.count, found.metric.n) == (
        "invariance: brighter",
        30,
        30,
    )
    assert found.failures == () and [metric.value for _, metric in found.curve] == [1, 1]


def test_a_model_that_sees_brightness_is_not() -> None:
    found = judged(BRIGHTER, sighted)
    # At twice the brightness everything from 64 on is bright, which was dark below 128.
    turned = sum(64 <= level(case) < 128 for case in POPULATION)
    assert found.metric.count == 30 - turned
    shares = [metric.value for _, metric in found.curve]
    assert shares[0] is not None and shares[1] is not None and shares[0] > shares[1]
    assert len(found.failures) == turned
    for failure in found.failures:
        assert failure.reference.label == "dark" and failure.variant.label == "bright"


def test_a_direction_that_must_not_be_taken() -> None:
    # Darker images: the probability of "bright" falls, that of "dark" rises, which it must not.
    rising = judged(DARKER, sighted)
    dark = sum(case.label == "dark" for case in POPULATION)
    # The darkest rise by less than the tolerance.
    assert 30 - dark <= (rising.metric.count or 0) <= 30 - dark + 2
    falling = judged(replace(DARKER, must_not=checks.Trend.FALL), sighted)
    assert falling.metric.count == dark
    assert judged(DARKER, stubborn).metric.value == 1
    with pytest.raises(errors.EvaluationError, match="in its order"):
        made = checks.chains(DARKER, POPULATION, seed=0)
        checks.judge(DARKER, made, ask(sighted, checks.images([made])), ["bright", "dark"])


def test_a_failed_request_fails_the_image_and_one_that_was_never_asked_does_not_count() -> None:
    made = checks.chains(BRIGHTER, POPULATION, seed=0)
    answers: dict[str, cases.Answer] = ask(stubborn, checks.images([made]))
    lost = made[0].variants[1].id
    answers[lost] = replace(
        answers[lost], label=None, confidence=None, failure="timeout", probabilities=()
    )
    del answers[made[1].reference.id]
    found = checks.judge(BRIGHTER, made, answers)
    assert (found.metric.count, found.metric.n) == (28, 29)
    assert figures.gallery([found])[:4] == b"\x89PNG"


def test_the_same_seed_draws_the_same_images() -> None:
    few = replace(BRIGHTER, images=5)
    one, again, other = (
        [chain.source.id for chain in checks.chains(few, population, seed=seed)]
        for population, seed in ((POPULATION, 0), (POPULATION[::-1], 0), (POPULATION, 1))
    )
    assert one == again != other and len(one) == 5
    made = [checks.chains(few, POPULATION, seed=0) for _ in range(2)]
    assert len(checks.images(made)) == 15  # each image once


def test_images_without_a_label_have_no_direction() -> None:
    unlabelled = [replace(case, label=None) for case in POPULATION]
    assert checks.chains(DARKER, unlabelled, seed=0) == []
    assert checks.judge(DARKER, [], {}, CLASSES).metric.value is None
    assert len(checks.chains(BRIGHTER, unlabelled, seed=0)) == 30


def test_composed_images_of_one_subject_count_together() -> None:
    test = checks.Test("templates", checks.Kind.MINIMUM_FUNCTIONALITY)
    images = [
        cases.Case(f"{subject} {n}", b"", CLASSES[subject % 2], {"subject": str(subject)})
        for subject in range(6)
        for n in range(9)
    ]

    def right_about_one_class(case: cases.Case) -> tuple[float, float]:
        return 0.9, 0.1

    answers: Mapping[str, cases.Answer] = ask(right_about_one_class, images)
    found = checks.simple(test, images, answers)
    assert (found.metric.count, found.metric.n) == (27, 54)
    assert found.metric.interval is not None
    assert found.metric.interval.high - found.metric.interval.low > 0.5  # Wilson's of 54 is 0.26
    assert [(m.name, m.count) for m in found.groups] == [
        ("minimum functionality: templates, bright", 0),
        ("minimum functionality: templates, dark", 27),
    ]
    assert len(found.failures) == 27


def test_pictures_are_the_same_each_time() -> None:
    results = [judged(BRIGHTER, sighted), judged(DARKER, sighted)]
    for draw in (figures.curves, figures.gallery):
        assert draw(results) == draw(results)
        assert draw(results)[:4] == draw([])[:4] == b"\x89PNG"

"""Everything at once, on real digits: no drift, drift on purpose, pictures of something else."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from scipy import stats
from sklearn.linear_model import LogisticRegression

from calumma import errors
from calumma.drift import (
    examination,
    features,
    figures,
    novelty,
    rehearsal,
    shifts,
    sides,
    tables,
)
from calumma.evaluation import drift, section
from calumma.models import digits
from calumma.scoring import cases
from calumma.scoring.gates import Verdict
from support import pods

SECTION = drift.Drift()


@pytest.fixture(scope="module")
def classifier() -> LogisticRegression:
    images, labels = digits.training()
    return LogisticRegression(max_iter=200).fit(images.reshape(len(images), -1) / 255, labels)


def pixels(case: cases.Case) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    with Image.open(io.BytesIO(case.image)) as image:
        return np.asarray(image.convert("L").resize((8, 8)), dtype=np.float64).ravel() / 255


def ask(model: LogisticRegression, population: Sequence[cases.Case]) -> list[cases.Answer]:
    probabilities = model.predict_proba([pixels(case) for case in population])
    return [
        cases.Answer(case, str(row.argmax()), float(row.max()), 0.0, None, None, tuple(row))
        for case, row in zip(population, probabilities, strict=True)
    ]


def examined(model: LogisticRegression, shift: str = "") -> examination.Examination:
    reference, current = SECTION.populations("digits", "default")
    current = shifts.apply(shifts.parse(shift), current, seed=0)
    return examination.examine(ask(model, reference), ask(model, current), SECTION.settings(0))


def alarms(found: examination.Examination) -> set[str]:
    return {each.name for each in found.detections if each.alarm}


def test_digits_as_they_are_pass(classifier: LogisticRegression) -> None:
    found = examined(classifier)
    assert alarms(found) == set()
    measured = [
        metric
        for table in (tables.alarms(found), tables.accuracy(found), tables.inputs(found))
        for metric in table.metrics
    ]
    assert section.judge(SECTION.demands, measured).verdict is Verdict.PASS
    assert found.doubts == []
    assert found.mix.reason is None
    few = SECTION.model_copy(update={"minimum": 301})
    assert section.judge(few.demands, measured).verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(
    ("shift", "expected"),
    [
        ("blur=2", {"inputs", "embeddings", "outputs", "online"}),
        ("brightness=1.5", {"inputs", "embeddings", "online"}),
        ("noise=0.3", {"inputs", "embeddings", "online"}),
        ("contrast=0.4", {"inputs", "embeddings", "online"}),
        ("labels=0.9", {"labels"}),
        ("subpopulation=0.9", {"inputs"}),
    ],
)
def test_a_clear_shift_is_found_by_who_should_find_it(
    classifier: LogisticRegression, shift: str, expected: set[str]
) -> None:
    assert expected <= alarms(examined(classifier, shift))


def test_a_car_park_sent_to_a_model_of_digits_is_flagged(classifier: LogisticRegression) -> None:
    found = examined(classifier, "outliers=0.3")
    strange = np.array([answer.case.label is None for answer in found.current.answers])
    assert strange.sum() > 60
    assert found.flags.outside[strange].mean() > 0.9
    assert found.flags.outside[~strange].mean() < 0.05
    assert any("unlike any reference image" in doubt for doubt in found.doubts)
    assert found.estimated.interval is not None
    assert found.estimated.interval.high - found.estimated.interval.low > 0.25
    assert figures.unusual(found).startswith(b"\x89PNG")


def test_false_alarms_between_halves_of_the_reference_are_as_promised(
    classifier: LogisticRegression,
) -> None:
    reference, _ = SECTION.populations("digits", "default")
    settings = replace(SECTION.settings(0), permutations=199)
    side = sides.of(ask(classifier, reference))
    runs: list[int] = []
    kept, rules = rehearsal.rehearse(side, settings, runs=60, progress=runs.append)
    assert runs == list(range(60))
    assert [each.name for each in kept] == [
        f"false alarms of {name}" for name in (*SECTION.detectors, "any detector")
    ]
    for each in kept:
        assert (each.count or 0) <= stats.binom.ppf(0.999, 60, settings.alpha), each.name
    often = {each.name.partition("rule: ")[2] for each in rules if (each.value or 0) > 0.25}
    assert "discrepancy above its 5% quantile" in often and len(often) >= 3
    assert figures.rates((*kept, *rules), 0.05, "share").startswith(b"\x89PNG")


def test_photographs_are_no_digits(classifier: LogisticRegression) -> None:
    photos = sorted(pods.FOOD11.glob("cake_looks_like/*.jpg"))
    if not photos:
        pytest.skip(f"no Food-11 files at {pods.FOOD11}")
    found = [cases.Case(path.name, path.read_bytes(), None) for path in photos]
    reference, _ = SECTION.populations("digits", "default")
    known = features.measure(reference).embedding
    sure = np.full(len(reference), 0.99)
    bank_rows, rest = novelty.split(len(reference), 0)
    inputs = novelty.Inputs(known, sure)
    vectors = features.measure(found).embedding
    flags = novelty.flag(
        novelty.Bank(inputs.some(bank_rows)),
        inputs.some(rest),
        novelty.Inputs(vectors, np.full(len(vectors), 0.99)),
        alpha=0.05,
    )
    assert flags.unusual.all() and flags.outside.all()


def test_the_same_examination_draws_the_same_pictures(classifier: LogisticRegression) -> None:
    one, two = (examined(classifier, "noise=0.1") for _ in range(2))
    assert one.flags.p_values.tolist() == two.flags.p_values.tolist()
    assert tables.sizes(one) == tables.sizes(two)
    assert figures.capitals(one.paths, 0.05, 5) == figures.capitals(two.paths, 0.05, 5)


def test_what_failed_is_counted_and_nothing_is_dropped(classifier: LogisticRegression) -> None:
    reference, current = SECTION.populations("digits", "default")
    answers = ask(classifier, current)
    answers[0] = replace(answers[0], label=None, confidence=None, failure="503", probabilities=())
    torn = replace(answers[1].case, image=b"no image")
    answers[1] = replace(answers[1], case=torn)
    found = examination.examine(ask(classifier, reference), answers, SECTION.settings(0))
    by_name = {metric.name: metric for metric in tables.inputs(found).metrics}
    assert by_name["failed requests"].count == by_name["unreadable images"].count == 1
    assert by_name["failed requests"].n == 300
    assert found.measured.n == 300 and found.estimated.n == 300


def test_what_cannot_be_compared_is_a_sentence(classifier: LogisticRegression) -> None:
    reference, current = SECTION.populations("digits", "default")
    before, now = ask(classifier, reference), ask(classifier, current)
    settings = SECTION.settings(0)
    with pytest.raises(errors.EvaluationError, match="3 images are both in the reference"):
        examination.examine(before, [*now, *before[:3]], settings)
    unlabelled = replace(before[0], case=replace(before[0].case, label=None))
    with pytest.raises(errors.EvaluationError, match="1 of 300 reference images have no label"):
        examination.examine([unlabelled, *before[1:]], now, settings)
    with pytest.raises(errors.EvaluationError, match="10 reference images were answered"):
        examination.examine(before[:10], now, settings)
    other = [replace(answer, probabilities=answer.probabilities[:9]) for answer in now]
    with pytest.raises(errors.EvaluationError, match="must be the same model"):
        examination.examine(before, other, settings)


def test_answers_are_put_into_the_order_of_their_images(classifier: LogisticRegression) -> None:
    reference, current = SECTION.populations("digits", "default")
    mixed = ask(classifier, [current[2], reference[0], current[0], current[1]])
    arranged = examination.arranged(mixed, current)
    assert [answer.case.id for answer in arranged] == [case.id for case in current[:3]]


def test_features_of_an_image_are_what_people_would_say() -> None:
    grey = np.full((10, 20, 3), 0.25)
    brightness, contrast, sharpness, saturation, width, height = features.statistics(grey)
    assert (brightness, contrast, sharpness, saturation) == pytest.approx((0.25, 0, 0, 0))
    assert (width, height) == (20, 10)
    red = np.zeros((4, 4, 3))
    red[..., 0] = 1
    assert features.statistics(red)[3] > 0.3
    assert features.embed(grey).shape == (288,)

"""Random and hard images are kept apart, and weighted."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from calumma import errors
from calumma.scoring import cases, sampling
from calumma.statistics import intervals

from .conftest import Make

PLAN = sampling.Plan("origin", {"random": 0.9, "low confidence": 0.1, "probe *": 0.0})


def placed(answer: cases.Answer, origin: str) -> cases.Answer:
    case = dataclasses.replace(answer.case, metadata={"origin": origin})
    return dataclasses.replace(answer, case=case)


def answers(make: Make, origin: str, right: int, n: int) -> list[cases.Answer]:
    return [placed(make("1", "1" if i < right else "2"), origin) for i in range(n)]


def test_without_a_plan_all_count_the_same(make: Make) -> None:
    found = sampling.accuracy(sampling.of(answers(make, "x", 7, 10), sampling.Plan()))
    assert (found.count, found.n, found.interval) == (7, 10, intervals.wilson(7, 10))
    assert sampling.accuracy(sampling.of([], sampling.Plan())).value is None


def test_strata_are_weighted_and_probes_stand_for_nobody(make: Make) -> None:
    given = answers(make, "random", 19, 20) + answers(make, "low confidence", 30, 60)
    given += answers(make, "probe dark", 0, 40)
    sample = sampling.of(given, PLAN)
    found = sampling.accuracy(sample)
    assert found.value == pytest.approx(0.9 * 0.95 + 0.1 * 0.5)
    assert (found.n, found.count) == (80, None)
    assert sample.case_weights().sum() == pytest.approx(1)
    assert len(sample.representative) == 80
    shown = {metric.name: metric.count for metric in sampling.strata(sample)}
    assert shown == {
        "accuracy of stratum random (weight 0.9)": 19,
        "accuracy of stratum low confidence (weight 0.1)": 30,
        "accuracy of stratum probe * (weight 0)": 0,
    }


def test_a_weighted_accuracy_holds_the_truth(make: Make) -> None:
    generator = np.random.default_rng(0)
    held = 0
    for _ in range(400):
        right = generator.binomial([40, 25], [0.96, 0.6]).tolist()
        given = answers(make, "random", right[0], 40) + answers(
            make, "low confidence", right[1], 25
        )
        low, high = sampling.accuracy(sampling.of(given, PLAN)).interval or (0, 0)
        held += low <= 0.9 * 0.96 + 0.1 * 0.6 <= high
    assert held / 400 > 0.92


def test_picked_images_count_only_where_they_are_asked_for(make: Make) -> None:
    given = answers(make, "random", 5, 10) + answers(make, "low confidence", 2, 4)
    given += answers(make, "probe dark", 3, 4)
    sample = sampling.of(given, PLAN)
    probes = {each.case.id for each in given[14:]}

    def inside(answer: cases.Answer) -> bool:
        return answer.case.id in probes

    assert sample.share("x", inside, sampling.right).value is None
    assert sample.share("x", inside, sampling.right, picked=True).count == 3
    every = sample.share("x", sampling.everything, sampling.right, picked=True)
    assert every.n == 14


def test_what_nobody_gave_a_weight_is_refused(make: Make) -> None:
    with pytest.raises(errors.DatasetInvalid, match="origin 'odd', and no stratum of the suite"):
        sampling.of(answers(make, "odd", 1, 1), PLAN)
    with pytest.raises(errors.DatasetInvalid, match="low confidence, which stands for 10%"):
        sampling.of(answers(make, "random", 1, 1), PLAN)

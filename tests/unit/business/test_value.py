"""From counts to money: by hand, by brute force, and what must hold for all numbers."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calumma import errors
from calumma.business import consequences, estimate, sensitivity, tally
from calumma.business.valuemodel import ValueModel
from calumma.evaluation import document
from calumma.scoring import cases, metrics

from .conftest import MakeAnswer, MakeModel, content


def named(found: tuple[metrics.Metric, ...]) -> dict[str, metrics.Metric]:
    return {metric.name: metric for metric in found}


def test_the_numbers_are_those_computed_by_hand(
    make_model: MakeModel, ten: list[cases.Answer]
) -> None:
    found = estimate.of(tally.of_answers(ten, make_model()), make_model(), seed=0)
    values = {name: metric.value for name, metric in named(estimate.value(found)).items()}
    assert values == pytest.approx(
        {
            # One is accepted, half of one is not caught, a tenth of one is spoiled.
            "missed findings per 1000": 160,
            "missed findings per 1000, person alone": 40,
            "missed findings per 1000, assisted minus alone": 120,
            # The same, and the failed one is read alone.
            "false alarms per 1000": 165,
            "false alarms per 1000, person alone": 30,
            # Alone 2 minutes; assisted 1 minute for four and 2 for the failed one of ten.
            "hours saved per day": 100 * 1.4 / 60,
            "cost per day, person alone": 100 * (3 * 2 + 0.04 * 50 + 0.03 * 10),
            "cost per day": 100 * (3 * 0.6 + 0.16 * 50 + 0.165 * 10) + 24,
            "economic effect per day": 830 - 1169,
        }
    )
    turning = named(sensitivity.break_even(found))
    assert turning["break-even accuracy"].value == pytest.approx(1 - 501 / 840 * 4 / 9)
    assert turning["break-even price of a minute"].value == pytest.approx(3 + 339 / 140)
    assert named(estimate.value(found))["missed findings per 1000"].n == 4
    assert tally.accepted(found.tally).count == 5


counts = st.lists(st.integers(0, 30), min_size=3 * 4 * 2, max_size=3 * 4 * 2)
shares = st.floats(0, 1)
amounts = st.floats(0, 100)


@st.composite
def models(draw: st.DrawFn) -> ValueModel:
    findings = draw(st.sampled_from([("b",), ("b", "c"), ("a", "b", "c")]))
    changes: dict[str, Any] = {
        name: draw(shares) for name in ("person_misses", "person_false_alarms", "catches", "spoils")
    }
    changes |= {
        name: draw(amounts)
        for name in ("minutes_alone", "minutes_confirming", "price_of_a_minute", "serving_an_hour")
    }
    for field in ("missed", "false_alarm"):
        changes[field] = {name: draw(amounts) for name in findings}
    return document.check(content(classes=["a", "b", "c"], **changes), ValueModel, "the model")


def counted(numbers: list[int]) -> tally.Tally:
    found = np.array(numbers).reshape(3, 4, 2)
    found[:, 3, 1] = 0
    return tally.Tally(("a", "b", "c"), found)


def by_hand(found: tally.Tally, model: ValueModel) -> dict[str, float]:
    """The consequences of each counted case, one after the other."""
    guess, findings = model.best_guess(), set(model.missed)
    price = guess["price_of_a_minute"]
    imagined = sum(guess[f"false_alarm {each}"] for each in findings) / len(findings)
    sums = {"missed": 0.0, "false": 0.0, "minutes": 0.0, "cost": 0.0}
    for true, said, accepted, number in found.rows():
        outcomes = [(1.0, said)] if accepted else []
        if said == "failed":
            wrong = guess["person_misses" if true in findings else "person_false_alarms"]
            outcomes = [(1 - wrong, true), (wrong, "nothing" if true in findings else "any")]
            sums["minutes"] += number * guess["minutes_alone"]
            sums["cost"] += number * guess["minutes_alone"] * price
        elif not accepted:
            sums["minutes"] += number * guess["minutes_confirming"]
            sums["cost"] += number * guess["minutes_confirming"] * price
            if said == true:
                slip = "nothing" if true in findings else "any"
                outcomes = [(1 - guess["spoils"], true), (guess["spoils"], slip)]
            else:
                outcomes = [(guess["catches"], true), (1 - guess["catches"], said)]
        for chance, final in outcomes:
            if true in findings and final != true:
                sums["missed"] += number * chance
                sums["cost"] += number * chance * guess[f"missed {true}"]
            if final == "any" or (final in findings and final != true):
                sums["false"] += number * chance
                cost = imagined if final == "any" else guess[f"false_alarm {final}"]
                sums["cost"] += number * chance * cost
    return {name: each / max(found.n, 1) for name, each in sums.items()}


@given(counts, models())
def test_it_is_what_following_each_case_gives(numbers: list[int], model: ValueModel) -> None:
    found = counted(numbers)
    got = consequences.follow(found.shares, model, model.best_guess())
    expected = by_hand(found, model)
    assert float(got.missed_assisted) == pytest.approx(expected["missed"])
    assert float(got.false_alarms_assisted) == pytest.approx(expected["false"])
    assert float(got.minutes_assisted) == pytest.approx(expected["minutes"])
    cost = 100 * expected["cost"] + 24 * model.serving_an_hour.value
    assert float(got.cost_assisted) == pytest.approx(cost)


@given(counts, models(), st.floats(0, 50))
def test_break_even_is_where_the_effect_is_nothing(
    numbers: list[int], model: ValueModel, price: float
) -> None:
    found = counted(numbers)
    guess = model.best_guess()
    each = estimate.of(found, model, seed=0, draws=2)
    line = sensitivity.over_price(each, each.best)
    dearer = consequences.follow(found.shares, model, {**guess, "price_of_a_minute": price})
    assert float(line.at(price)) == pytest.approx(float(dearer.effect), abs=1e-6)
    accuracy = sensitivity.over_accuracy(each, each.best)
    wrong = float(consequences.wrong_share(found.shares, model, guess))
    if wrong > 0.01:
        now = consequences.follow(found.shares, model, guess)
        assert float(accuracy.at(1 - wrong)) == pytest.approx(float(now.effect), abs=1e-6)
        right = consequences.without_errors(found.shares)
        assert right.sum() == pytest.approx(found.shares.sum())
        perfect = consequences.follow(right, model, guess)
        assert float(accuracy.at(1.0)) == pytest.approx(float(perfect.effect), abs=1e-6)


@given(counts)
def test_with_nothing_at_stake_nothing_is_gained(numbers: list[int]) -> None:
    free: dict[str, Any] = {"minutes_alone": 0, "minutes_confirming": 0, "serving_an_hour": 0}
    free |= {"missed": {"f": 0}, "false_alarm": {"f": 0}}
    nothing = document.check(content(**free), ValueModel, "the model")
    found = tally.Tally(("n", "f"), np.array(numbers[:12]).reshape(2, 3, 2))
    each = estimate.of(found, nothing, seed=0, draws=50)
    for metric in estimate.value(each):
        if metric.unit:
            assert metric.value in (0, None)
            assert metric.interval in ((0, 0), None)


@given(counts, st.floats(0.1, 10))
def test_the_effect_is_linear_in_all_prices_together(numbers: list[int], factor: float) -> None:
    found = tally.Tally(("n", "f"), np.array(numbers[:12]).reshape(2, 3, 2))
    plain = document.check(content(), ValueModel, "the model")
    guess = plain.best_guess()
    money = ("price_of_a_minute", "serving_an_hour", "missed f", "false_alarm f")
    scaled = {name: value * (factor if name in money else 1) for name, value in guess.items()}
    now = consequences.follow(found.shares, plain, guess)
    then = consequences.follow(found.shares, plain, scaled)
    assert float(then.effect) == pytest.approx(factor * float(now.effect))
    assert then.minutes_saved == now.minutes_saved


def test_a_declared_mix_replaces_that_of_the_data(
    make_model: MakeModel, ten: list[cases.Answer]
) -> None:
    rare = make_model(mix={"n": 99, "f": 1})
    found = estimate.of(tally.of_answers(ten, rare), rare, seed=0)
    values = named(estimate.value(found))
    assert values["missed findings per 1000"].value == pytest.approx(0.01 * 1600 / 4)
    assert values["missed findings per 1000, person alone"].value == pytest.approx(1)
    assert values["false alarms per 1000"].value == pytest.approx(0.99 * 1650 / 6)
    none = tally.of_rows([["n", "n", True, 6]], rare)
    with pytest.raises(errors.EvaluationError, match="mix has the classes f, and no labelled case"):
        estimate.of(none, rare, seed=0)


def test_no_labelled_case_is_no_value(make_model: MakeModel, answer: MakeAnswer) -> None:
    for answers in ([], [answer(None, "f")]):
        found = estimate.of(tally.of_answers(answers, make_model()), make_model(), seed=0)
        every = (
            *estimate.value(found),
            *estimate.parts(found),
            *sensitivity.break_even(found),
            *estimate.change(found, found),
        )
        assert {(metric.value, metric.interval) for metric in every} == {(None, None)}


def test_a_case_asked_twice_counts_once(make_model: MakeModel, ten: list[cases.Answer]) -> None:
    once, twice = (tally.of_answers(each, make_model()) for each in (ten, ten + ten))
    assert once.rows() == twice.rows() and once.n == 10
    again = tally.of_rows(once.rows(), make_model())
    assert (again.counts == once.counts).all()


@pytest.mark.parametrize(
    ("true", "said", "words"),
    [
        ("x", "n", "label 'x' that the value model does not know; it knows n, f"),
        ("n", "x", "label 'x' that the value model does not know"),
        ("n", "n", "findings f are neither among the labels of the data nor among the answers"),
    ],
)
def test_a_class_that_one_side_does_not_know_is_named(
    make_model: MakeModel, answer: MakeAnswer, true: str, said: str, words: str
) -> None:
    with pytest.raises(errors.EvaluationError, match=words):
        tally.of_answers([answer(true, said)], make_model())


def test_without_automatic_acceptance_everything_is_seen(
    make_model: MakeModel, ten: list[cases.Answer]
) -> None:
    model = make_model(accept_from=None)
    found = tally.of_answers(ten, model)
    assert tally.accepted(found).count == 0
    assert not tally.plausible(found, model, 0, 10)[..., 1].any()


def test_a_change_has_the_same_assumptions_on_both_sides(
    make_model: MakeModel, answer: MakeAnswer
) -> None:
    model = make_model(minutes_alone=(2, 1, 10), missed={"f": (50, 10, 500)})
    good = [answer(true, true) for true in "fn" * 500]
    bad = [answer("f", "n" if number < 100 else "f") for number in range(500)]
    bad += [answer("n", "n") for _ in range(500)]
    ours, theirs = (
        estimate.of(tally.of_answers(each, model), model, seed=0) for each in (good, bad)
    )
    theirs = estimate.against(theirs.tally, ours, seed=0)
    changed = named(estimate.change(ours, theirs))
    assert changed["change of missed findings per 1000"].value == pytest.approx(-100)
    better = changed["change of economic effect per day"]
    assert better.value == pytest.approx(100 * 0.1 * 50)
    assert better.interval is not None and better.interval.low > 0
    # Nobody's minutes differ, however uncertain they are.
    hours = changed["change of hours saved per day"]
    assert hours.interval is not None and hours.interval.high - hours.interval.low < 0.1
    apart = named(estimate.value(ours))["hours saved per day"].interval
    assert apart is not None and apart.high - apart.low > 3


def test_the_tornado_moves_one_assumption_at_a_time(
    make_model: MakeModel, ten: list[cases.Answer]
) -> None:
    model = make_model(minutes_alone=(2, 1, 4), cases_a_day=(100, 50, 150))
    found = estimate.of(tally.of_answers(ten, model), model, seed=0)
    bars = {bar.name: bar for bar in sensitivity.tornado(found)}
    minutes = bars["minutes a person needs for a case alone"]
    # One minute is 100 x 3 EUR alone, and a tenth of it for the failed request.
    assert minutes.at_low == pytest.approx(-339 - 270)
    assert minutes.at_high == pytest.approx(-339 + 540)
    assert (minutes.low, minutes.high) == ("1 min", "4 min")
    assert bars["cases a day"].at_low == pytest.approx((-339 + 24) / 2 - 24)
    assert bars["cost of a missed f"].swing == 0
    swings = [bar.swing for bar in sensitivity.tornado(found)]
    assert swings == sorted(swings, reverse=True)
    sampled = bars["sampling error (10 labelled cases)"]
    assert sampled.at_low < -339 < sampled.at_high


def test_a_lower_threshold_accepts_more(make_model: MakeModel, ten: list[cases.Answer]) -> None:
    low, high = sensitivity.by_threshold(ten, make_model(), (0.4, 0.99), seed=0)
    assert low.missed.value == pytest.approx(200)
    assert high.missed.value == pytest.approx(1000 * (0.5 * 2 + 0.1 * 2) / 10)


def test_the_same_seed_gives_the_same_and_an_estimate_is_not_changed(
    make_model: MakeModel, ten: list[cases.Answer]
) -> None:
    model = make_model(minutes_alone=(2, 1, 4))
    counts = tally.of_answers(ten, model)
    first, second, other = (estimate.of(counts, model, seed=seed) for seed in (1, 1, 2))
    assert estimate.value(first) == estimate.value(second) != estimate.value(other)
    with pytest.raises(dataclasses.FrozenInstanceError):
        first.tally = counts  # type: ignore[misc]

"""Labels that come late and in disorder, and processes that are killed: each prediction once."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from calumma.canary.counts import Sides
from calumma.feedback import folder, records
from calumma.rollout.sources import feedback
from calumma.rollout.sources.feedback import Cursor, Rules, Steps
from calumma.rollout.sources.tallies import Judged

STABLE, CANARY = "r1", "r2"
RULES = Rules("digits", "default", Sides(STABLE, CANARY))
STEPS = Steps([(0.0, 0)], 0.0)


def prediction(
    id: str, time: float, revision: str | None = CANARY, **more: object
) -> records.Prediction:
    return records.Prediction.model_validate(
        {
            "id": id,
            "time": time,
            "service": "digits",
            "namespace": "default",
            "revision": revision,
            "label": "1",
            "confidence": 0.9,
            "sources": ("random",),
            **more,
        }
    )


def label(id: str, time: float, truth: str | None = "1", by: str = "ann") -> records.Label:
    return records.Label(id=id, label=truth, by=by, time=time, kind="reader" if truth else "user")


def contents(
    predictions: Sequence[records.Prediction], labels: Sequence[records.Label]
) -> folder.Contents:
    return folder.Contents(tuple(predictions), tuple(labels), 0)


def answers(found: feedback.New) -> Counter[tuple[int, str, Judged]]:
    """What was counted, by step, side and answer."""
    return Counter(
        (step, role, each)
        for step, sides in found.answers.items()
        for role, side in zip(Sides._fields, sides, strict=True)
        for each in side
    )


@settings(deadline=None, max_examples=200)
@given(st.integers(0, 2**32))
def test_however_often_one_looks_everything_is_counted_once(seed: int) -> None:
    """Lines come in any order; what all looks add up to is what one look at the end sees."""
    chance = random.Random(seed)
    maturity = chance.choice([None, 20.0])
    rules = Rules("digits", "default", Sides(STABLE, CANARY), maturity=maturity)
    predictions = [
        prediction(f"p{n}", chance.uniform(0, 50), chance.choice([STABLE, CANARY]))
        for n in range(12)
    ]
    chance.shuffle(predictions)
    labels = [
        label(f"p{chance.randrange(12)}", chance.uniform(0, 90), chance.choice("12"), by)
        for by in ("ann", "bob", "eve")
        for _ in range(chance.randrange(8))
    ]
    cursor, looked = Cursor(), 0.0
    seen: Counter[tuple[int, str]] = Counter()
    known_p = known_l = 0
    for _ in range(10):
        looked += chance.uniform(0, 15)
        known_p = chance.randint(known_p, 12)
        known_l = chance.randint(known_l, len(labels))
        part = contents(predictions[:known_p], labels[:known_l])
        found = feedback.new(part, rules, STEPS, cursor, looked)
        if chance.random() < 0.3:
            continue  # the process is killed before the state is written
        cursor = found.cursor
        seen.update((step, role) for step, role, _ in answers(found).elements())
    whole = contents(predictions, labels)
    last = feedback.new(whole, rules, STEPS, cursor, 1000.0)
    seen.update((step, role) for step, role, _ in answers(last).elements())
    at_once = feedback.new(whole, rules, STEPS, Cursor(), 1000.0)
    expected = Counter((step, role) for step, role, _ in answers(at_once).elements())
    assert seen == expected


def test_a_label_that_comes_late_joins_the_next_window() -> None:
    predictions = [prediction("a", 1), prediction("b", 2), prediction("s", 1, STABLE)]
    predictions += [prediction("t", 2, STABLE)]
    first = contents(predictions, [label("b", 5), label("s", 5)])
    one = feedback.new(first, RULES, STEPS, Cursor(), 10)
    assert answers(one).total() == 2
    again = feedback.new(first, RULES, STEPS, one.cursor, 20)
    assert again.answers == {}
    # Both are older than what was counted, by their times.
    later = contents(predictions, [*first.labels, label("a", 3, "2"), label("t", 3)])
    two = feedback.new(later, RULES, STEPS, one.cursor, 30)
    assert answers(two) == {
        (0, "canary", Judged("2", "1")): 1,
        (0, "stable", Judged("1", "1")): 1,
    }


def test_a_prediction_counts_when_it_is_mature_by_what_was_said_until_then() -> None:
    rules = Rules("digits", "default", Sides(STABLE, CANARY), maturity=60, adjudicator="eve")
    predictions = [prediction("a", 10), prediction("s", 10, STABLE)]
    marks = [label("a", 20), label("s", 20), label("a", 50, "2", "eve"), label("s", 71, "2", "eve")]
    found = contents(predictions, marks)
    assert feedback.new(found, rules, STEPS, Cursor(), 69).answers == {}
    mature = feedback.new(found, rules, STEPS, Cursor(), 70)
    assert answers(mature) == {
        (0, "canary", Judged("2", "1")): 1,
        (0, "stable", Judged("1", "1")): 1,
    }


def test_readers_who_disagree_afterwards_do_not_count_it_again() -> None:
    predictions = [prediction("a", 1), prediction("s", 1, STABLE)]
    marks = [label("a", 5), label("s", 5)]
    one = feedback.new(contents(predictions, marks), RULES, STEPS, Cursor(), 10)
    assert answers(one).total() == 2
    marks += [label("a", 11, "2", "bob")]
    two = feedback.new(contents(predictions, marks), RULES, STEPS, one.cursor, 20)
    marks += [label("a", 21, "2", "eve")]
    three = feedback.new(contents(predictions, marks), RULES, STEPS, two.cursor, 30)
    assert (two.answers, three.answers) == ({}, {})


def test_only_the_random_sample_of_users_of_both_revisions_counts() -> None:
    rules = Rules("digits", "default", Sides(STABLE, CANARY), own=frozenset(["f" * 64]))
    predictions = [
        prediction("yes", 1),
        prediction("stable", 1, STABLE),
        prediction("unsure", 1, sources=("low-confidence",)),
        prediction("unasked", 1, sources=()),
        prediction("another", 1, "r0"),
        prediction("nameless", 1, None),
        prediction("elsewhere", 1, service="food"),
        prediction("ours", 1, image="f" * 64),
        prediction("yes", 2, STABLE),
    ]
    found = feedback.new(
        contents(predictions, [label(each.id, 5) for each in predictions]),
        rules,
        STEPS,
        Cursor(),
        10,
    )
    assert answers(found).total() == 2
    assert found.nameless == 1


def test_of_an_image_that_is_sent_again_only_the_first_prediction_counts() -> None:
    rules = Rules("digits", "default", Sides(STABLE, CANARY), recorded=True)
    image = "a" * 64
    predictions = [
        prediction("user", 1, STABLE, image=image),
        prediction("pair", 2, STABLE, image=image),
        prediction("other", 2, CANARY, image=image),
        prediction("canary", 3),
    ]
    marks = [label(each.id, 5) for each in predictions]
    found = feedback.new(contents(predictions, marks), rules, STEPS, Cursor(), 10)
    assert answers(found) == {
        (0, "stable", Judged("1", "1")): 1,
        (0, "canary", Judged("1", "1")): 1,
    }


def test_a_prediction_belongs_to_the_step_in_which_it_was_made() -> None:
    steps = Steps.of({"step 1": 100.0, "prometheus": 7.0, "step 0": 10.0}, 20.0)
    times = {5.0: None, 10.0: 0, 79.0: 0, 80.0: None, 99.0: None, 100.0: 1, 1e6: 1}
    assert {time: steps.at(time) for time in times} == times
    assert Steps.of({}, 20.0).at(5.0) is None


def test_silence_is_told_with_what_may_be_its_cause() -> None:
    predictions = [prediction("a", 1), prediction("n", 2, None)]
    found = contents(predictions, [label("a", 100)])
    new = feedback.new(found, RULES, STEPS, Cursor(), 150)
    assert new.silence(RULES, STEPS, 150, 60) == ""
    told = new.silence(RULES, STEPS, 200, 60)
    assert told.startswith("no label of the random sample of r2 or r1 has come in 100 s; of 1 pred")
    nothing = feedback.new(contents([], []), RULES, STEPS, Cursor(), 70)
    expected = "no label of the random sample of r2 or r1 has come in 70 s"
    assert nothing.silence(RULES, STEPS, 70, 60) == expected

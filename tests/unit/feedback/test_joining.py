"""The join of predictions and labels: whatever the order of arrival, and as of any time."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from calumma.feedback import joining
from calumma.feedback.records import Label, Prediction

IDS = st.sampled_from(["p1", "p2", "p3", "p4"])
TIMES = st.floats(0, 100)
LABELS = st.builds(
    Label,
    id=st.sampled_from(["p1", "p2", "p3", "unheard of"]),
    label=st.sampled_from(["cat", "dog"]),
    by=st.sampled_from(["ann", "bob", "cleo"]),
    time=TIMES,
)


def prediction(
    id: str = "p1", time: float = 10.0, label: str = "cat", **more: object
) -> Prediction:
    found = {"service": "s", "namespace": "n", "confidence": 0.9, "revision": "r1", **more}
    return Prediction.model_validate({"id": id, "time": time, "label": label, **found})


PREDICTIONS = st.builds(prediction, id=IDS, time=TIMES, label=st.sampled_from(["cat", "dog"]))


@given(
    st.lists(PREDICTIONS, max_size=8),
    st.lists(LABELS, max_size=12),
    TIMES,
    st.none() | st.floats(0, 60),
    st.none() | st.just("ann"),
    st.randoms(use_true_random=False),
)
@settings(max_examples=200, deadline=None)
def test_the_order_of_arrival_does_not_matter(
    predictions: list[Prediction],
    labels: list[Label],
    at: float,
    maturity: float | None,
    adjudicator: str | None,
    order: random.Random,
) -> None:
    def joined() -> joining.Join:
        return joining.join(predictions, labels, at=at, maturity=maturity, adjudicator=adjudicator)

    before = joined()
    order.shuffle(predictions)
    order.shuffle(labels)
    assert joined() == before


@given(st.lists(PREDICTIONS, max_size=6), st.lists(LABELS, max_size=12), TIMES, TIMES)
@settings(max_examples=200, deadline=None)
def test_what_is_known_only_grows(
    predictions: list[Prediction], labels: list[Label], one: float, other: float
) -> None:
    first, second = sorted([one, other])
    then = {j.prediction.id: j for j in joining.join(predictions, labels, at=first).joined}
    now = {j.prediction.id: j for j in joining.join(predictions, labels, at=second).joined}
    assert then.keys() <= now.keys()
    for name, earlier in then.items():
        later = now[name]
        assert earlier.prediction == later.prediction
        assert earlier.votes.keys() <= later.votes.keys()
        assert earlier.delay in (None, later.delay)
    assert now.keys() == {each.id for each in predictions if each.time <= second}


@given(st.lists(PREDICTIONS, max_size=6), st.lists(LABELS, max_size=12), TIMES, st.floats(0, 60))
@settings(max_examples=200, deadline=None)
def test_with_a_maturity_a_prediction_is_judged_once_and_for_all(
    predictions: list[Prediction], labels: list[Label], at: float, maturity: float
) -> None:
    then = joining.join(predictions, labels, at=at, maturity=maturity)
    later = joining.join(predictions, labels, at=1000.0, maturity=maturity)
    now = {each.prediction.id: each for each in later.joined}
    assert all(now[each.prediction.id] == each for each in then.joined)


def test_unlabelled_is_unknown_and_not_wrong() -> None:
    (found,) = joining.join([prediction()], [], at=20).joined
    assert (found.label, found.correct, found.delay) == (None, None, None)
    assert found.answer.correct is None


def test_readers_who_disagree_are_all_kept_and_the_majority_decides() -> None:
    said = [("ann", "cat"), ("bob", "dog"), ("cleo", "dog")]
    labels = [Label(id="p1", label=label, by=by, time=20 + n) for n, (by, label) in enumerate(said)]
    (found,) = joining.join([prediction()], labels, at=30).joined
    assert found.votes == dict(said)
    assert (found.label, found.disputed, found.correct, found.delay) == ("dog", True, False, 10)
    (tied,) = joining.join([prediction()], labels[:2], at=30).joined
    assert (tied.label, tied.disputed, tied.correct) == (None, True, None)
    (ruled,) = joining.join([prediction()], labels, at=30, adjudicator="ann").joined
    assert (ruled.label, ruled.correct) == ("cat", True)


def test_a_reader_may_correct_himself_but_votes_once() -> None:
    labels = [
        Label(id="p1", label="dog", by="ann", time=20),
        Label(id="p1", label="cat", by="ann", time=25),
    ]
    (found,) = joining.join([prediction()], labels, at=30).joined
    assert found.votes == {"ann": "cat"}
    (before,) = joining.join([prediction()], labels, at=24).joined
    assert before.votes == {"ann": "dog"}


def test_young_predictions_and_late_labels_are_left_out_and_counted() -> None:
    predictions = [prediction("p1", 10), prediction("p2", 10), prediction("p3", 95)]
    labels = [
        Label(id="p1", label="cat", by="ann", time=30),
        Label(id="p2", label="cat", by="ann", time=80),
        Label(id="p9", label="cat", by="ann", time=80),
    ]
    found = joining.join(predictions, labels, at=100, maturity=50)
    assert {j.prediction.id: j.label for j in found.joined} == {"p1": "cat", "p2": None}
    assert (found.young, found.late, found.orphans) == (1, 1, 1)


def test_a_flag_is_no_label() -> None:
    flag = Label(id="p1", by="user 7", time=20, kind="user")
    (found,) = joining.join([prediction()], [flag], at=30).joined
    assert (found.flagged, found.label, found.votes) == (True, None, {})

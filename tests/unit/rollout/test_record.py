"""The ConfigMap of a rollout, without a cluster."""

from __future__ import annotations

import dataclasses
import json
import math

import pytest

from calumma import errors
from calumma.rollout import names, record
from calumma.rollout.state import Note, Phase, Reading, Tally, Verdict, Window
from support import api_server
from support.moments import state

ISVC = api_server.isvc("digits") | {
    "metadata": {"name": "digits", "namespace": "team", "uid": "u-1", "resourceVersion": "7"}
}
ME = record.Driver(host="a", process=1, time=100.0)


def full() -> record.Record:
    """A record in which everything is set."""
    reading = Reading(
        name="errors",
        verdict=Verdict.UNCLEAR,
        estimate=None,
        low=-math.inf,
        high=math.inf,
        margin=0.02,
        alpha=0.05,
        n=0,
        other_n=0,
    )
    window = Window(step=0, n=5, events=1, other_n=50, other_events=2)
    ended = state(id="digits-0", phase=Phase.PROMOTED, notes=(Note(time=1, reason="A", text="b"),))
    return dataclasses.replace(
        record.empty(ISVC),
        state=state(
            readings=(reading,),
            tallies={"errors": Tally(windows=(window,))},
            previous={"predictor": {"revision": "b", "former": "a"}},
        ),
        status="step 1 of 2",
        request="pause",
        answer="paused",
        routing="{}",
        history=(record.Past.of(ended),),
        driver=ME,
        rest={"note": "mine"},
    )


def stored(given: record.Record, version: str = "8") -> record.Record:
    """What is read after it was written."""
    written = record.written(given)
    written["metadata"]["resourceVersion"] = version
    return record.read(json.loads(json.dumps(written)))


@pytest.mark.parametrize("given", [full(), record.empty(ISVC)], ids=["everything", "nothing"])
def test_what_is_written_is_read_again(given: record.Record) -> None:
    assert stored(given) == dataclasses.replace(given, resource_version="8")


def test_it_belongs_to_its_service() -> None:
    metadata = record.written(full())["metadata"]
    assert metadata["name"] == "rollout-digits"
    assert metadata["labels"][names.SERVICE] == "digits"
    assert metadata["ownerReferences"] == [
        {
            "apiVersion": "serving.kserve.io/v1beta1",
            "kind": "InferenceService",
            "name": "digits",
            "uid": "u-1",
        }
    ]
    assert "resourceVersion" not in metadata


@pytest.mark.parametrize(
    ("request_", "wish"), [("pause", "pause"), (" undo\n", "undo"), ("stop!", None), ("", None)]
)
def test_only_a_verb_is_a_wish(request_: str, wish: str | None) -> None:
    found = stored(dataclasses.replace(full(), request=request_))
    assert found.wish == wish
    assert found.request == (request_.strip() or None)


def test_two_rollouts_of_one_service_are_refused() -> None:
    with pytest.raises(errors.RolloutError, match="Z is Pending; promote or abort it"):
        full().begun(state(id="digits-2"), ISVC)


def test_a_rollout_that_has_ended_goes_into_the_history() -> None:
    ended = dataclasses.replace(full(), state=state(phase=Phase.ROLLED_BACK, why="worse"))
    begun = ended.begun(state(id="digits-2"), ISVC)
    assert begun.state is not None and begun.state.id == "digits-2"
    assert [each.id for each in begun.history] == ["digits-20261121T210000Z", "digits-0"]
    assert begun.history[0].why == "worse"
    assert (begun.request, begun.answer, begun.status, begun.routing) == (None, "", "", None)


def test_a_service_that_was_created_again_has_no_rollout() -> None:
    again = {**ISVC, "metadata": {**ISVC["metadata"], "uid": "u-2"}}
    begun = full().begun(state(id="digits-2"), again)
    assert begun.owner["uid"] == "u-2"


def test_the_history_is_bounded() -> None:
    given = full()
    for number in range(30):
        now = state(id=f"digits-{number}", phase=Phase.PROMOTED)
        given = dataclasses.replace(given, state=now).begun(state(), ISVC)
    assert [each.id for each in given.history[:2]] == ["digits-29", "digits-28"]
    assert len(given.history) == 20


class TestSize:
    def test_old_rollouts_make_room(self) -> None:
        past = record.Past.of(state(why="x" * 300_000))
        given = dataclasses.replace(full(), history=(past,) * 5)
        assert len(stored(given).history) == 3

    def test_what_cannot_fit_is_a_sentence(self) -> None:
        given = dataclasses.replace(full(), state=state(why="x" * 1_000_000))
        with pytest.raises(errors.RolloutError, match=r"takes \d+ bytes .* look less often"):
            record.written(given)

    def test_it_counts_bytes(self) -> None:
        given = dataclasses.replace(record.empty(ISVC), status="é" * (record.MOST_BYTES // 2))
        with pytest.raises(errors.RolloutError, match="bytes"):
            record.written(given)


class TestDrivers:
    other = record.Driver(host="b", process=1, time=110.0)

    def test_one_that_was_heard_of_keeps_it(self) -> None:
        with pytest.raises(errors.RolloutError, match="process 1 on a, heard of 10 s ago"):
            full().taken(self.other)

    @pytest.mark.parametrize("late", [30.0, 31.0])
    def test_one_that_is_silent_loses_it(self, late: float) -> None:
        by = self.other.model_copy(update={"time": ME.time + late})
        assert full().taken(by).driver == by

    def test_one_that_has_ended_loses_it(self) -> None:
        assert full().taken(self.other, other_ended=True).driver == self.other

    def test_it_may_take_it_again(self) -> None:
        later = ME.model_copy(update={"time": 101.0})
        assert full().taken(later).driver == later

    def test_a_clock_that_is_ahead_is_no_driver_for_ever(self) -> None:
        by = self.other.model_copy(update={"time": 90.0})
        with pytest.raises(errors.RolloutError, match="heard of 0 s ago"):
            full().taken(by)


@pytest.mark.parametrize(
    ("key", "text", "sentence"),
    [
        ("state.json", "{", "state.json in the ConfigMap rollout-digits in namespace team is not"),
        ("state.json", '{"id": "a"}', "policy is missing"),
        ("state.json", "[]", "expected a mapping"),
        ("driver", '{"host": 1}', "delete the ConfigMap to forget the rollout"),
        ("history.json", '{"rollouts": [{}]}', "id is missing"),
    ],
)
def test_what_nobody_understands_is_a_sentence(key: str, text: str, sentence: str) -> None:
    written = record.written(full())
    written["metadata"]["resourceVersion"] = "8"
    written["data"][key] = text
    with pytest.raises(errors.RolloutError) as caught:
        record.read(written)
    assert sentence in str(caught.value)

"""Each case is sent until the wanted revisions have answered it, and no longer."""

from __future__ import annotations

import dataclasses
from collections import Counter

import pytest

from calumma import errors, inference
from calumma.load import pairing
from calumma.scoring import cases

from .conftest import Service


async def test_once_where_nobody_is_waited_for(
    client: inference.Client, service: Service, population: list[cases.Case]
) -> None:
    outcomes = await pairing.send(client, population, rate=500, seed=1)
    assert len(outcomes) == len(service.received) == 10
    again = await pairing.send(client, population, rate=500, seed=1, by=["digits-predictor-00001"])
    assert [outcome.case.id for outcome in again] == [outcome.case.id for outcome in outcomes]
    assert {case.id for case in population} == {outcome.case.id for outcome in outcomes}


async def test_again_until_the_rounds_are_over(
    client: inference.Client, service: Service, population: list[cases.Case]
) -> None:
    by = ["digits-predictor-00001", "digits-predictor-00002"]
    outcomes = await pairing.send(client, population, rate=500, seed=1, by=by, rounds=3)
    assert Counter(outcome.case.id for outcome in outcomes) == dict.fromkeys(
        (case.id for case in population), 3
    )
    intended = [outcome.intended for outcome in outcomes]
    assert intended == sorted(intended)
    answers = [outcome.answer for outcome in outcomes]
    assert len(pairing.answered_by(answers, by[0])) == 10
    assert pairing.answered_by(answers, by[1]) == []
    assert len(pairing.answered_by(answers, None)) == 10


async def test_a_failure_is_not_asked_again(population: list[cases.Case]) -> None:
    async with inference.Client("http://127.0.0.1:1", "digits") as nobody:
        outcomes = await pairing.send(
            nobody, population, rate=500, seed=1, by=["digits-predictor-00001"], rounds=5
        )
    assert len(outcomes) == 10
    answers = [outcome.answer for outcome in outcomes]
    judged = pairing.answered_by(answers, "digits-predictor-00001")
    assert {answer.failure for answer in judged} == {"refused"} and len(judged) == 10
    named = dataclasses.replace(answers[0], revision="digits-predictor-00002")
    assert pairing.answered_by([named], "digits-predictor-00001") == []


async def test_nothing_to_send_is_refused(client: inference.Client) -> None:
    with pytest.raises(errors.EvaluationError, match="no case to send"):
        await pairing.send(client, [], rate=10, seed=0)

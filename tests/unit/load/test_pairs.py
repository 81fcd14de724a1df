"""Pairs against a real server: both are asked about everything, neither always first."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from calumma import inference
from calumma.load import pairs, schedule
from calumma.scoring import cases

from .conftest import Service


class Noted(inference.Client):
    """A client that notes when it asks whom about what."""

    def __init__(self, url: str, name: str, notes: list[tuple[str, bytes]]) -> None:
        super().__init__(url, "digits")
        self._name, self._notes = name, notes

    async def classify(
        self, images: Sequence[bytes]
    ) -> inference.Reply[tuple[inference.Prediction, ...]]:
        self._notes.append((self._name, images[0]))
        return await super().classify(images)


async def test_both_are_asked_about_each_case_in_an_order_that_is_drawn(
    service: Service, population: list[cases.Case]
) -> None:
    notes: list[tuple[str, bytes]] = []
    order = list(itertools.islice(schedule.shuffled(population, seed=0), 60))
    async with (
        Noted(service.url, "stable", notes) as stable,
        Noted(service.url, "canary", notes) as canary,
    ):
        told: list[pairs.Pair] = []
        found = await pairs.send(
            stable, canary, order, rate=400, seed=1, concurrency=1, progress=told.append
        )
    assert [pair.stable.case for pair in found] == [pair.canary.case for pair in found] == order
    assert len(told) == 60
    assert len(notes) == 120
    begun = [name for name, _ in notes[::2]]
    assert 15 < begun.count("canary") < 45
    for first, second in zip(notes[::2], notes[1::2], strict=True):
        assert first[0] != second[0] and first[1] == second[1]


async def test_a_failure_of_one_side_is_its_own(
    service: Service, client: inference.Client, population: list[cases.Case]
) -> None:
    async with inference.Client("http://127.0.0.1:1", "digits") as nobody:
        (pair,) = await pairs.send(client, nobody, population[:1], rate=100, seed=0)
    assert (pair.stable.label, pair.stable.failure) == ("7", None)
    assert (pair.canary.label, pair.canary.failure) == (None, "refused")

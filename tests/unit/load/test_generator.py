"""The generator against a real server: stalls, saturation, failures, stopping, cancelling."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator

import numpy as np
import pytest

from calumma import inference
from calumma.load import generator, schedule, summary
from calumma.scoring import cases

from .conftest import Service


async def test_every_request_is_recorded_in_its_seeded_order(
    client: inference.Client, service: Service, population: list[cases.Case]
) -> None:
    order = schedule.shuffled(population, seed=1)
    seen: list[generator.Outcome] = []
    outcomes = await generator.send(
        client, schedule.constant(200, seconds=0.2), order, progress=seen.append
    )
    assert len(outcomes) == len(service.received) == len(seen) == 40
    expected = itertools.islice(schedule.shuffled(population, seed=1), 40)
    assert [outcome.case for outcome in outcomes] == list(expected)
    assert [outcome.intended for outcome in outcomes] == list(schedule.constant(200, seconds=0.2))
    answers = [outcome.answer for outcome in outcomes]
    assert {answer.label for answer in answers} == {"7"}
    assert {answer.revision for answer in answers} == {"digits-predictor-00001"}
    assert sum(answer.correct is True for answer in answers) == 4
    assert all(o.intended <= o.sent + 1e-3 and o.sent <= o.finished for o in outcomes)


async def test_a_stall_shows_in_every_request_that_would_have_met_it(
    client: inference.Client, service: Service, population: list[cases.Case]
) -> None:
    """10% of the requests meet a stall of 0.4 s and wait from 0.4 to 0 s: p95 is 0.2, p99 0.36."""
    stalling = asyncio.create_task(service.stall(after=1.5, seconds=0.4))
    times, order = schedule.constant(100, seconds=4.0), schedule.shuffled(population, seed=0)
    outcomes = await generator.send(client, times, order, concurrency=1)
    await stalling
    latencies = np.array([outcome.latency for outcome in outcomes])
    assert np.quantile(latencies, 0.95) == pytest.approx(0.2, abs=0.06)
    assert np.quantile(latencies, 0.99) == pytest.approx(0.36, abs=0.06)
    # What a closed loop over one connection would have reported for the same requests:
    service_times = np.array([outcome.finished - outcome.sent for outcome in outcomes])
    assert np.quantile(service_times, 0.99) < 0.1


async def test_saturation_is_reported_and_never_delays_the_intended_times(
    client: inference.Client, service: Service, population: list[cases.Case]
) -> None:
    service.running.clear()
    stalling = asyncio.create_task(service.stall(after=0, seconds=0.3))
    times, order = schedule.constant(100, seconds=0.5), schedule.shuffled(population, seed=0)
    outcomes = await generator.send(client, times, order, concurrency=4)
    await stalling
    assert [outcome.intended for outcome in outcomes] == list(schedule.constant(100, seconds=0.5))
    assert service.most_under_way == 4
    found = summary.summarise(outcomes)
    assert found.late >= 20
    assert found.worst_delay > 0.2
    assert "because the generator was busy" in found.sentence
    assert found.offered == pytest.approx(100)


async def test_failures_are_counted_by_kind(
    client: inference.Client, service: Service, population: list[cases.Case]
) -> None:
    service.status = 503
    times, order = schedule.poisson(300, seed=4, seconds=0.1), itertools.cycle(population)
    outcomes = await generator.send(client, times, order)
    found = summary.summarise(outcomes)
    assert found.failures == {"status 503": len(outcomes)}
    assert found.answers == 0 and found.latency == {}
    assert f"{len(outcomes)} failures (status 503: {len(outcomes)})" in found.sentence
    assert all(outcome.answer.correct is False for outcome in outcomes)
    assert all(outcome.answer.revision == "digits-predictor-00001" for outcome in outcomes)


async def test_an_endless_load_stops_when_it_is_told_to(
    client: inference.Client, service: Service, population: list[cases.Case]
) -> None:
    stop = asyncio.Event()
    times, order = schedule.constant(100), schedule.shuffled(population, seed=0)
    load = asyncio.create_task(generator.send(client, times, order, concurrency=2, stop=stop))
    await asyncio.sleep(0.2)
    service.running.clear()
    await asyncio.sleep(0.2)
    stop.set()
    await asyncio.sleep(0.05)
    assert not load.done(), "requests under way are waited for"
    service.running.set()
    outcomes = await asyncio.wait_for(load, 5)
    found = summary.summarise(outcomes)
    waiting = found.failures["not sent"]
    assert 10 <= waiting <= 30
    assert found.answers == len(service.received) == len(outcomes) - waiting
    assert "not sent" in found.sentence


async def test_what_begins_in_the_moment_of_the_stop_is_sent(
    client: inference.Client, service: Service, population: list[cases.Case]
) -> None:
    stop = asyncio.Event()

    def times() -> Iterator[float]:
        yield 0.0
        stop.set()
        yield 0.0

    outcomes = await generator.send(client, times(), population, stop=stop)
    assert len(outcomes) == len(service.received) == 2
    assert summary.summarise(outcomes).failures == {}


async def test_cancelling_ends_the_requests_under_way(
    client: inference.Client, service: Service, population: list[cases.Case]
) -> None:
    service.running.clear()
    times, order = schedule.constant(100), schedule.shuffled(population, seed=0)
    load = asyncio.create_task(generator.send(client, times, order))
    await asyncio.sleep(0.2)
    before = asyncio.all_tasks()
    load.cancel()
    with pytest.raises(asyncio.CancelledError):
        await load
    assert len([task for task in before if not task.done()]) < len(before)
    sent = len(service.received)
    await asyncio.sleep(0.1)
    assert len(service.received) == sent


async def test_a_run_without_requests_has_no_rates() -> None:
    found = summary.summarise([])
    assert (found.requests, found.offered, found.achieved) == (0, None, None)
    assert found.sentence == "0 requests, 0 answers"

"""The same case asked of two services, so that what differs between the answers is theirs.

The two are asked one after the other, in an order that is drawn for each case: who is asked second
finds warmer caches, and neither should always be that one. A pair is begun when its time has come
and a turn is free; latencies are those of each request by itself.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable
from typing import NamedTuple

from calumma import inference
from calumma.scoring import cases


class Pair(NamedTuple):
    """Both answers to one case."""

    stable: cases.Answer
    canary: cases.Answer


async def send(
    stable: inference.Client,
    canary: inference.Client,
    order: Iterable[cases.Case],
    *,
    rate: float,
    seed: int,
    concurrency: int = 8,
    progress: Callable[[Pair], None] | None = None,
) -> list[Pair]:
    """Ask both about each case, about ``rate`` pairs a second; the pairs in the cases' order."""
    turns, coin = asyncio.Semaphore(concurrency), random.Random(seed)
    clients, clock = (stable, canary), asyncio.get_running_loop().time
    start = clock()

    async def ask(case: cases.Case, first: int) -> Pair:
        async with turns:
            answers = {side: await _ask(clients[side], case) for side in (first, 1 - first)}
        pair = Pair(answers[0], answers[1])
        if progress is not None:
            progress(pair)
        return pair

    async with asyncio.TaskGroup() as group:
        tasks = []
        for number, case in enumerate(order):
            await asyncio.sleep(max(0.0, start + number / rate - clock()))
            tasks.append(group.create_task(ask(case, coin.randrange(2))))
    return [task.result() for task in tasks]


async def _ask(client: inference.Client, case: cases.Case) -> cases.Answer:
    reply = await client.classify([case.image])
    found = reply.content[0] if reply.content else None
    return cases.Answer(
        case=case,
        label=found.label if found else None,
        confidence=found.probability if found else None,
        seconds=reply.seconds,
        revision=reply.revisions.predictor,
        failure=reply.failure.kind if reply.failure else None,
        probabilities=found.probabilities if found else (),
    )

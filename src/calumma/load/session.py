"""A load test from its first request to its last: the declared pattern, then the curve.

All is sent from a thread of its own on uvloop's event loop, several times as fast as asyncio's and
out of the way of a notebook's. Whatever happens, nothing is left under way.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import uvloop

from calumma import errors, inference
from calumma.load import curve, generator, measures, payloads, schedule, wire
from calumma.scoring import cases

Result = TypeVar("Result")

_RECOVERY = 30.0
"""Seconds that a service may take to come back after a rate that was too much."""

_TRIES = 5
"""Of so many requests one must be answered, or there is nothing to load."""

_WATCHED = 50
"""Of so many requests in a row more than half must be answered, or the load is stopped."""


class Address(NamedTuple):
    """Where the model is asked: see :class:`calumma.load.wire.Wire`."""

    url: str
    model: str
    host: str = ""


class Plan(NamedTuple):
    """What is sent by whom, apart from when.

    Data sets are looked for below ``folder``. ``connections`` bounds the requests under way,
    ``give_up`` is the time in seconds after which a request has failed, ``tolerance`` by how many
    seconds the generator may be late.
    """

    payloads: Sequence[payloads.Payload]
    connections: int
    give_up: float
    tolerance: float
    seed: int
    folder: Path = Path()


@dataclass(frozen=True)
class Played:
    """What became of a pattern.

    ``cases`` are what was sent in turns, ``answered`` the names of the payloads that are meant to
    be answered. ``warm_up`` are the requests before the measured window, which began at the Unix
    time ``began`` and took ``seconds``; times of ``outcomes`` count from there. ``stopped`` says
    why it ended early.
    """

    cases: Sequence[cases.Case]
    answered: frozenset[str]
    warm_up: Sequence[generator.Outcome]
    outcomes: Sequence[generator.Outcome]
    seconds: float
    began: float
    stopped: str | None


def address(
    endpoint: inference.Endpoint | None, *, target: str, url: str, host: str, model: str
) -> Address:
    """Where to send: to ``url`` if there is one, else to the endpoint's service or predictor.

    Raises :class:`~calumma.errors.EvaluationError` where there is no such address.
    """
    if url or endpoint is None:
        return Address(url, model, host)
    if target == "service":
        return Address(endpoint.url, model or endpoint.model, host)
    if endpoint.predictor is None:
        raise errors.EvaluationError(
            f"the status of {endpoint.service} in namespace {endpoint.namespace} names no URL of "
            "its predictor; use the target service, or give the predictor's url"
        )
    return Address(endpoint.predictor, model or endpoint.model, host)


def play(
    address: Address,
    plan: Plan,
    warm_up: tuple[schedule.Times, float],
    pattern: tuple[schedule.Times, float],
) -> Played:
    """Send a warm-up and the pattern behind it, each as times in seconds and its length.

    It is stopped when more than half of the requests fail. Raises
    :class:`~calumma.errors.ServiceUnavailable` when none of the first requests is answered.
    """
    return in_thread(_play(address, plan, warm_up, pattern))


def explore(
    address: Address,
    plan: Plan,
    objective: curve.Objective,
    search: curve.Search,
    tell: Callable[[curve.Step], None] = lambda step: None,
) -> curve.Curve:
    """Search the highest rate under the objective; ``tell`` is called after each step.

    Raises as :func:`play` does.
    """
    return in_thread(_explore(address, plan, objective, search, tell))


def in_thread(work: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine to its end in a thread with uvloop's event loop."""
    found: list[Result] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                found.append(runner.run(work))
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run, name="load", daemon=True)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return found[0]


async def _play(
    address: Address,
    plan: Plan,
    warm_up: tuple[schedule.Times, float],
    pattern: tuple[schedule.Times, float],
) -> Played:
    async with _sender(address, plan) as sender:
        times = np.concatenate([warm_up[0], warm_up[1] + pattern[0]])
        began = time.time() + warm_up[1]
        outcomes, stopped = await sender.send(times, plan.seed)
        measured = [_shifted(each, warm_up[1]) for each in outcomes if each.intended >= warm_up[1]]
        seconds = pattern[1]
        if stopped is not None:
            seconds = max((each.intended for each in measured), default=0.0)
        return Played(
            cases=sender.mix.cases,
            answered=sender.mix.answered,
            warm_up=[each for each in outcomes if each.intended < warm_up[1]],
            outcomes=measured,
            seconds=seconds,
            began=began,
            stopped=stopped,
        )


async def _explore(
    address: Address,
    plan: Plan,
    objective: curve.Objective,
    search: curve.Search,
    tell: Callable[[curve.Step], None],
) -> curve.Curve:
    async with _sender(address, plan) as sender:
        numbers = itertools.count(1)

        async def measure(rate: float) -> curve.Step:
            step = await sender.step(rate, objective, search, plan.seed + next(numbers))
            tell(step)
            return step

        await asyncio.sleep(search.settle)
        return await curve.explore(measure, search)


class _Sender:
    """An open target, with the requests for it."""

    def __init__(self, target: payloads.Target, mix: payloads.Mix, plan: Plan) -> None:
        self.mix = mix
        self._target, self._plan = target, plan

    async def send(
        self, times: schedule.Times, seed: int
    ) -> tuple[list[generator.Outcome], str | None]:
        """The outcomes, and why the load was stopped, if it was."""
        guard = _Guard()
        outcomes = await generator.play(
            self._target.ask,
            times.tolist(),
            self.mix.order(seed),
            concurrency=self._plan.connections,
            stop=guard.stop,
            patience=self._plan.give_up,
            progress=guard.watch,
        )
        return outcomes, guard.reason

    async def step(
        self, rate: float, objective: curve.Objective, search: curve.Search, seed: int
    ) -> curve.Step:
        """Measure one rate, and wait until the service is quiet."""
        began = time.time()
        length = search.warm_up + search.seconds
        times = schedule.randomly(schedule.steps([rate], length), seed)
        outcomes, stopped = await self.send(times, seed)
        alive = await self._until_quiet(objective)
        await asyncio.sleep(search.settle)
        measured = measures.within(outcomes, search.warm_up, length)
        answered = measures.of_payload(measured, self.mix.answered)
        found = np.array([each.latency for each in answered if each.failure is None])
        failed = measures.failures(measured).value
        latency, _ = measures.latencies(answered, seed=seed, quantiles=(objective.quantile,))
        return curve.Step(
            rate=rate,
            requests=len(measured),
            offered=len(measured) / search.seconds,
            achieved=measures.achieved(measured, length, search.seconds).value or 0.0,
            mean=float(found.mean()) if found.size else None,
            latency=latency,
            failed=1.0 if failed is None else failed,
            holds=stopped is None and objective.is_met(latency.value, failed),
            sound=measures.is_sound(measures.on_time(measured, self._plan.tolerance)),
            alive=alive,
            began=began,
            ended=time.time(),
        )

    async def _until_quiet(self, objective: curve.Objective) -> bool:
        """Ask one at a time until three answers in a row come as fast as they should."""
        deadline = time.monotonic() + _RECOVERY
        order, quick = self.mix.order(0), 0
        while time.monotonic() < deadline:
            reply = await self._target.ask(next(order))
            answered = reply.failure is None
            quick = quick + 1 if answered and 1000 * reply.seconds <= objective.latency_ms else 0
            if quick == 3:
                return True
            await asyncio.sleep(0.05 if answered else 0.5)
        return False


class _Guard:
    """Stops a load when most of the last requests failed: no service deserves more of it."""

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self.reason: str | None = None
        self._recent: deque[bool] = deque(maxlen=_WATCHED)

    def watch(self, outcome: generator.Outcome) -> None:
        """Take note of an outcome."""
        if self.stop.is_set():
            return
        self._recent.append(outcome.failure is not None)
        if len(self._recent) == _WATCHED and sum(self._recent) > _WATCHED / 2:
            self.reason = (
                f"{sum(self._recent)} of {_WATCHED} requests in a row failed, at the end with "
                f"{outcome.failure or 'an answer'}; the load was stopped"
            )
            self.stop.set()


@contextlib.asynccontextmanager
async def _sender(address: Address, plan: Plan) -> AsyncIterator[_Sender]:
    async with wire.Wire(address.url, host=address.host, timeout=plan.give_up) as wires:
        target = payloads.Target(wires, address.model)
        mix = await target.prepare(plan.payloads, plan.folder, plan.seed)
        for case in itertools.islice(mix.order(plan.seed), _TRIES):
            reply = await target.ask(case)
            if reply.failure is None:
                break
        if reply.failure is not None:
            raise errors.ServiceUnavailable(
                f"{address.url} is not loaded, because its first {_TRIES} requests failed: "
                f"{reply.failure.kind}, {reply.failure.message}"
            )
        yield _Sender(target, mix, plan)


def _shifted(outcome: generator.Outcome, seconds: float) -> generator.Outcome:
    """The same with times from a later start."""
    return generator.Outcome(
        outcome.case,
        outcome.intended - seconds,
        outcome.due - seconds,
        outcome.sent - seconds,
        outcome.finished - seconds,
        outcome.reply,
    )

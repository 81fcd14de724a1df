"""Gates: what else must agree before a step is left, asked while the rollout goes on.

An evaluation is ``calumma evaluate`` as a process of its own, which ends with whoever asked; what
an earlier process of the rollout left of it is ended before it begins again. A webhook gets the
status of the rollout by POST, and is asked again, with growing pauses, until it agrees or refuses.
A person agrees by a verb, which is not asked for here.

:class:`Gates` answers at once with what is known: the rollout looks, it does not wait.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from calumma import errors
from calumma.cluster import layout
from calumma.evaluation import history, overview
from calumma.rollout import policy as policies
from calumma.rollout import state, telling
from calumma.schedule import execution, webhook

GateResult = state.GateResult

LONGEST_PAUSE = 60.0
"""Seconds between two questions to a webhook; the first pause is of one second."""
_OUTCOMES: dict[int | None, Any] = {0: "agree", 1: "refuse", 2: "inconclusive"}
_WORDS = {"agree": "passed", "refuse": "failed", "inconclusive": "was inconclusive"}
_LATER = (408, 425, 429)
"""The 4xx that ask for the same question later, and so are no refusal."""


class Gates:
    """The gates of one rollout; ``folder`` is the rollout's, where evaluations leave their runs."""

    def __init__(
        self, rollout: str, policy: policies.Policy, folder: Path, home: layout.Home
    ) -> None:
        self._rollout, self._policy, self._folder, self._home = rollout, policy, folder, home
        self._tasks: dict[str, asyncio.Task[GateResult]] = {}

    def ask(self, key: str, gate: policies.Gate, told: Mapping[str, Any]) -> None:
        """Begin to ask a gate, once for each ``key``; one that is asked anew has another key.

        ``told`` is what a webhook gets, see :func:`calumma.rollout.telling.document`.
        """
        if key in self._tasks or gate.person is not None:
            return
        self._tasks[key] = asyncio.create_task(self._answer(key, gate, json.dumps(dict(told))))

    def results(self) -> dict[str, GateResult]:
        """What each gate that was asked has answered so far."""
        return {key: _result(task) for key, task in self._tasks.items()}

    async def close(self) -> None:
        """End what is under way."""
        tasks, self._tasks = list(self._tasks.values()), {}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _answer(self, key: str, gate: policies.Gate, told: str) -> GateResult:
        try:
            if gate.evaluation is not None:
                return await self._evaluate(key, gate.evaluation, gate.timeout)
            assert gate.webhook is not None  # a gate is one of the three
            url = telling.secret(gate.webhook)
            return await _ask(url, told, gate.timeout)
        except (errors.CalummaError, OSError) as error:
            return GateResult(outcome="error", sentence=str(error))

    async def _evaluate(self, key: str, asked: policies.Evaluation, seconds: float) -> GateResult:
        """Run the suite's sections and read what became of them."""
        into = (self._folder / "gates" / key.replace("/", "-")).absolute()
        into.mkdir(parents=True, exist_ok=True)
        log = into / "output.log"
        mark = f"{into} {self._rollout} in {self._policy.namespace}"
        execution.end(mark, self._home.path)
        before = {past.folder for past in history.read(into).runs}
        running = execution.Execution(
            mark,
            self._words(asked, into),
            self._environment(),
            Path(self._policy.project),
            log,
            self._home.path,
        )
        running.start()
        try:
            code = await asyncio.wait_for(asyncio.shield(running.wait()), seconds)
        except TimeoutError:
            running.stop()
            await running.wait()
            sentence = f"{asked.suite} took longer than the {seconds:g} s of its gate; {log}"
            return GateResult(outcome="refuse", sentence=sentence)
        except asyncio.CancelledError:
            running.stop()
            await running.wait()
            raise
        runs = [past for past in history.read(into).runs if past.folder not in before]
        return _read(runs, asked, code, log)

    def _words(self, asked: policies.Evaluation, into: Path) -> tuple[str, ...]:
        only = ("--only", ",".join(asked.only)) if asked.only else ()
        service = ("--service", self._policy.service, "--namespace", self._policy.namespace)
        command = (sys.executable, "-m", "calumma.cli", "evaluate", asked.suite)
        return (*command, *only, *service, "--into", str(into), "--json")

    def _environment(self) -> dict[str, str]:
        """Our own, as if a person had called it, without the secrets that the policy names."""
        webhooks = [gate.webhook for step in self._policy.steps for gate in step.gates]
        alerts = [self._policy.notify.secret] if self._policy.notify is not None else []
        secrets = {each.environment for each in (*webhooks, *alerts) if each is not None}
        own = {name: value for name, value in os.environ.items() if name not in secrets}
        own.pop("PATH", None)  # an execution's own begins with this Python
        return {**own, "CALUMMA_HOME": str(self._home.path)}


async def _ask(url: str, told: str, seconds: float) -> GateResult:
    """Ask a webhook until it agrees or refuses, or its time is over."""
    clock = asyncio.get_running_loop().time
    end, pause, found = clock() + seconds, 1.0, "it was not reached"
    while (left := end - clock()) > 0:
        try:
            status = await asyncio.wait_for(asyncio.to_thread(webhook.post, url, told), left)
        except errors.AlertFailed as error:
            found = str(error)
        except TimeoutError:
            break
        else:
            if 200 <= status < 300:
                return GateResult(outcome="agree", sentence=f"the webhook agreed ({status})")
            if 400 <= status < 500 and status not in _LATER:
                return GateResult(outcome="refuse", sentence=f"the webhook refused ({status})")
            found = f"the webhook answered {status}"
        await asyncio.sleep(min(pause, max(0.0, end - clock())))
        pause = min(2 * pause, LONGEST_PAUSE)
    sentence = f"the webhook has not said yes or no within {seconds:g} s; at last {found}"
    return GateResult(outcome="refuse", sentence=sentence)


def _read(
    runs: Sequence[history.Past], asked: policies.Evaluation, code: int | None, log: Path
) -> GateResult:
    """What an evaluation came to, by its exit status; the sentence and page are its record's."""
    outcome = _OUTCOMES.get(code, "error")
    if not runs:
        words = execution.last_words(log)
        sentence = f"{asked.suite} ended with status {code} and without a run; {words}"
        return GateResult(outcome="error", sentence=sentence)
    run, folder = runs[-1]
    page = folder / overview.FILE
    link = str(page if page.exists() else folder)
    word = _WORDS.get(outcome, f"ended with status {code}")
    return GateResult(
        outcome=outcome,
        sentence=f"{asked.suite} {word}: {run.sentence} ({link})",
        link=link,
    )


def _result(task: asyncio.Task[GateResult]) -> GateResult:
    if not task.done() or task.cancelled():
        return GateResult(outcome="pending", sentence="it has not answered yet")
    return task.result()

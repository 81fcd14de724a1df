"""Telling people what became of a rollout: by the alerts of :mod:`calumma.schedule`.

A message waits until it has been told: a failure is tried again with growing pauses and never stops
the rollout. What is told is one JSON object with the numbers, and ``text``, a sentence, which is
what Slack, Mattermost and others show of a webhook's document.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from calumma import errors
from calumma.cluster import layout
from calumma.rollout.policy import Policy
from calumma.rollout.state import Note, Phase, Reading, State
from calumma.schedule import alerts, store
from calumma.schedule.definition import Secret

LONGEST_PAUSE = 300.0
"""Seconds between two tries; the first pause is of one second."""
WORTH_TELLING = frozenset(
    {Phase.PAUSED, Phase.PROMOTED, Phase.ROLLED_BACK, Phase.UNDONE, Phase.SUPERSEDED}
)
"""People are told when a rollout comes into one of these: it waits for them, or has ended."""
_ASKED = "WaitingForPerson"

log = logging.getLogger(__name__)


def document(state: State, text: str) -> dict[str, Any]:
    """A rollout's status for programs, with a sentence for people."""
    return {
        "rollout": state.id,
        "service": state.policy.service,
        "namespace": state.policy.namespace,
        "phase": str(state.phase),
        "why": state.why,
        "step": state.step,
        "steps": len(state.policy.steps),
        "weight": state.weight,
        "stable": state.stable,
        "canary": state.canary,
        "to": state.to,
        "metrics": [_metric(reading) for reading in state.readings],
        "text": text,
    }


def is_worth_telling(state: State, notes: Iterable[Note]) -> bool:
    """Whether people are told of what has just happened: a state with its new notes."""
    reasons = {note.reason for note in notes}
    return _ASKED in reasons or bool(reasons and state.phase in WORTH_TELLING)


def sentence(state: State) -> str:
    """What has become of a rollout, and by which numbers."""
    what = {
        Phase.PAUSED: "waits for a person",
        Phase.PROMOTED: "was promoted",
        Phase.ROLLED_BACK: "was rolled back",
        Phase.UNDONE: "was undone",
        Phase.SUPERSEDED: "was superseded",
    }.get(state.phase, "goes on")
    service = f"{state.policy.service} in namespace {state.policy.namespace}"
    canary = f"{state.canary or 'the canary'} of {service}"
    why = state.cause
    if state.phase is Phase.PROGRESSING and state.notes and state.notes[-1].reason == _ASKED:
        what, why = "waits for a person", state.notes[-1].text
    why = f": {why.rstrip('.')}" if why else ""
    end = "" if why.endswith("?") else "."
    numbers = "; ".join(reading.sentence or reading.numbers for reading in state.readings)
    return f"The rollout of {canary} {what}{why}{end}" + (f" {numbers}." if numbers else "")


class Telling:
    """Tells people of one rollout, one message after the other; without alerts it does nothing."""

    def __init__(self, policy: Policy, folder: Path, home: layout.Home) -> None:
        self._alerts, self._home = policy.notify, home
        self._log = folder / "alerts.log"
        self._waiting: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None
        self.trouble = ""
        """Why people could not be told yet; empty when they were."""

    def tell(self, told: Mapping[str, Any]) -> None:
        """Tell this, now or as soon as that is possible."""
        if self._alerts is None:
            return
        self._waiting.put_nowait(dict(told))
        if self._task is None:
            self._task = asyncio.create_task(self._work())

    async def close(self, seconds: float) -> None:
        """Wait so many seconds for what is still to be told, then give it up."""
        if self._task is None:
            return
        try:
            await asyncio.wait_for(self._waiting.join(), seconds)
        except TimeoutError:
            log.error("people were not told: %s", self.trouble)
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _work(self) -> None:
        while True:
            told = await self._waiting.get()
            await self._until_told(told)
            self._waiting.task_done()

    async def _until_told(self, told: dict[str, Any]) -> None:
        assert self._alerts is not None  # there is no work without
        pause = 1.0
        while True:
            try:
                await alerts.send(
                    self._alerts, secret(self._alerts.secret), told, self._home, self._log
                )
            except (errors.CalummaError, OSError) as error:
                self.trouble = str(error)
                log.warning("people were not told yet: %s", error)
            else:
                self.trouble = ""
                return
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)


def secret(found: Secret) -> str:
    """A secret of the policy, read where the rollout runs; raises ConfigurationError."""
    if found.file is not None:
        return store.first_line(Path(found.file).expanduser())
    value = os.environ.get(found.environment or "")
    if not value:
        raise errors.ConfigurationError(
            f"the policy needs the environment variable {found.environment}, which is not set "
            "where the rollout runs"
        )
    return value


def _metric(reading: Reading) -> dict[str, Any]:
    """A reading as JSON has it, which knows no infinity."""
    found = reading.model_dump(mode="python")
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in found.items()
    }

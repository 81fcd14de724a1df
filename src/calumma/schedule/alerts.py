"""Telling people: a webhook or a command, whose address is a secret and never appears in a text.

What is told is one JSON object: ``schedule``, ``status`` (``failing`` or ``passing``), ``failures``
(runs in a row), ``outcome`` and ``run`` of the last run, and ``text``, a sentence, which is what
Slack, Mattermost and others show of a webhook's document.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from calumma import errors
from calumma.cluster import layout
from calumma.schedule import execution, webhook
from calumma.schedule.definition import Alerts, Schedule, command_line
from calumma.schedule.state import State

VARIABLE = "CALUMMA_ALERT"
TIMEOUT = 10.0
"""Seconds that a command may take."""


def message(schedule: Schedule, state: State, status: str) -> dict[str, object]:
    """What is told."""
    last = state.last
    what = "passes again"
    if status == "failing":
        runs = "run" if state.failures == 1 else f"{state.failures} runs in a row"
        verb = "has" if state.failures == 1 else "have"
        what = f"is failing: the last {runs} {verb} not passed, the last one ended with "
        what += str(state.last_outcome)
    return {
        "schedule": schedule.name,
        "status": status,
        "failures": state.failures,
        "outcome": state.last_outcome,
        "run": last.id if last else None,
        "text": f"The schedule {schedule.name} {what}.",
    }


async def send(
    alerts: Alerts, secret: str, told: dict[str, object], home: layout.Home, log: Path
) -> None:
    """Tell it; raises AlertFailed, with a reason that does not contain the secret."""
    document = json.dumps(told)
    if alerts.webhook is not None:
        status = await asyncio.to_thread(webhook.post, secret, document)
        if not 200 <= status < 300:
            raise errors.AlertFailed(f"the webhook answered {status}")
    else:
        await _command(secret, document, home, log)


def check(alerts: Alerts, secret: str) -> None:
    """Raise ConfigurationError where a secret cannot be what it should be."""
    if alerts.webhook is not None and not webhook.is_url(secret):
        raise errors.ConfigurationError(
            "alerts.webhook leads to something that does not begin with http:// or https://"
        )
    try:
        words = command_line(secret) if alerts.command is not None else ("",)
    except ValueError as error:
        raise errors.ConfigurationError(
            f"alerts.command leads to no command line: {error}"
        ) from error
    if not words:
        raise errors.ConfigurationError("alerts.command leads to an empty command line")


async def _command(line: str, document: str, home: layout.Home, log: Path) -> None:
    try:
        words = command_line(line)
    except ValueError:
        raise errors.AlertFailed("the alert's command line has an open quote") from None
    if not words:
        raise errors.AlertFailed("the alert's command line is empty")
    mark = f"alert {log}"  # nobody else's: what carries it is killed in the end
    started = execution.Execution(mark, words, {VARIABLE: document}, home.path, log, home.path)
    started.start()
    try:
        code = await asyncio.wait_for(asyncio.shield(started.wait()), TIMEOUT)
    except TimeoutError:
        started.stop()
        code = await started.wait()
    if code != 0:
        why = "took too long" if code is None else f"ended with status {code}"
        raise errors.AlertFailed(f"the alert's command {why}; {log} has its output")

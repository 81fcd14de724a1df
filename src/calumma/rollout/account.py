"""A rollout as a report has it: rulings, tables, and what happened. Pure."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable
from datetime import UTC, datetime

from calumma.rollout import judgement
from calumma.rollout.policy import Agreement, Metric
from calumma.rollout.state import Note, Phase, Reading, State, Verdict
from calumma.scoring import gates, metrics, report
from calumma.statistics import intervals

SHARE = "canary's share of the traffic"

_VERDICTS = {
    Verdict.FINE: gates.Verdict.PASS,
    Verdict.WORSE: gates.Verdict.FAIL,
    Verdict.UNCLEAR: gates.Verdict.INCONCLUSIVE,
}
_OUTCOMES = {
    Phase.PROMOTED: gates.Verdict.PASS,
    Phase.PROMOTING: gates.Verdict.PASS,
    Phase.ROLLED_BACK: gates.Verdict.FAIL,
    Phase.ROLLING_BACK: gates.Verdict.FAIL,
    Phase.UNDONE: gates.Verdict.FAIL,
}


def decision(state: State) -> gates.Decision:
    """What the counts say of each metric, and what became of the rollout.

    A canary that a person promoted passes only if its metrics do: the verdict is the evidence's.
    """
    readings = {reading.name: reading for reading in state.readings}
    rulings = [_ruling(metric, readings.get(metric.name)) for metric in state.policy.metrics]
    outcome = _OUTCOMES.get(state.phase, gates.Verdict.INCONCLUSIVE)
    reason = f"the rollout is {state.phase}{f': {state.cause}' if state.cause else ''}"
    gate = gates.Gate(SHARE, gates.Bound.EQUAL_TO, 1.0)
    return gates.decide((*rulings, gates.Ruling(gate, outcome, reason)))


def table(state: State) -> report.Table:
    """Each metric's estimate and bounds, with its part of alpha."""
    return report.Table(
        "Canary minus stable",
        f"The bounds hold at all looks at once: {judgement.division(state.policy)}. Positive is "
        "worse; of an agreement it is the share.",
        tuple(_metric(reading) for reading in state.readings),
        {each.name: f"alpha {each.alpha:.3g}; {each.verdict}" for each in state.readings},
    )


def sides(state: State) -> report.Table:
    """Each metric's own value in both revisions."""
    found = []
    for each in state.readings:
        found.append(metrics.Metric(f"{each.name}, canary", each.value, each.n, None, each.unit))
        found.append(
            metrics.Metric(f"{each.name}, stable", each.other_value, each.other_n, None, each.unit)
        )
    return report.Table("Both revisions", "No value means that none is known.", tuple(found))


def shares(state: State) -> report.Table:
    """The canary's share of users' requests in each step, beside the declared one."""
    found, remarks = [], {}
    for weight, canary, stable in state.shares:
        name = f"canary's share at {weight}%"
        found.append(metrics.proportion(name, canary, canary + stable))
        remarks[name] = f"{weight}% is declared"
    return report.Table(
        "Split of users' requests",
        f"{judgement.split(state.shares).sentence.capitalize()}.",
        tuple(found),
        remarks,
    )


def subject(state: State) -> dict[str, str]:
    """What was rolled out and what happened, as facts of a report."""
    facts = {
        "service": state.policy.service,
        "namespace": state.policy.namespace,
        "rollout": state.id,
        "strategy": state.policy.strategy,
        "stable": state.stable,
        "canary": state.canary or "not known yet",
        "to": state.to or "set by somebody else",
        "phase": str(state.phase),
    }
    return facts | {f"{_at(note.time)} {note.reason}": note.text for note in state.notes}


def durations(state: State) -> tuple[metrics.Metric, ...]:
    """How long the rollout took, until now or its end, in seconds."""
    end = state.ended or state.looked or state.began
    found = [metrics.Metric("from the beginning", end - state.began, 1, None, "s")]
    if state.first_step is not None:
        found.append(metrics.Metric("from the first step", end - state.first_step, 1, None, "s"))
    return tuple(found)


def notes(found: Iterable[Note]) -> str:
    """What happened and when, with links to the evidence of gates and steps, as an HTML table."""
    rows = []
    for note in found:
        link = html.escape(note.evidence or "")
        page = f'<a href="{link}">{link}</a>' if link else ""
        words = (_at(note.time), str(note.step + 1), note.reason, note.text)
        cells = (*(html.escape(word) for word in words), page)
        rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    head = "<tr><th>UTC</th><th>Step</th><th>What</th><th>Why</th><th>Evidence</th></tr>"
    return f"<table>{head}{''.join(rows)}</table>"


def _ruling(metric: Metric, reading: Reading | None) -> gates.Ruling:
    """What is demanded of a metric, in its unit, and what is known of it."""
    agreement = isinstance(metric, Agreement)
    declared = metric.at_least if isinstance(metric, Agreement) else metric.margin
    bound = gates.Bound.AT_LEAST if agreement else gates.Bound.AT_MOST
    gate = gates.Gate(metric.name, bound, declared if reading is None else reading.margin)
    if reading is None:
        return gates.Ruling(gate, gates.Verdict.INCONCLUSIVE, f"nothing is known of {metric.name}")
    return gates.Ruling(gate, _VERDICTS[reading.verdict], reading.sentence)


def _at(time: float) -> str:
    return f"{datetime.fromtimestamp(time, UTC):%Y-%m-%d %H:%M:%S}"


def _metric(reading: Reading) -> metrics.Metric:
    interval = None
    if math.isfinite(reading.low) and math.isfinite(reading.high):
        interval = intervals.Interval(reading.low, reading.high)
    n = min(reading.n, reading.other_n)
    level = round(1 - 2 * reading.alpha, 6)
    return metrics.Metric(reading.name, reading.estimate, n, interval, reading.unit, level=level)

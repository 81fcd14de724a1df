"""Rollouts as text for people: what a policy will do, and how a rollout stands. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from calumma import command
from calumma.rollout import steps, wording
from calumma.rollout.policy import Gate, Policy, Step
from calumma.rollout.record import Past
from calumma.rollout.state import Note, Phase, Reading, State

LAST_NOTES = 8

_HEAD = ("METRIC", "CANARY", "STABLE", "DIFFERENCE", "FROM", "TO", "MARGIN", "N", "VERDICT")


HEAD = ("SERVICE", "ROLLOUT", "PHASE", "SHARE", "STEP", "CANARY", "STABLE", "NEXT")
HISTORY_HEAD = ("ROLLOUT", "ENDED", "PHASE", "CANARY", "MODEL", "WHY", "EVIDENCE")


def row(state: State, now: float) -> tuple[str, ...]:
    """A rollout as one line of :data:`HEAD`."""
    return (
        state.policy.service,
        state.id,
        str(state.phase),
        f"{state.weight}%",
        f"{state.step + 1}/{len(state.policy.steps)}",
        state.canary or "-",
        state.stable,
        following(state, now),
    )


def history_row(past: Past) -> tuple[str, ...]:
    """A rollout that has ended as one line of :data:`HISTORY_HEAD`."""
    kept = [note.evidence for note in past.notes if note.evidence]
    return (
        past.id,
        "-" if past.ended is None else _moment(past.ended),
        str(past.phase),
        past.canary or "-",
        past.to or "-",
        past.why,
        kept[-1] if kept else "-",
    )


def plan(policy: Policy) -> str:
    """What a rollout by this policy will do, line by line."""
    lines = [
        f"{policy.strategy} rollout of {policy.service} in namespace {policy.namespace}, a look "
        f"every {policy.interval:g} s",
        f"0. wait up to {policy.ready:g} s until the canary is ready, at 0%",
    ]
    for index, step in enumerate(policy.steps):
        lines.append(f"{index + 1}. {_step(policy, index, step)}")
    lines.append(f"{len(policy.steps) + 1}. {_verdict(policy)}")
    names = ", ".join(metric.name for metric in policy.metrics)
    end = {"hold": "wait for a person", "rollback": "roll back", "promote": "promote"}
    return "\n".join(
        [
            *lines,
            f"At any time: roll back when one of {names} is shown to be worse; the chance that "
            f"this is false is at most {policy.alpha:.0%}, whatever the number of looks.",
            f"After {policy.deadline:g} s without a verdict: {end[policy.inconclusive]}.",
        ]
    )


def _step(policy: Policy, index: int, step: Step) -> str:
    needs = [f"{step.seconds:g} s"] if step.seconds else []
    needs += [f"{step.requests} requests"] if step.requests else []
    needs += [_gate(gate) for gate in step.gates]
    needs += ["every metric shown not to be worse"] if policy.proves(index) else []
    text = f"{step.weight}% until: {', '.join(needs) or 'nothing is shown to be worse'}"
    return text + (f"; inconclusive after {step.timeout:g} s" if step.timeout else "")


def _gate(gate: Gate) -> str:
    if gate.evaluation is not None:
        return f"{gate.evaluation.suite} passes"
    return "the webhook agrees" if gate.webhook is not None else f"a person agrees: {gate.person}"


def _verdict(policy: Policy) -> str:
    if policy.strategy == "ab":
        sizes = ", ".join(
            f"{metric.name} {getattr(metric, 'planned', None)}" for metric in policy.metrics
        )
        return f"at the planned size ({sizes}): promote if something is better, else roll back"
    return "promote: 100%"


def status(state: State, now: float) -> str:
    """How a rollout stands at ``now`` (Unix time), as people read it."""
    blocks = [_pairs(list(_head(state, now)))]
    if state.readings:
        blocks.append(command.table(_HEAD, [_reading(each) for each in state.readings]))
    if state.troubles:
        blocks.append("\n".join(f"trouble: {text}" for text in state.troubles.values()))
    if state.notes:
        notes = state.notes[-LAST_NOTES:]
        blocks.append(command.table(("TIME", "REASON", ""), [_note(note) for note in notes]))
    return "\n\n".join(blocks)


def _head(state: State, now: float) -> Iterator[tuple[str, str]]:
    policy = state.policy
    yield "rollout", f"{state.id} ({policy.strategy})"
    yield "service", f"{policy.service} in namespace {policy.namespace}"
    yield "phase", f"{state.phase}{': ' if state.why else ''}{state.why}"
    to = f", {state.to}" if state.to else ""
    yield "canary", f"{state.canary or 'not there yet'}{to}, against {state.stable}"
    yield "share", f"{state.weight}%, step {state.step + 1} of {len(policy.steps)}"
    if state.phase in (Phase.PROGRESSING, Phase.PAUSED):
        step, begun = policy.steps[state.step], state.stepped
        spent = 0.0 if begun is None else (state.paused or now) - begun
        yield "time", f"{max(0.0, spent):.0f} s of at least {step.seconds:g} s"
        yield "requests", f"{state.requests} of at least {step.requests}"
    if state.phase is Phase.PROGRESSING and state.first_step is not None:
        left = state.first_step + policy.deadline - now
        yield "deadline", f"in {max(0.0, left):.0f} s, then: {policy.inconclusive}"
    yield "next", following(state, now)


def following(state: State, now: float) -> str:
    """What happens next."""
    match state.phase:
        case Phase.PENDING:
            return "the first step begins when the canary is ready"
        case Phase.PAUSED:
            return "nothing, until a person resumes, promotes or aborts it"
        case Phase.PROMOTING:
            return "it is promoted when 100% of the traffic reach the canary"
        case Phase.ROLLING_BACK:
            return f"it has ended when 100% of the traffic reach {state.stable}"
        case Phase.PROGRESSING:
            return _waiting(state, now)
    return "nothing: it has ended"


def _waiting(state: State, now: float) -> str:
    found = [each for each in steps.waits(state, now) if each not in state.troubles.values()]
    found += [_gate(gate) for _, gate in steps.open_gates(state)]
    found += ["the end of what is in trouble"] if state.troubles else []
    last = state.step + 1 == len(state.policy.steps)
    then = "the verdict" if last else f"{state.policy.steps[state.step + 1].weight}%"
    return f"{then} after: {', '.join(found) or 'the next look'}"


def _reading(reading: Reading) -> tuple[str, ...]:
    low, high, margin = (reading.scaled(end) for end in (reading.low, reading.high, reading.margin))
    difference = None if reading.estimate is None else reading.scaled(reading.estimate)
    unit = "" if difference is None else f" {reading.scaled_unit}"
    return (
        reading.name,
        _value(reading, reading.value),
        _value(reading, reading.other_value),
        f"{_number(difference)}{unit}".rstrip(),
        _number(low),
        _number(high),
        f"{margin:.3g}",
        f"{reading.n}/{reading.other_n}",
        str(reading.verdict),
    )


def _value(reading: Reading, value: float | None) -> str:
    """An arm's own value; a share in percent."""
    if value is None or reading.unit != "share":
        return _number(value)
    return f"{100 * value:.2f}%"


def _number(value: float | None) -> str:
    known = value is not None and math.isfinite(value) and abs(value) < wording.LONGEST / 2
    return f"{value:.3g}" if known else "-"


def _note(note: Note) -> tuple[str, str, str]:
    evidence = f" ({note.evidence})" if note.evidence else ""
    return _moment(note.time), note.reason, note.text + evidence


def _moment(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def _pairs(rows: Sequence[tuple[str, str]]) -> str:
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name.ljust(width)}  {text}" for name, text in rows)

"""What to do now: one pure pass over a rollout, with the clock passed in.

:func:`decide` gives the state that follows and what has to be done. The state is written before
anything is done, with the change of the InferenceService that is intended. Whoever looks next
finds that change in the object, or decides it again: deciding again after acting gives nothing.
:func:`recorded` drops what people have been told.

A look goes through the same rules in the same order:

1. Was the InferenceService changed by us, or by somebody (:mod:`~calumma.rollout.persons`)?
2. Count what came while our share was in effect, and judge.
3. What keeps us from knowing, and for how long?
4. What does a person wish?
5. Roll back what is worse, also while a person paused it; otherwise go on by
   :mod:`~calumma.rollout.steps`.
6. Change the InferenceService where it is not as wanted: at most once.
"""

from __future__ import annotations

from calumma import errors
from calumma.rollout import judgement, persons, steps, troubles
from calumma.rollout.look import (
    EVIDENCED,
    Action,
    Answer,
    Decision,
    KeepEvidence,
    Look,
    Promote,
    RollBack,
    RunGate,
    Seen,
    Tell,
    Undo,
    Weigh,
    change,
    entry_left,
    in_effect,
)
from calumma.rollout.policy import MOST_LOOKS, Policy
from calumma.rollout.service import View
from calumma.rollout.state import Phase, State, Tally

__all__ = [
    "Action",
    "Answer",
    "Decision",
    "KeepEvidence",
    "Promote",
    "RollBack",
    "RunGate",
    "Seen",
    "Tell",
    "Undo",
    "Weigh",
    "begin",
    "counts_from",
    "decide",
    "recorded",
]


def begin(
    policy: Policy,
    view: View,
    id: str,
    now: float,
    to: str | None = None,
    before: View | None = None,
) -> State:
    """The state of a rollout of what the InferenceService declares at the time ``now``.

    ``view`` already has the new template: it is what the patch that set it was answered with, and
    ``before`` what was seen before that patch, whose newest revision is not what is rolled out.
    Raises RolloutError for a service without a revision to fall back on.
    """
    name = f"{view.namespace}/{view.name}"
    if view.stable is None:
        raise errors.RolloutError(
            f"InferenceService {name} has no revision that serves; a rollout compares a new one "
            "with it, so wait until the first is Ready"
        )
    if view.standard and view.canary is None:
        raise errors.RolloutError(f"InferenceService {name} has no entry in spec.canary")
    replaced = before is not None and not view.standard and before.template != view.template
    return State(
        id=id,
        policy=policy,
        began=now,
        stable=view.stable,
        former=before.newest if before is not None and replaced else None,
        to=to,
        template=view.template,
        generation=view.generation,
        weight=view.weight,
        unready=now,
        looked=now,
    )


def counts_from(state: State, now: float) -> float | None:
    """From when on requests of the step count; None while nothing counts.

    Nothing counts before the step's share is in effect, nor during its warm-up. Each source knows
    by ``counted`` how far it is.
    """
    if state.phase not in (Phase.PROGRESSING, Phase.PAUSED) or state.stepped is None:
        return None
    since = state.stepped + state.policy.warmUp
    return since if since < now else None


def decide(state: State, seen: Seen) -> Decision:
    """What follows from a look: the state to be written, then what to do."""
    look = Look(state, seen)
    if seen.sent is not None:
        look.put(sent=seen.sent)
    if seen.counted is not None:
        look.put(counted=dict(seen.counted))
    if not state.phase.ended:
        persons.recognise(look, seen.view)
    if look.state.phase.ended:
        persons.wish_of_ended(look)
    if seen.view is not None and not look.state.phase.ended:
        _go_on(look, seen.view)
    told = look.state.untold
    evidence = sorted({note.step for note in told if note.reason in EVIDENCED})
    look.actions += [KeepEvidence(step) for step in evidence]
    look.actions += [Tell(note) for note in told]
    return Decision(look.state, tuple(look.actions))


def recorded(state: State, evidence: str | None = None) -> State:
    """The state once people were told and the evidence was kept, there."""
    notes = tuple(
        note.model_copy(update={"evidence": evidence})
        if note in state.untold and note.reason in EVIDENCED
        else note
        for note in state.notes
    )
    return state.model_copy(update={"notes": notes, "untold": ()})


def _go_on(look: Look, view: View) -> None:
    _count(look, view)
    troubles.find(look, view)
    persons.wish(look, view)
    if look.state.phase is Phase.PENDING:
        _pending(look, view)
    if look.state.phase in (Phase.PROGRESSING, Phase.PAUSED):
        _keep_safe(look, view)
    if look.state.phase is Phase.PROGRESSING:
        _begin_step(look, view)
        steps.go_on(look)
    if look.state.phase in (Phase.PROMOTING, Phase.ROLLING_BACK):
        _finish(look, view)
    change(look, view)


def _count(look: Look, view: View) -> None:
    """Add what came since the last look, if our share was in effect all the while; judge."""
    state, seen = look.state, look.seen
    since = counts_from(state, look.now)
    if seen.requests:
        look.put(busy=look.now)
    if since is None:
        return
    look.put(looked=look.now)
    if look.moved or not in_effect(state, view, state.weight):
        return
    look.put(requests=state.requests + seen.requests, shares=_shares(state, seen))
    if seen.tallies and troubles.looks(state) < MOST_LOOKS:
        _judge(look)


def _shares(state: State, seen: Seen) -> tuple[tuple[int, int, int], ...]:
    """Users' requests by step, with what came now."""
    before, last = state.shares, (state.weight, 0, 0)
    if before and before[-1][0] == state.weight:
        before, last = before[:-1], before[-1]
    canary, stable = seen.users
    found = (state.weight, last[1] + canary, last[2] + stable)
    return (*before, found) if any(found[1:]) else state.shares


def _judge(look: Look) -> None:
    state, seen = look.state, look.seen
    tallies = {
        metric.name: judgement.add(
            state.tallies.get(metric.name, Tally()), seen.tallies.get(metric.name, Tally())
        )
        for metric in state.policy.metrics
    }
    alphas = judgement.alphas(state.policy)
    readings = tuple(
        judgement.read(metric, tallies[metric.name], alphas[metric.name])
        for metric in state.policy.metrics
    )
    look.put(tallies=tallies, readings=readings)


def _pending(look: Look, view: View) -> None:
    """Wait for the canary; then the first step begins."""
    state = look.state
    known = (state.stable, state.former)
    canary = view.canary if view.observed and view.canary not in known else None
    if canary is not None and view.canary_ready and view.ready:
        look.put(phase=Phase.PROGRESSING, canary=canary, first_step=look.now, unready=None)
        look.note("CanaryReady", f"{canary} is ready; it is compared with {state.stable}")
        return
    look.put(canary=canary or state.canary)
    if look.now - (look.now if state.unready is None else state.unready) < state.policy.ready:
        return
    if look.state.canary is None:
        why = f"no new revision came within {state.policy.ready:g} s: the newest is {state.stable}"
        look.end(Phase.SUPERSEDED, why, warning=True)
    else:
        _never_ready(look, view)


def _never_ready(look: Look, view: View) -> None:
    trouble = view.trouble or "the cluster does not say why"
    waited = f"{look.state.canary} was not ready for {look.state.policy.ready:g} s"
    look.note("NotReady", f"{waited}: {trouble}", warning=True)
    look.roll_back(f"{waited}: {trouble}")


def _keep_safe(look: Look, view: View) -> None:
    """Roll back a canary that is worse, or not ready for too long; a person's share stays."""
    state = look.state
    if persons.taken_over(state, view):
        return
    if bad := steps.worse(state):
        paused = "while it was paused, " if state.phase is Phase.PAUSED else ""
        look.roll_back(f"{paused}at {state.weight}%: {steps.numbers(bad)}")
    elif view.canary_ready or state.phase is Phase.PAUSED:
        look.put(unready=None)
    elif state.unready is None:
        look.put(unready=look.now)
    elif look.now - state.unready >= state.policy.ready:
        _never_ready(look, view)


def _begin_step(look: Look, view: View) -> None:
    """Let the step's time begin once its share is in effect."""
    state, weight = look.state, look.step.weight
    ready = view.ready and view.canary_ready
    if state.stepped is not None or not ready or not in_effect(state, view, weight):
        return
    look.put(stepped=look.now, looked=look.now)
    total = len(state.policy.steps)
    look.note("StepStarted", f"step {state.step + 1} of {total}: {weight}% go to {state.canary}")


def _finish(look: Look, view: View) -> None:
    """End a promotion or a rollback that is in effect."""
    state = look.state
    if state.phase is Phase.PROMOTING:
        if in_effect(state, view, 100) and view.ready and not entry_left(state, view):
            look.end(Phase.PROMOTED, state.why)
    elif in_effect(state, view, 0) and not entry_left(state, view):
        look.end(Phase.UNDONE if state.undoing else Phase.ROLLED_BACK, state.why)

"""Steps: what one waits for, what its gates say, and what follows when it is left. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from calumma.rollout import judgement
from calumma.rollout.look import Look, RunGate
from calumma.rollout.policy import Gate
from calumma.rollout.state import Phase, Reading, State, Verdict


def waits(state: State, now: float) -> list[str]:
    """What a step waits for, gates aside; nothing when it may be left."""
    if state.stepped is None:
        return [f"the share of {state.policy.steps[state.step].weight}% to be in effect"]
    return [*least(state, now), *state.troubles.values(), *_unproven(state)]


def least(state: State, now: float) -> list[str]:
    """What the step's least time and requests still need; without a request nothing is known."""
    step = state.policy.steps[state.step]
    requests = max(step.requests, int(expects(state)))
    left = step.seconds - (now - (now if state.stepped is None else state.stepped))
    found = [f"{left:.0f} s more"] if left > 0 else []
    if state.requests < requests:
        found.append(f"requests: {state.requests} of {requests}")
    return found


def expects(state: State) -> bool:
    """Whether requests should reach the canary in this step."""
    policy = state.policy
    weight = policy.steps[state.step].weight
    return bool(weight or policy.mirror or policy.sources.pairs is not None)


def worse(state: State) -> list[Reading]:
    """The metrics that are shown to be worse."""
    return [reading for reading in state.readings if reading.verdict is Verdict.WORSE]


def observed(state: State) -> bool:
    """Whether anything at all is known of the canary."""
    return any(reading.n > 0 for reading in state.readings)


def numbers(readings: Iterable[Reading]) -> str:
    """What is known of metrics, as one sentence."""
    return "; ".join(reading.numbers for reading in readings) or "nothing is known"


def go_on(look: Look) -> None:
    """Leave the step when it may be left, ask its gates, or find that its time is over."""
    if look.state.stepped is not None and not least(look.state, look.now):
        open_ = _ask(look)
        if look.state.phase is not Phase.PROGRESSING:
            return
        if not open_ and not waits(look.state, look.now):
            _leave(look)
            return
    ended = over(look.state, look.now)
    if ended:
        _inconclusive(look, ended)


def open_gates(state: State) -> list[tuple[str, Gate]]:
    """The gates of the step that have not agreed yet, by their keys."""
    gates = enumerate(state.policy.steps[state.step].gates)
    return [
        (key, gate) for index, gate in gates if (key := f"{state.step}/{index}") not in state.agreed
    ]


def _unproven(state: State) -> list[str]:
    """What the metrics still have to show before the step is left."""
    policy, last = state.policy, state.step == len(state.policy.steps) - 1
    found = []
    if policy.strategy == "ab" and last:
        known = {reading.name: reading.n for reading in state.readings}
        for metric in policy.metrics:
            planned, n = getattr(metric, "planned", None) or 0, known.get(metric.name, 0)
            if n < planned:
                found.append(f"{metric.name}: {n} of {planned} observations")
    elif policy.proves(state.step):
        fine = {each.name for each in state.readings if each.verdict is Verdict.FINE and each.n}
        names = [metric.name for metric in policy.metrics if metric.name not in fine]
        found += [f"{name} to be shown not worse" for name in names]
    elif last and not observed(state):
        found.append("any observation of the canary")
    return found


def _ask(look: Look) -> bool:
    """Ask the step's gates, one after the other; whether one is still open.

    A person is asked when all else is known, so that there is something to agree to.
    """
    for key, gate in open_gates(look.state):
        if gate.person is not None:
            if key not in look.state.asked and not waits(look.state, look.now):
                look.note("WaitingForPerson", f"{gate.person} `calumma rollout resume` agrees")
                look.put(asked=(*look.state.asked, key))
            return True
        asked = _asked(look.state, key)
        result = look.seen.gates.get(asked)
        if result is None:
            look.actions.append(RunGate(asked, gate))
            return True
        if result.outcome == "pending":
            return True
        if result.outcome == "refuse":
            look.roll_back(f"a gate of step {look.state.step + 1} refused: {result.sentence}")
            return True
        if result.outcome != "agree":
            why = f"a gate of step {look.state.step + 1} said neither yes nor no"
            look.pause("Inconclusive", f"{why}: {result.sentence}; resume asks it again")
            return True
        look.put(agreed=(*look.state.agreed, key))
        look.note("GateAgreed", result.sentence)
    return False


def stuck(look: Look) -> bool:
    """Whether a gate of the step said neither yes nor no, so that it must be asked anew."""
    gates, state = look.seen.gates, look.state
    found = [gates.get(_asked(state, key)) for key, _ in open_gates(state)]
    return any(each is not None and each.outcome in ("inconclusive", "error") for each in found)


def _asked(state: State, key: str) -> str:
    """The key of a gate in the present attempt."""
    return f"{key}/{state.attempt}" if state.attempt else key


def _leave(look: Look) -> None:
    """Go to the next step, or to the verdict after the last one."""
    state, steps = look.state, look.state.policy.steps
    known = numbers(state.readings)
    if state.step + 1 < len(steps):
        share, following = look.step.weight, steps[state.step + 1].weight
        look.note(
            "StepPassed",
            f"step {state.step + 1} of {len(steps)} at {share}% with {state.requests} requests; "
            f"{known}. The next share is {following}%",
        )
        look.put(step=state.step + 1, stepped=None, requests=0, agreed=(), asked=(), attempt=0)
    elif state.policy.strategy != "ab":
        look.promote(f"all {len(steps)} steps are passed: {known}")
    elif any(map(judgement.better, state.readings)):
        look.promote(f"the canary is better at the planned size: {known}")
    else:
        look.roll_back(f"the canary is not better at the planned size: {known}")


def over(state: State, now: float) -> str:
    """Why the time for a decision is over; empty when it is not."""
    policy, timeout = state.policy, state.policy.steps[state.step].timeout
    if state.first_step is not None and now - state.first_step >= policy.deadline:
        return f"the deadline of {policy.deadline:g} s is over"
    if state.stepped is not None and timeout is not None and now - state.stepped >= timeout:
        return f"step {state.step + 1} took its {timeout:g} s"
    return ""


def _inconclusive(look: Look, over: str) -> None:
    """Do what the policy declares for a rollout that stays unclear."""
    gates = [f"{len(found)} gates have not agreed"] if (found := open_gates(look.state)) else []
    missing = "; ".join([*waits(look.state, look.now), *gates]) or "a verdict"
    why = f"{over} and this is missing: {missing}. {numbers(look.state.readings)}"
    declared = look.state.policy.inconclusive
    obstacle = _obstacle(look) if declared == "promote" else ""
    if declared == "rollback":
        look.roll_back(f"{why}; the policy rolls back then")
    elif declared == "promote" and not obstacle:
        look.promote(f"{why}; the policy promotes then")
    else:
        held = f"; the policy promotes then, but {obstacle}" if obstacle else ""
        look.pause("Inconclusive", f"{why}{held}")


def _obstacle(look: Look) -> str:
    """Why a declared promotion would not be safe."""
    state, policy = look.state, look.state.policy
    if not observed(state):
        return "nothing was observed of the canary"
    if state.stepped is None or (look.seen.view is not None and not look.seen.view.canary_ready):
        return "the canary is not ready, or its share is not in effect"
    if "split" in state.troubles:
        return state.troubles["split"]
    if open_gates(state) or any(step.gates for step in policy.steps[state.step + 1 :]):
        return "there are gates that have not agreed"
    return ""

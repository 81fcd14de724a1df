"""Troubles: what keeps a rollout from knowing, so that it stays where it is. Pure.

People are told once when one has lasted, and once when it is over.
"""

from __future__ import annotations

from collections.abc import Iterator

from calumma.rollout import judgement, steps
from calumma.rollout.look import Look, in_effect, target
from calumma.rollout.policy import MOST_LOOKS, Agreement, Latency, Metric
from calumma.rollout.service import View
from calumma.rollout.state import Phase, State

_OWN = ("share", "canary")
"""Troubles of the service itself; the others are of what is counted, and matter while it is."""
_REASONS = {
    "canary": "NotReady",
    "share": "NotInEffect",
    "split": "SplitMismatch",
    "traffic": "NoTraffic",
}


def find(look: Look, view: View) -> None:
    """Find what keeps us from knowing, and tell what has lasted for the policy's ``quiet``."""
    state, quiet = look.state, look.state.policy.quiet
    if state.phase is Phase.PAUSED:
        return
    found = dict(_found(look, view))
    if state.phase is not Phase.PROGRESSING:  # knowing does not matter any more
        told = tuple(each for each in state.told if each in _OWN)
        state = state.model_copy(update={"told": told})
    elif state.stepped is None:  # nothing is known of the others yet
        found = {**{n: t for n, t in state.troubles.items() if n not in _OWN}, **found}
    since = {name: state.since.get(name, look.now) for name in found}
    known = [name for name in state.told if name in found]
    look.put(troubles=found, since=since)
    for name in state.told:
        if name not in found:
            look.note("TroubleOver", f"{_REASONS.get(name, 'NothingKnown')} ({name}) is over")
    for name, sentence in found.items():
        # What shows only after a while was waited for already.
        lasted = name not in look.seen.troubles and name not in _OWN
        if name not in known and (lasted or look.now - since[name] >= quiet):
            known.append(name)
            look.note(_REASONS.get(name, "NothingKnown"), sentence, warning=True)
    look.put(told=tuple(known))


def _found(look: Look, view: View) -> Iterator[tuple[str, str]]:
    state = look.state
    wanted = target(state)
    if wanted is None:
        return
    if state.canary is not None and not view.canary_ready and not state.undoing:
        yield "canary", f"{state.canary} is not ready: {view.trouble or 'nothing says why'}"
    if state.phase is not Phase.PENDING and not in_effect(state, view, wanted):
        traffic = ", ".join(f"{name} {share}%" for name, share in view.effective.items())
        yield "share", f"the share of {wanted}% is not in effect: {traffic or 'no traffic'}"
    if state.phase is not Phase.PROGRESSING or state.stepped is None:
        return
    yield from look.seen.troubles.items()
    yield from _silence(look, state.stepped)
    yield from _split(look)
    if looks(state) >= MOST_LOOKS:
        yield "record", f"{MOST_LOOKS} looks are recorded, and there is no room for more"


def looks(state: State) -> int:
    """How many looks the longest tally holds."""
    found = [(each.windows, each.moments, each.pair_looks) for each in state.tallies.values()]
    return max((len(looks) for each in found for looks in each), default=0)


def _silence(look: Look, stepped: float) -> Iterator[tuple[str, str]]:
    """No requests, or a metric without an observation."""
    state, policy = look.state, look.state.policy
    if not steps.expects(state):
        return
    silent = look.now - max(state.busy or 0.0, stepped)
    if silent >= policy.quiet:
        yield "traffic", f"no request has reached {state.canary} for {silent:.0f} s"
        return
    known = {reading.name for reading in state.readings if reading.n}
    users = bool(policy.steps[state.step].weight or policy.mirror)
    for metric in policy.metrics:
        if not users and not _by_pairs(metric):
            continue  # no user meets the canary in this step
        if metric.name not in known and look.now - stepped >= policy.quiet:
            yield (
                f"metric {metric.name}",
                f"nothing is known of {metric.name} after {policy.quiet:g} s",
            )


def _by_pairs(metric: Metric) -> bool:
    """Whether a metric rests on pairs, which need no user."""
    return isinstance(metric, Latency | Agreement) or getattr(metric, "source", "") == "pairs"


def _split(look: Look) -> Iterator[tuple[str, str]]:
    """Requests that are not divided as declared, by chance alone hardly possible.

    With an assignment all requests of a user go to the same revision, so that they say nothing.
    """
    state = look.state
    shares = [share for share in state.shares if 0 < share[0] < 100]
    if shares and state.policy.assignment is None:
        found = judgement.split(shares)
        if found.mismatch:
            yield "split", found.sentence

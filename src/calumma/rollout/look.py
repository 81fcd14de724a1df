"""A look while it is decided: what was seen, the state as it becomes, and what is to be done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from calumma.rollout.policy import Gate, Step
from calumma.rollout.service import View
from calumma.rollout.state import GateResult, Intent, Note, Phase, State, Tally, Verb

MOST_NOTES = 60
"""Notes that are remembered; a ConfigMap holds all."""
EVIDENCED = frozenset({"StepPassed", "Promoting", "RollingBack", "Inconclusive"})
"""Notes of which the evidence is kept: what was known of the step at that moment."""


@dataclass(frozen=True)
class Seen:
    """What one look finds.

    ``tallies`` hold what came since the last look, by metric; ``requests`` are the canary's, pairs
    among them; ``users`` are the canary's and stable's that came through the split; ``sent`` and
    ``counted`` say how far the sources are, and ``troubles`` why nothing is known of one.
    """

    now: float
    """Unix time."""
    view: View | None
    """None when the InferenceService is gone."""
    tallies: Mapping[str, Tally] = field(default_factory=dict)
    requests: int = 0
    users: tuple[int, int] = (0, 0)
    sent: int | None = None
    counted: Mapping[str, float] | None = None
    """How far each source is counted with this."""
    troubles: Mapping[str, str] = field(default_factory=dict)
    gates: Mapping[str, GateResult] = field(default_factory=dict)
    wish: Verb | None = None


class Weigh(NamedTuple):
    """Give the canary a share."""

    weight: int


class Promote(NamedTuple):
    """Give the canary all of the traffic."""


class RollBack(NamedTuple):
    """Give stable all of the traffic."""


class Undo(NamedTuple):
    """After a promotion: give the former revision all of the traffic."""


class RunGate(NamedTuple):
    """Ask a gate; ``key`` is another one when it is asked anew."""

    key: str
    gate: Gate


class Tell(NamedTuple):
    """Tell people, by an Event."""

    note: Note


class KeepEvidence(NamedTuple):
    """Keep what is known of a step."""

    step: int


class Answer(NamedTuple):
    """Tell a person what became of a wish."""

    verb: Verb
    text: str


Action = Weigh | Promote | RollBack | Undo | RunGate | Tell | KeepEvidence | Answer


class Decision(NamedTuple):
    """The state that follows, and what to do once it is written."""

    state: State
    actions: tuple[Action, ...]


class Look:
    """One look: each rule changes ``state`` and adds to ``actions``."""

    def __init__(self, state: State, seen: Seen) -> None:
        self.state, self.seen, self.now = state, seen, seen.now
        self.actions: list[Action] = []
        self.moved = False
        """Whether the InferenceService was changed since the last look."""
        self.answered = False

    @property
    def step(self) -> Step:
        """The step of the policy."""
        return self.state.policy.steps[self.state.step]

    def put(self, **changes: object) -> None:
        """Change the state."""
        self.state = self.state.model_copy(update=changes)

    def note(self, reason: str, text: str, *, warning: bool = False) -> None:
        """Remember something, and tell people."""
        note = Note(time=self.now, step=self.state.step, reason=reason, text=text, warning=warning)
        self.put(
            notes=(*self.state.notes, note)[-MOST_NOTES:],
            untold=(*self.state.untold, note)[-MOST_NOTES:],
        )

    def answer(self, text: str) -> None:
        """Tell the person who wished something."""
        if self.seen.wish is not None and not self.answered:
            self.actions.append(Answer(self.seen.wish, text))
        self.answered = True

    def pause(self, reason: str, why: str) -> None:
        """Change nothing until a person says so."""
        self.note(reason, why, warning=reason != "PausedByPerson")
        self.put(phase=Phase.PAUSED, why=why, paused=self.now)

    def promote(self, why: str) -> None:
        """Give the canary everything."""
        self.note("Promoting", why)
        self.put(phase=Phase.PROMOTING, why=why, paused=None)

    def roll_back(self, why: str, *, undoing: bool = False) -> None:
        """Give stable everything."""
        self.note("Undoing" if undoing else "RollingBack", why, warning=not undoing)
        self.put(phase=Phase.ROLLING_BACK, why=why, paused=None, undoing=undoing, ended=None)

    def end(self, phase: Phase, why: str, *, warning: bool = False) -> None:
        """Nothing more will happen by itself."""
        self.note(str(phase), why, warning=warning)
        self.put(
            phase=phase,
            why=why,
            ended=self.now,
            paused=None,
            undoing=False,
            troubles={},
            since={},
            told=(),
            intent=None,
        )


def target(state: State) -> int | None:
    """The canary's share that is wanted now; None where nothing is changed."""
    match state.phase:
        case Phase.PENDING | Phase.ROLLING_BACK:
            return 0
        case Phase.PROGRESSING:
            return state.policy.steps[state.step].weight
        case Phase.PROMOTING:
            return 100
    return None


def declared(state: State, view: View) -> int:
    """The canary's share by the specification.

    In Standard mode an entry that is gone was promoted or rolled back.
    """
    if not view.standard:
        return view.weight
    if view.stable == state.canary:
        return 100
    return view.weight if view.canary is not None else 0


def in_effect(state: State, view: View, weight: int) -> bool:
    """Whether the traffic is divided as that share says, between our two revisions."""
    return (
        view.observed
        and declared(state, view) == weight
        and view.effective.get(state.stable, 0) == 100 - weight
        and (weight == 0 or view.effective.get(state.canary or "", 0) == weight)
    )


def change(look: Look, view: View) -> None:
    """Change the InferenceService where it is not as it is wanted; the intent is written before."""
    state, wanted = look.state, target(look.state)
    if wanted is None or (wanted == declared(state, view) and not entry_left(state, view)):
        return
    what: Literal["weight", "promote", "rollback", "undo"] = "weight"
    action: Action = Weigh(wanted)
    if state.phase is Phase.PROMOTING:
        what, action = "promote", Promote()
    elif state.phase is Phase.ROLLING_BACK:
        what, action = ("undo", Undo()) if state.undoing else ("rollback", RollBack())
    look.actions.append(action)
    look.put(intent=Intent(what=what, weight=wanted, generation=view.generation))


def entry_left(state: State, view: View) -> bool:
    """Whether an end waits for the canary's entry to go, which takes Standard mode more patches."""
    ends = state.phase in (Phase.PROMOTING, Phase.ROLLING_BACK)
    return ends and view.standard and view.canary is not None

"""What is known of a rollout: as it lies in the ConfigMap, enough to go on after any crash.

The ConfigMap ``rollout-<service>`` is beside the InferenceService and goes with it. Its data:

- ``state.json``: a :class:`State`; ``status``: the same for people, as ``calumma rollout status``
  prints it.
- ``request``: a verb that a person wishes (``pause``, ``resume``, ``promote``, ``abort``,
  ``undo``); the driver takes it away and says in ``answer`` what became of it.
- ``routing.json``: mirror and assignment, for the gateway of the one-machine cluster.
- ``history.json``: rollouts that have ended, the last one first.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

import pydantic

from calumma.evaluation import document
from calumma.rollout.policy import Policy

Verb = Literal["pause", "resume", "promote", "abort", "undo"]

_INFINITE = pydantic.ConfigDict(ser_json_inf_nan="constants")
"""Bounds without an observation are infinite, and must be read again as they were written."""


class Phase(StrEnum):
    """Where a rollout is."""

    PENDING = "Pending"
    """The canary has no traffic and is not ready."""
    PROGRESSING = "Progressing"
    PAUSED = "Paused"
    """Nothing is changed until a person says so; ``why`` says what happened."""
    PROMOTING = "Promoting"
    ROLLING_BACK = "RollingBack"
    PROMOTED = "Promoted"
    ROLLED_BACK = "RolledBack"
    UNDONE = "Undone"
    """It was promoted, and the former revision has the traffic again."""
    SUPERSEDED = "Superseded"
    """Somebody changed the InferenceService so that there is nothing left to decide."""

    @property
    def ended(self) -> bool:
        """Whether nothing will happen by itself any more."""
        return self in (Phase.PROMOTED, Phase.ROLLED_BACK, Phase.UNDONE, Phase.SUPERSEDED)


class Window(document.Part):
    """The counts between two looks: observations of the canary, the bad ones, and stable's."""

    step: int
    n: int
    events: int
    other_n: int
    other_events: int


class Moments(document.Part):
    """Numbers of both arms between two looks: how many, their sum, the sum of their squares."""

    step: int
    n: int
    total: float
    squares: float
    other_n: int
    other_total: float
    other_squares: float


class Tally(document.Part):
    """All that was counted of one metric; what a kind of metric does not use is empty.

    ``pairs`` are those with a known label: both right, only the canary, only stable, neither.
    ``agreed`` are pairs with the same answer and all pairs. ``times`` and ``other_times`` count
    latencies of pairs by milliseconds, rounded to two significant digits.
    """

    windows: tuple[Window, ...] = ()
    moments: tuple[Moments, ...] = ()
    pairs: tuple[int, int, int, int] = (0, 0, 0, 0)
    pair_looks: tuple[tuple[int, int, int, int], ...] = ()
    """The pairs that came with each look, in order; their sum is ``pairs``."""
    agreed: tuple[int, int] = (0, 0)
    times: dict[str, int] = pydantic.Field(default_factory=dict)
    other_times: dict[str, int] = pydantic.Field(default_factory=dict)


class Verdict(StrEnum):
    """What the counts say of a metric."""

    WORSE = "worse"
    """The canary is worse: shown."""
    FINE = "not worse"
    """It is not worse by more than the margin: shown."""
    UNCLEAR = "unclear"


class Reading(document.Part):
    """What is known of a metric at one look.

    ``estimate`` is the canary's value minus stable's in the metric's ``unit`` (for an agreement,
    the share), positive where the canary is worse; ``low`` and ``high`` bound it at all looks at
    once, each with the error ``alpha``. ``n`` and ``other_n`` are the observations.
    """

    model_config = _INFINITE

    name: str
    verdict: Verdict
    estimate: float | None
    low: float
    high: float
    margin: float
    alpha: float
    n: int
    other_n: int
    value: float | None = None
    """The canary's own value."""
    other_value: float | None = None
    unit: str = ""
    sentence: str = ""

    @property
    def numbers(self) -> str:
        """What is known in a few words: ``correct is not worse (-7.33 points, -11.5 to -3.99)``."""
        if self.estimate is None:
            return f"{self.name} is unclear (nothing is counted)"
        low, high = (f"{self.scaled(end):+.3g}" for end in (self.low, self.high))
        found = f"{self.scaled(self.estimate):+.3g} {self.scaled_unit}".rstrip()
        return f"{self.name} is {self.verdict} ({found}, {low} to {high})"

    def scaled(self, value: float) -> float:
        """A difference in :attr:`scaled_unit`."""
        return 100 * value if self.unit == "share" else value

    @property
    def scaled_unit(self) -> str:
        """What people read: percentage points instead of a share."""
        return "points" if self.unit == "share" else self.unit


class GateResult(document.Part):
    """What a gate has answered so far."""

    outcome: Literal["agree", "refuse", "inconclusive", "error", "pending"]
    sentence: str
    link: str | None = None
    """The page of what it rests on."""


class Note(document.Part):
    """Something that happened, for the status, the Event and the history."""

    time: float
    step: int = 0
    reason: str
    """A word, as Events have it: ``StepStarted``, ``Promoted``, ``RolledBack``, ..."""
    text: str
    warning: bool = False
    evidence: str | None = None
    """Where the report of that moment lies."""


class Intent(document.Part):
    """A change that is about to be written into the InferenceService."""

    what: Literal["weight", "promote", "rollback", "undo"]
    weight: int
    generation: int
    """The generation that is to be changed."""


class State(document.Part):
    """Everything that has to be known."""

    model_config = _INFINITE

    id: str
    """``digits-20261121T210000Z``."""
    policy: Policy
    phase: Phase = Phase.PENDING
    why: str = ""
    began: float
    """Unix time."""
    ended: float | None = None
    stable: str
    """The revision or Deployment that has the traffic when it begins."""
    canary: str | None = None
    """The one that is rolled out, once it is known."""
    former: str | None = None
    """The newest revision before this rollout, which is not what is rolled out."""
    to: str | None = None
    """The storageUri that is rolled out, where the rollout set it."""
    template: str = ""
    """A digest of what makes a revision, by which somebody's change is noticed."""
    generation: int = 0
    """The last one of ours."""
    weight: int = 0
    """The share that we set last."""
    intent: Intent | None = None
    unready: float | None = None
    """Since when the canary is waited for."""
    paused: float | None = None
    """Since when nothing is changed."""
    undoing: bool = False
    """It was promoted, and is taken back because a person wished so."""
    step: int = 0
    stepped: float | None = None
    """When the step's share came into effect."""
    first_step: float | None = None
    looked: float | None = None
    """Up to when everything is counted."""
    busy: float | None = None
    """When the canary last had a request."""
    requests: int = 0
    """Of the canary in this step."""
    sent: int = 0
    """Pairs that were taken from the data so far: none is sent twice."""
    counted: dict[str, float] = pydantic.Field(default_factory=dict)
    """How far each source is counted; :mod:`calumma.rollout.sources` says what by which name."""
    tallies: dict[str, Tally] = pydantic.Field(default_factory=dict)
    readings: tuple[Reading, ...] = ()
    shares: tuple[tuple[int, int, int], ...] = ()
    """Users' requests by step: its weight, the canary's, stable's."""
    agreed: tuple[str, ...] = ()
    """Gates of this step that have agreed."""
    asked: tuple[str, ...] = ()
    """Gates of this step of which a person was told."""
    attempt: int = 0
    """How often this step's gates were asked anew."""
    notes: tuple[Note, ...] = ()
    untold: tuple[Note, ...] = ()
    """Those of which the Events and the evidence may be missing."""
    troubles: dict[str, str] = pydantic.Field(default_factory=dict)
    """What keeps us from knowing, by where."""
    since: dict[str, float] = pydantic.Field(default_factory=dict)
    """When each trouble began."""
    told: tuple[str, ...] = ()
    """The troubles of which people know."""
    previous: dict[str, object] = pydantic.Field(default_factory=dict)
    """In Standard mode, the stable predictor before the promotion: what an undo restores."""

    @property
    def cause(self) -> str:
        """``why`` without the metrics' numbers, for texts that give these beside it."""
        known = "; ".join(reading.numbers for reading in self.readings)
        return (self.why.replace(known, "") if known else self.why).rstrip(" .:;")

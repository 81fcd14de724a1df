"""Users' requests whose label came later: what each look may count, each prediction once.

Only the random sample counts. Which answers are unsure, or flagged by their users, is the doing of
the revision that gave them, so that the hard samples of two revisions are not alike; weighing them
(:mod:`calumma.feedback.estimation`) needs all strata labelled, which no short window has.

A prediction counts as soon as it is mature and a label is decided, with the label that is decided
then, and never again. That is decidable from what is only ever added to: a :class:`Cursor` is the
time of the last count and the lines that were in the folder then, whatever the times in them. So
labels may come late and in any order, and a process that is killed between two looks loses nothing
and counts nothing twice.

A prediction belongs to the step in which it was made, and to none while its share was new. What the
rollout itself sent is no user's request: images of its dataset count for nothing, and of an image
that comes again, as recorded ones do, only the first prediction counts.
"""

from __future__ import annotations

import bisect
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from calumma.canary.counts import Sides
from calumma.feedback import folder, joining, records
from calumma.rollout.sources.tallies import Judged

NAME = "feedback"
STEP = "step "
"""With its number, the name by which a state keeps when a step's share began to count."""


class Cursor(NamedTuple):
    """What was counted: the time of it, and the lines of predictions and labels there were."""

    feedback: float = 0.0
    predictions: float = 0
    labels: float = 0

    @staticmethod
    def of(counted: Mapping[str, float]) -> Cursor:
        """As it stands in a state."""
        return Cursor(*(counted.get(name, 0) for name in Cursor._fields))


class Steps(NamedTuple):
    """When each step's share began to count, ascending, and how long before it was set."""

    begun: Sequence[tuple[float, int]]
    warm_up: float

    @staticmethod
    def of(counted: Mapping[str, float], warm_up: float) -> Steps:
        """As they stand in a state."""
        begun = [
            (time, int(name.removeprefix(STEP)))
            for name, time in counted.items()
            if name.startswith(STEP)
        ]
        return Steps(sorted(begun), warm_up)

    def at(self, time: float) -> int | None:
        """The step at a time; None before the first and while a share is new."""
        place = bisect.bisect_right(self.begun, time, key=lambda each: each[0]) - 1
        if place < 0:
            return None
        following = self.begun[place + 1 : place + 2]
        is_over = bool(following) and time >= following[0][0] - self.warm_up
        return None if is_over else self.begun[place][1]


@dataclass(frozen=True)
class Rules:
    """Which predictions count: of which service and revisions, how old, and who decides.

    ``own`` are the digests of images that the rollout sends; with ``recorded`` it sends again what
    users have sent.
    """

    service: str
    namespace: str
    revisions: Sides[str]
    maturity: float | None = None
    adjudicator: str | None = None
    own: Collection[str] = ()
    recorded: bool = False


class New(NamedTuple):
    """What a look may count, by step, and how far it is counted with that.

    ``last`` is the time of the newest label of the random sample, None without one; ``nameless``
    are predictions of which nobody knows the revision.
    """

    answers: Mapping[int, Sides[list[Judged]]]
    cursor: Cursor
    last: float | None
    nameless: int

    def silence(self, rules: Rules, steps: Steps, now: float, patience: float) -> str:
        """A sentence when no label of use has come for so long; empty otherwise."""
        waited = now - (self.last or min((time for time, _ in steps.begun), default=now))
        if waited <= patience:
            return ""
        nameless = (
            f"; of {self.nameless} predictions nobody knows the revision, because the loggers do "
            "not both ask for X-Request-Id"
        )
        return (
            f"no label of the random sample of {rules.revisions.canary} or "
            f"{rules.revisions.stable} has come in {waited:.0f} s{nameless * bool(self.nameless)}"
        )


def new(contents: folder.Contents, rules: Rules, steps: Steps, before: Cursor, now: float) -> New:
    """What became known since a cursor."""
    marks: dict[str, list[tuple[int, records.Label]]] = defaultdict(list)
    for line, mark in enumerate(contents.labels):
        if mark.label is not None:
            marks[mark.id].append((line, mark))
    found: dict[int, Sides[list[Judged]]] = defaultdict(lambda: Sides([], []))
    last: float | None = None
    nameless = 0
    for line, prediction, step in _users(contents.predictions, rules, steps):
        nameless += prediction.revision is None
        if prediction.revision not in rules.revisions or records.RANDOM not in prediction.sources:
            continue
        spoken = marks.get(prediction.id, ())
        last = max((mark.time for _, mark in spoken), default=last)
        due = prediction.time + (rules.maturity or 0.0)
        known = _decided(prediction, spoken, rules)
        if known is None or due > now:
            continue
        decided, truth = known
        if line < before.predictions and due <= before.feedback and decided < before.labels:
            continue
        side = found[step][rules.revisions.index(prediction.revision)]
        side.append(Judged(truth, prediction.label))
    cursor = Cursor(now, len(contents.predictions), len(contents.labels))
    return New(found, cursor, last, nameless)


def _users(
    predictions: Iterable[records.Prediction], rules: Rules, steps: Steps
) -> Iterable[tuple[int, records.Prediction, int]]:
    """The predictions for users during the rollout, each with its line and its step."""
    ids: set[str] = set()
    images: set[str] = set()
    for line, each in enumerate(predictions):
        if (each.service, each.namespace) != (rules.service, rules.namespace) or each.id in ids:
            continue
        ids.add(each.id)
        again = rules.recorded and each.image is not None and each.image in images
        if each.image is not None:
            images.add(each.image)
        step = steps.at(each.time)
        if step is not None and not again and each.image not in rules.own:
            yield line, each, step


def _decided(
    prediction: records.Prediction, spoken: Iterable[tuple[int, records.Label]], rules: Rules
) -> tuple[int, str] | None:
    """The line with which a label was first decided, and the last one that was; None without.

    A prediction that was counted stays so, even when a reader's disagreement undoes the decision.
    """
    votes: dict[str, records.Label] = {}
    first, truth = None, None
    for line, mark in spoken:
        if rules.maturity is not None and mark.time > prediction.time + rules.maturity:
            continue
        if mark.by not in votes or votes[mark.by].time <= mark.time:
            votes[mark.by] = mark
        said = {by: each.label for by, each in votes.items() if each.label is not None}
        label = joining.decided(said, rules.adjudicator)
        if label is not None:
            first, truth = (line if first is None else first), label
    return None if first is None or truth is None else (first, truth)

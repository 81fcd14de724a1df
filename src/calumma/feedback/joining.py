"""Which prediction has which label, as of a time. No I/O, and no order of arrival matters.

Labels come late, and they come later for young predictions: a canary that is an hour old would be
judged by the few that were labelled within the hour, which are seldom the usual ones. ``maturity``
makes the comparison fair: predictions younger than it are left out, and of the others only what
was said within it counts, so that every prediction had the same time to be labelled.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from calumma.feedback import records
from calumma.scoring import cases


@dataclass(frozen=True)
class Joined:
    """A prediction and what is known of it.

    ``votes`` are the latest labels by who gave them, ``label`` the one that they amount to, None
    where there is none or they do not decide; ``delay`` is the seconds to the first label.
    ``flagged`` says that its user has spoken up.
    """

    prediction: records.Prediction
    votes: Mapping[str, str]
    label: str | None
    delay: float | None
    flagged: bool

    @property
    def disputed(self) -> bool:
        """Whether readers disagree, decided or not."""
        return len(set(self.votes.values())) > 1

    @property
    def correct(self) -> bool | None:
        """Whether the prediction was right; None when nobody knows."""
        return None if self.label is None else self.label == self.prediction.label

    @property
    def answer(self) -> cases.Answer:
        """The same as scoring sees it, without the image."""
        found = self.prediction
        return cases.Answer(
            case=cases.Case(found.id, b"", self.label),
            label=found.label,
            confidence=found.confidence,
            seconds=found.seconds or 0.0,
            revision=found.revision,
            failure=None,
            probabilities=found.probabilities,
        )


@dataclass(frozen=True)
class Join:
    """What the records amount to as of a time.

    ``joined`` are the mature predictions by time; ``young`` were too young, ``late`` labels came
    after the maturity, and ``orphans`` labels are of predictions that are not there.
    """

    joined: tuple[Joined, ...]
    young: int
    late: int
    orphans: int


def join(
    predictions: Iterable[records.Prediction],
    labels: Iterable[records.Label],
    *,
    at: float,
    maturity: float | None = None,
    adjudicator: str | None = None,
) -> Join:
    """Join the records as of ``at`` (seconds since the epoch); what is later is not known yet.

    Who labels twice means the later label. Where readers disagree the ``adjudicator`` decides; if
    there is none, or it has not spoken, more than half of them; and otherwise the label is unknown.
    """
    first: dict[str, records.Prediction] = {}
    for each in sorted(predictions, key=_order):
        if each.time <= at:
            first.setdefault(each.id, each)
    spoken: dict[str, list[records.Label]] = defaultdict(list)
    late = orphans = 0
    for mark in sorted(labels, key=_order):
        found = first.get(mark.id)
        if mark.time > at:
            continue
        if found is None:
            orphans += 1
        elif maturity is not None and mark.time > found.time + maturity:
            late += 1
        else:
            spoken[mark.id].append(mark)
    mature = [each for each in first.values() if each.time <= at - (maturity or 0)]
    joined = tuple(_joined(each, spoken[each.id], adjudicator) for each in mature)
    return Join(joined, len(first) - len(mature), late, orphans)


def decided(votes: Mapping[str, str], adjudicator: str | None = None) -> str | None:
    """The label that votes by reader amount to, None where they do not decide."""
    if adjudicator is not None and adjudicator in votes:
        return votes[adjudicator]
    counts = Counter(votes.values()).most_common(1)
    return counts[0][0] if counts and 2 * counts[0][1] > len(votes) else None


def _joined(
    found: records.Prediction, marks: Sequence[records.Label], adjudicator: str | None
) -> Joined:
    votes = {mark.by: mark.label for mark in marks if mark.label is not None}
    delays = [mark.time - found.time for mark in marks if mark.label is not None]
    return Joined(
        prediction=found,
        votes=votes,
        label=decided(votes, adjudicator),
        delay=max(0.0, min(delays)) if delays else None,
        flagged=any(mark.kind == "user" for mark in marks),
    )


def _order(record: records.Prediction | records.Label) -> tuple[float, str]:
    """By time; what has the same time in an order of its own, not that of arrival."""
    return record.time, record.model_dump_json()

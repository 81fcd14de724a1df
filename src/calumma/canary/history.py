"""Feedback of both revisions, made comparable: from the same time, and labelled for as long.

The stable revision has months of feedback and the canary an hour; what differs between the months
and the hour (users, seasons, how much is labelled already) is not the canary's doing. So only
predictions since both answer count, each with the same time to be labelled
(:mod:`calumma.feedback.joining`). No I/O.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from calumma.canary.counts import Counts, Sides, buckets
from calumma.feedback import estimation, folder, joining
from calumma.feedback.joining import Joined
from calumma.inference import Target
from calumma.scoring import metrics, report


@dataclass(frozen=True)
class History:
    """The comparable feedback of both revisions.

    ``since`` is the time from which it is taken; ``young``, ``late`` and ``orphans`` are those of
    the join, ``unknown`` predictions of which nobody knows the revision, and ``others`` those of
    other revisions.
    """

    sides: Sides[Sequence[Joined]]
    at: float
    since: float
    maturity: float | None
    young: int
    late: int
    orphans: int
    unknown: int
    others: int

    @property
    def sentence(self) -> str:
        """What was left out, and what that means for the comparison."""
        left = (
            f"{self.young} predictions were too young, {self.late} labels came too late, "
            f"{self.unknown} predictions are of an unknown revision, {self.others} of neither, and "
            f"{self.orphans} labels of no prediction; they are left out."
        )
        if self.maturity is None:
            return (
                f"{left} Labels of any age count: the younger revision has had less time for them."
            )
        return f"{left} Every prediction had {self.maturity:g} s to be labelled, in both revisions."


def of(
    contents: folder.Contents,
    service: str,
    namespace: str,
    revisions: Sides[str],
    *,
    at: float,
    maturity: float | None = None,
    adjudicator: str | None = None,
    window: float | None = None,
) -> History:
    """The history of two revisions of a service as of ``at``, in seconds since the epoch.

    ``maturity`` and ``adjudicator`` are those of :func:`calumma.feedback.joining.join`, ``window``
    the seconds before ``at`` from which predictions are taken at most.
    """
    own = [p for p in contents.predictions if (p.service, p.namespace) == (service, namespace)]
    foreign = {each.id for each in contents.predictions} - {each.id for each in own}
    labels = [each for each in contents.labels if each.id not in foreign]
    found = joining.join(own, labels, at=at, maturity=maturity, adjudicator=adjudicator)
    sides = [[j for j in found.joined if j.prediction.revision == each] for each in revisions]
    begun = [min((j.prediction.time for j in side), default=at) for side in sides]
    since = max(*begun, at - window if window else 0.0)
    recent = [each for each in found.joined if each.prediction.time >= since]
    return History(
        sides=Sides(*([j for j in side if j.prediction.time >= since] for side in sides)),
        at=at,
        since=since,
        maturity=maturity,
        young=found.young,
        late=found.late,
        orphans=found.orphans,
        unknown=sum(each.prediction.revision is None for each in recent),
        others=sum(each.prediction.revision not in (None, *revisions) for each in recent),
    )


def quality(found: History, name: str) -> report.Table:
    """Accuracy of both by feedback; the difference, called ``name``, is the last row."""
    rows = []
    for role, side in zip(Sides._fields, found.sides, strict=True):
        rows += [
            estimation.random_sample(side, f"accuracy of {role}, random sample"),
            estimation.hard_sample(side, f"accuracy of {role}, hard sample"),
            estimation.accuracy(side, f"accuracy of {role} by feedback"),
        ]
    unknown = [
        f"of {role} no prediction in the stratum {name} is labelled"
        for role, side in zip(Sides._fields, found.sides, strict=True)
        for name in estimation.unlabelled_strata(side)
    ]
    missing = f" So there is no value: {'; '.join(unknown)}." if unknown else ""
    return report.Table(
        "Accuracy by feedback",
        "What users asked, where somebody said later what was right; what nobody labelled is "
        "unknown and counts for nothing. The random sample is like all traffic, the hard one "
        "(flagged, corrected or unsure) is not; by feedback is both, each stratum weighted by how "
        f"many predictions it stands for.{missing} {found.sentence}",
        (*rows, estimation.accuracy_difference(name, found.sides.canary, found.sides.stable)),
    )


def labelling(found: History, *, seed: int) -> report.Table:
    """How much of both is labelled, how fast, and how far the readers agree."""
    stable, canary = (
        estimation.labelled(side, f"labelled of {role}")
        for role, side in zip(Sides._fields, found.sides, strict=True)
    )
    both = [*found.sides.stable, *found.sides.canary]
    return report.Table(
        "Labels",
        "Of the predictions that were chosen to be labelled. When one revision's are labelled more "
        "often than the other's, ask who chose. Readers disagree where two or more have given "
        "different labels. Delays are of the labels that are there.",
        (
            stable,
            canary,
            metrics.difference("labelled, canary minus stable", canary, stable),
            *(
                estimation.delay(
                    side, quantile, f"label delay p{100 * quantile:g} of {role}", seed=seed
                )
                for quantile in (0.5, 0.95)
                for role, side in zip(Sides._fields, found.sides, strict=True)
            ),
            estimation.disagreement(both, "disagreement of readers"),
        ),
    )


def counted(found: History, targets: Sides[Target]) -> list[Counts]:
    """One plain record for each revision and stratum."""
    return [
        _counts(inside, name, role, target)
        for role, side, target in zip(Sides._fields, found.sides, targets, strict=True)
        for name in estimation.STRATA
        if (inside := [one for one in side if estimation.stratum(one) == name])
    ]


def _counts(inside: Sequence[Joined], stratum: str, role: str, target: Target) -> Counts:
    labelled = estimation.strata(inside)[stratum]
    return Counts(
        role=role,
        revision=target.revision,
        percent=target.percent,
        source="feedback",
        requests=labelled.size,
        right=labelled.successes,
        wrong=labelled.n - labelled.successes,
        stratum=stratum,
        classes=Counter(one.prediction.label for one in inside),
        latency=buckets(
            1000 * one.prediction.seconds for one in inside if one.prediction.seconds is not None
        ),
    )

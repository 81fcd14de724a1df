"""What is counted of one revision at one share of the traffic, as a plain record. No I/O.

Counts add up, and ratios do not: a test over many looks, or over the steps of a rollout, needs the
former. Each record says where it was counted and with which share of the traffic, because requests
of different shares must not be thrown together (with another mix of hours, users and load, a worse
canary can look better: Simpson's paradox).
"""

from __future__ import annotations

import bisect
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, TypeVar

from calumma.scoring import cases

Side = TypeVar("Side")

BOUNDS = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000)
"""Milliseconds: the upper bounds of latency buckets of what is measured here."""


class Sides(NamedTuple, Generic[Side]):
    """The same thing of both revisions."""

    stable: Side
    canary: Side


@dataclass(frozen=True)
class Counts:
    """Requests to one revision and what became of them.

    ``source`` is ``sent``, ``prometheus`` or ``feedback``; ``percent`` the revision's share of the
    traffic then; ``stratum`` which of its requests these are. Of the answers ``right`` and
    ``wrong`` are labelled, the others unknown. ``latency`` maps an upper bound in milliseconds to
    how many took at most that long (``inf``: all that were timed), and ``classes`` a label to how
    often it was answered; both are empty where nobody counted.
    """

    role: str
    revision: str
    percent: int
    source: str
    requests: int
    failures: int = 0
    right: int = 0
    wrong: int = 0
    stratum: str = "all"
    classes: Mapping[str, int] = field(default_factory=dict)
    latency: Mapping[float, int] = field(default_factory=dict)

    @property
    def document(self) -> dict[str, Any]:
        """The record for ``report.json``, without its times."""
        return {
            "role": self.role,
            "revision": self.revision,
            "percent": self.percent,
            "source": self.source,
            "stratum": self.stratum,
            "requests": self.requests,
            "successes": self.requests - self.failures,
            "failures": self.failures,
            "right": self.right,
            "wrong": self.wrong,
            "classes": dict(sorted(self.classes.items())),
        }

    @property
    def times(self) -> dict[str, Any]:
        """The record's latency for the part of ``report.json`` that differs from run to run."""
        buckets = {_bound(bound): n for bound, n in sorted(self.latency.items())}
        return {"revision": self.revision, "source": self.source, "at_most_ms": buckets}


def of_answers(answers: Sequence[cases.Answer], role: str, revision: str, percent: int) -> Counts:
    """The record of requests that were sent; repeats of a case are counted as often as sent.

    Whether an image's label is right is counted once for each image, as in the metrics.
    """
    judged = [each.correct for each in cases.distinct(answers) if each.correct is not None]
    return Counts(
        role=role,
        revision=revision,
        percent=percent,
        source="sent",
        requests=len(answers),
        failures=sum(each.failure is not None for each in answers),
        right=sum(judged),
        wrong=len(judged) - sum(judged),
        classes=Counter(each.label for each in answers if each.label is not None),
        latency=buckets(1000 * each.seconds for each in answers if each.failure is None),
    )


def buckets(milliseconds: Iterable[float]) -> dict[float, int]:
    """How many took at most each of :data:`BOUNDS`, and how many there are."""
    values = sorted(milliseconds)
    found: dict[float, int] = {bound: bisect.bisect_right(values, bound) for bound in BOUNDS}
    return {**found, float("inf"): len(values)}


def _bound(bound: float) -> str:
    return "+Inf" if bound == float("inf") else f"{bound:g}"

"""What is asked and what came back: the two records that every metric is computed from.

An :class:`Answer` without a true label counts for nothing about correctness (unknown is not wrong);
an answer that failed counts as wrong, because the caller got no right label, and as a failure.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Case:
    """One image to classify: its encoded bytes, and its true label where it is known."""

    id: str
    image: bytes
    label: str | None
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """What a service said about a case.

    ``label`` and ``confidence`` are None when the request failed, and ``failure`` then says how
    (``timeout``, ``status 503``, ...). ``seconds`` is the latency that a caller would see,
    ``revision`` the predictor revision that answered, None when nobody says, and ``probabilities``
    those of all classes in the model's order, empty where they are not known.
    """

    case: Case
    label: str | None
    confidence: float | None
    seconds: float
    revision: str | None
    failure: str | None
    probabilities: tuple[float, ...] = ()

    @property
    def correct(self) -> bool | None:
        """Whether the caller got the true label; None when the true label is not known."""
        return None if self.case.label is None else self.label == self.case.label


def of_revision(answers: Iterable[Answer], revision: str) -> list[Answer]:
    """The answers that name this predictor revision."""
    return [answer for answer in answers if answer.revision == revision]


def distinct(answers: Iterable[Answer]) -> list[Answer]:
    """The first answer to each case.

    A model answers the same image the same way, so that asking again says nothing more about how
    often it is right; counting repeats would only make intervals too narrow.
    """
    first: dict[str, Answer] = {}
    for answer in answers:
        first.setdefault(answer.case.id, answer)
    return list(first.values())


def digest(cases: Iterable[Case]) -> str:
    """The SHA-256 of ids, labels, metadata and bytes, whatever their order: which data this was."""
    lines = sorted(
        json.dumps(
            [
                case.id,
                case.label,
                sorted(case.metadata.items()),
                hashlib.sha256(case.image).hexdigest(),
            ]
        )
        for case in cases
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()

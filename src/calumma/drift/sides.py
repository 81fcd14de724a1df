"""One side of a comparison: images, what a model answered to them, and their numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from calumma import errors
from calumma.drift import features, novelty
from calumma.drift.detection import Values
from calumma.scoring import cases


class Side(NamedTuple):
    """One side as far as it was answered and can be read, in the order of its images.

    ``probabilities`` has shape [n, classes]; ``failed`` counts requests without an answer or with
    one that has no probabilities; ``unreadable`` are the model's probabilities for its answers to
    images that cannot be decoded here.
    """

    answers: tuple[cases.Answer, ...]
    features: features.Features
    probabilities: Values
    failed: int
    unreadable: Values

    @property
    def labels(self) -> list[str]:
        """The labels that the model gave."""
        return [str(answer.label) for answer in self.answers]

    @property
    def confidence(self) -> Values:
        """The probabilities [n] of these labels."""
        largest: Values = self.probabilities.max(axis=1)
        return largest

    def some(self, rows: NDArray[np.int64]) -> Side:
        """The images in these rows, in that order."""
        return self._replace(
            answers=tuple(self.answers[row] for row in rows),
            features=self.features.some(rows),
            probabilities=self.probabilities[rows],
        )

    @property
    def inputs(self) -> novelty.Inputs:
        """What the flags look at."""
        return novelty.Inputs(self.features.embedding, self.confidence)


def of(answers: Sequence[cases.Answer]) -> Side:
    """The side that these answers make."""
    answered = [answer for answer in answers if answer.failure is None and answer.probabilities]
    widths = {len(answer.probabilities) for answer in answered}
    if len(widths) > 1:
        raise errors.EvaluationError(
            f"answers have {' and '.join(map(str, sorted(widths)))} probabilities; all must have "
            "one for each class"
        )
    measured = features.measure(answer.case for answer in answered)
    unreadable = {case.id for case in measured.unreadable}
    kept = tuple(answer for answer in answered if answer.case.id not in unreadable)
    probabilities = np.array([answer.probabilities for answer in kept], dtype=np.float64)
    failed = len(answers) - len(answered)
    unseen = [max(each.probabilities) for each in answered if each.case.id in unreadable]
    return Side(kept, measured, probabilities, failed, np.array(unseen, dtype=np.float64))

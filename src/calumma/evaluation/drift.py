"""The section ``drift`` of a suite: what is compared with what, how, and what is demanded.

Every detector is demanded to find no drift at ``alpha``, which they share, so that the chance of a
false alarm in the whole report is at most ``alpha``. Further demands are ``gates``.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Self

import pydantic

from calumma import datasets
from calumma.canary import traffic
from calumma.drift import battery
from calumma.evaluation import section
from calumma.feedback import folder
from calumma.scoring import cases

_SPLIT_SEED = 0
ALARM = "adjusted p-value of *"
"""The metrics by which a detector alarms, when one is at most ``alpha``."""


class Drift(section.Section):
    """What ``evaluation/drift.ipynb`` reads."""

    reference: str = "digits"
    """The labelled data set that says how things were; the model must not have learned from it."""
    current: str = "digits"
    """The data set that is compared with it; the same name for both divides it by chance."""
    feedback: str | None = None
    """A folder of feedback, whose recorded images are compared instead of ``current``."""
    newest: Annotated[int, pydantic.Field(ge=10)] = 1000
    """How many recorded images: the newest so many, each once, in the order of their first time."""
    detectors: Annotated[tuple[str, ...], pydantic.Field(min_length=1)] = (
        "inputs",
        "embeddings",
        "outputs",
        "labels",
        "online",
    )
    """Which detectors share alpha: also ``classifier``."""
    alpha: Annotated[float, pydantic.Field(gt=0, le=0.5)] = 0.05
    """The chance of a false alarm, of all detectors together."""
    window: Annotated[int, pydantic.Field(ge=10)] = 50
    """Current images of a window."""
    permutations: Annotated[int, pydantic.Field(ge=99, le=99999)] = 999
    """Relabellings of a permutation test."""
    minimum: Annotated[int, pydantic.Field(ge=10)] = 100
    """Images of each side without which no detector decides anything."""

    @pydantic.model_validator(mode="after")
    def _known_detectors(self) -> Self:
        unknown = [name for name in self.detectors if name not in battery.DETECTORS]
        if unknown or len(set(self.detectors)) < len(self.detectors):
            raise ValueError(
                f"detectors are {', '.join(self.detectors)}; each may be named once, of "
                f"{', '.join(battery.DETECTORS)}"
            )
        least = len(self.detectors) / self.alpha
        if self.permutations < least:
            raise ValueError(
                f"{self.permutations} permutations cannot give a p-value below {1 / least:.2g}, "
                f"each detector's share of alpha; use at least {least:.0f}"
            )
        return self

    @property
    def demands(self) -> tuple[section.Demand, ...]:
        """No alarm, and what ``gates`` demands."""
        alarm = section.Demand(metric=ALARM, at_least=self.alpha, minimum=self.minimum)
        return (alarm, *self.gates)

    def settings(self, seed: int) -> battery.Settings:
        """How the examination is to look."""
        return battery.Settings(self.detectors, self.alpha, self.window, self.permutations, seed)

    @property
    def source(self) -> str:
        """Where the current images are from, for people."""
        return self.current if self.feedback is None else f"requests recorded in {self.feedback}"

    def populations(
        self, service: str, namespace: str, *, beside: Path | str = "."
    ) -> tuple[list[cases.Case], list[cases.Case]]:
        """The reference and the current images, which share none.

        A data set that is both is divided into halves by a fixed seed; a folder is relative to
        ``beside``, the suite's own. Raises :class:`~calumma.errors.EvaluationError` and
        :class:`~calumma.errors.FeedbackError`.
        """
        reference = datasets.load(self.reference, beside=beside)
        if self.feedback is not None:
            contents = folder.read(self.feedback)
            found = traffic.recorded(contents, self.feedback, service, namespace)
            return reference, found[-self.newest :]
        if self.current == self.reference:
            return _halves(reference)
        return reference, datasets.load(self.current, beside=beside)


def _halves(found: Sequence[cases.Case]) -> tuple[list[cases.Case], list[cases.Case]]:
    """Two halves at random, without copies of the same image on both sides."""
    distinct = list({case.image: case for case in found}.values())
    order = random.Random(_SPLIT_SEED).sample(distinct, len(distinct))
    return order[: len(order) // 2], order[len(order) // 2 :]

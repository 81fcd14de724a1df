"""What every section of a suite has: its notebook, its time, and what is demanded.

A demand names a metric of the notebook's report, or several of them by a pattern, and bounds it;
:mod:`calumma.scoring.gates` judges. Changes against a baseline are metrics of their own (``change
of accuracy``), so that demands on values and on changes are written alike.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Sequence
from typing import Annotated, Literal, Self

import pydantic

from calumma.evaluation import document
from calumma.scoring import gates, metrics


class Demand(document.Part):
    """One line of ``gates``: ``{metric: recall of *, at_least: 0.75}``."""

    metric: str
    """The metric's name in the report; ``*`` and ``?`` stand for any text and any character."""
    at_least: float | None = None
    at_most: float | None = None
    minimum: Annotated[int, pydantic.Field(ge=1)] = 1
    """Observations without which nothing is decided."""
    by: Literal["interval", "estimate"] = "interval"
    """What is bounded: the whole interval, or the estimate alone, whatever chance made of it."""

    @pydantic.model_validator(mode="after")
    def _one_bound(self) -> Self:
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError("a demand needs either at_least or at_most")
        return self

    def judged(self, measured: Iterable[metrics.Metric]) -> list[gates.Gate]:
        """A gate for each metric that is meant; one that finds nothing when none is there."""
        names = [each.name for each in measured if fnmatch.fnmatchcase(each.name, self.metric)]
        demanded = {gates.Bound.AT_LEAST: self.at_least, gates.Bound.AT_MOST: self.at_most}
        return [
            gates.Gate(name, bound, threshold, self.minimum, gates.By(self.by))
            for name in names or [self.metric]
            for bound, threshold in demanded.items()
            if threshold is not None
        ]


class Section(document.Part):
    """What all sections share."""

    notebook: str | None = None
    """The notebook's path beside the suite's, by default ``../<section>.ipynb``."""
    timeout: Annotated[int, pydantic.Field(gt=0)] = 3600
    """Seconds that the whole notebook may take."""
    gates: tuple[Demand, ...] = ()

    @property
    def demands(self) -> tuple[Demand, ...]:
        """All that is demanded: ``gates``, and what a section adds to them."""
        return self.gates


def judge(demands: Iterable[Demand], measured: Sequence[metrics.Metric]) -> gates.Decision:
    """The verdict on a report's metrics; without a demand nothing is decided."""
    return gates.judge([gate for each in demands for gate in each.judged(measured)], measured)

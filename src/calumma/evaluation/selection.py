"""Which images of a data set are meant: ``{folder: night, brightness: {at_most: 0.2}}``.

All conditions must be true. A condition on metadata, or on ``label``, is a pattern or a list of
them, one of which must fit; one on a property of the image is a range.
:mod:`calumma.scoring.slices` selects.
"""

from __future__ import annotations

from typing import Annotated, Self

import pydantic

from calumma.evaluation import document
from calumma.scoring import slices

Name = Annotated[str, pydantic.Field(min_length=1, max_length=60)]
Count = Annotated[int, pydantic.Field(ge=1)]
Share = Annotated[float, pydantic.Field(ge=0, le=1)]


class Range(document.Part):
    """``{at_least: 0.2, at_most: 0.4}``, of a property of the image."""

    at_least: float | None = None
    at_most: float | None = None

    @pydantic.model_validator(mode="after")
    def _some_bound(self) -> Self:
        if self.at_least is None and self.at_most is None:
            raise ValueError("a range needs at_least or at_most, or both")
        return self


Condition = str | tuple[str, ...] | Range
Where = Annotated[dict[str, Condition], pydantic.Field(min_length=1)]


def conditions(found: dict[str, Condition]) -> slices.Where:
    """The conditions as scoring takes them."""
    return {key: _condition(condition) for key, condition in found.items()}


def _condition(found: Condition) -> slices.Condition:
    if isinstance(found, Range):
        low = -float("inf") if found.at_least is None else found.at_least
        high = float("inf") if found.at_most is None else found.at_most
        return slices.Range(low, high)
    return (found,) if isinstance(found, str) else found

"""A number that nobody measured here: its value, the range still believed, and who says so.

Without a source an assumption is refused. A range may be a single point, for a price in a contract.
"""

from __future__ import annotations

import math
import zlib
from typing import Annotated, Literal, Self

import numpy as np
import pydantic
from numpy.typing import NDArray

from calumma.evaluation import document

Values = NDArray[np.float64]


class Assumption(document.Part):
    """A declared number; :class:`Amount` and :class:`Share` say which numbers are possible."""

    value: float
    """The best guess, in the unit of what is assumed."""
    range: tuple[float, float]
    """The lowest and the highest value that its author still believes."""
    shape: Literal["triangular", "uniform"] = "triangular"
    """How likely the values between are: most so at ``value``, or all alike."""
    source: Annotated[str, pydantic.Field(pattern=r"\S.*\S")]
    """Who says so, and from what."""

    @pydantic.model_validator(mode="after")
    def _ordered(self) -> Self:
        low, high = self.range
        if not (math.isfinite(low) and math.isfinite(high) and low <= self.value <= high):
            raise ValueError(
                f"the value {self.value:g} must lie in its range {low:g} to {high:g}, "
                "and the range go from the lower to the higher"
            )
        return self

    def draw(self, name: str, seed: int, draws: int) -> Values:
        """``draws`` values; the same for the same name and seed, whatever else is drawn."""
        generator = np.random.default_rng([seed, zlib.crc32(name.encode())])
        low, high = self.range
        if low == high:
            return np.full(draws, low)
        if self.shape == "uniform":
            return generator.uniform(low, high, draws)
        return generator.triangular(low, self.value, high, draws)


class Amount(Assumption):
    """Minutes, money or a number of cases: never negative."""

    @pydantic.model_validator(mode="after")
    def _possible(self) -> Self:
        if self.range[0] < 0:
            raise ValueError(f"its range begins at {self.range[0]:g}; an amount is at least 0")
        return self


class Share(Assumption):
    """A share of something, from 0 to 1."""

    @pydantic.model_validator(mode="after")
    def _possible(self) -> Self:
        if self.range[0] < 0 or self.range[1] > 1:
            low, high = self.range
            raise ValueError(f"its range is {low:g} to {high:g}; a share is from 0 to 1")
        return self

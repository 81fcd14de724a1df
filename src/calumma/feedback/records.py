"""The two kinds of lines: a prediction, and what somebody said of it later."""

from __future__ import annotations

import re
from typing import Annotated, Literal

import pydantic

RANDOM = "random"
LOW_CONFIDENCE = "low-confidence"

_TEXT = Annotated[str, pydantic.Field(min_length=1, max_length=512)]
_TIME = Annotated[float, pydantic.Field(ge=0, lt=1e11, allow_inf_nan=False)]
_SHARE = Annotated[float, pydantic.Field(ge=0, le=1, allow_inf_nan=False)]

DIGEST = re.compile(r"[0-9a-f]{64}")


class Record(pydantic.BaseModel):
    """One line; times are seconds since the epoch."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")


class Prediction(Record):
    """What a service answered about one image."""

    id: _TEXT
    time: _TIME
    service: _TEXT
    namespace: _TEXT
    revision: _TEXT | None = None
    """The predictor revision that answered, None where nobody said."""
    label: _TEXT
    confidence: _SHARE
    probabilities: tuple[_SHARE, ...] = ()
    image: Annotated[str, pydantic.Field(pattern=f"^{DIGEST.pattern}$")] | None = None
    """The SHA-256 of the image, under which the folder keeps it; None where it is not kept."""
    sources: tuple[Literal["random", "low-confidence"], ...] = ()
    """Why it was chosen to be labelled, known when it was made: drawn at random, or unsure."""
    user: _TEXT | None = None
    seconds: Annotated[float, pydantic.Field(ge=0)] | None = None
    """From the logged request to the logged answer."""


class Label(Record):
    """What somebody says is right about a prediction.

    A ``user`` is the one who got the answer, a ``reader`` was asked. A user who only says that the
    answer looks wrong gives no ``label``: that is a flag, which asks for a reader.
    """

    id: _TEXT
    label: _TEXT | None = None
    by: _TEXT
    time: _TIME
    kind: Literal["reader", "user"] = "reader"

    @pydantic.model_validator(mode="after")
    def _readers_label(self) -> Label:
        if self.label is None and self.kind == "reader":
            raise ValueError("a reader gives a label; only a user may flag without one")
        return self

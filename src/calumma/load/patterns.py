"""Patterns of load as a suite declares them, and the times that they mean.

A pattern is a list of phases, one after another. A phase has one shape (a rate over time, a
recording, or patterns at the same time), so that any load can be put together::

    pattern:
    - constant: {rate: 20, seconds: 30}
    - ramp: {from: 20, to: 100, seconds: 60}
    - steps: {rates: [1, 2, 3, 5, 3, 2, 1], seconds: 60}
    - wave: {mean: 50, amplitude: 40, period: 600, seconds: 600}
      arrivals: even
    - replay: {file: monday.txt, speed: 24}
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
import pydantic

from calumma.evaluation import document
from calumma.load import recording, schedule

Positive = Annotated[float, pydantic.Field(gt=0, allow_inf_nan=False)]
Rate = Annotated[float, pydantic.Field(ge=0, allow_inf_nan=False)]


class Constant(document.Part):
    """The same rate all the time."""

    rate: Positive
    """Requests a second."""
    seconds: Positive

    @property
    def course(self) -> schedule.Course:
        """The rate over time."""
        return schedule.steps([self.rate], self.seconds)


class Ramp(document.Part):
    """A rate that grows or falls steadily."""

    model_config = pydantic.ConfigDict(populate_by_name=True)

    start: Annotated[Rate, pydantic.Field(alias="from")]
    to: Rate
    seconds: Positive

    @property
    def course(self) -> schedule.Course:
        """The rate over time."""
        return [(0.0, self.start), (self.seconds, self.to)]


class Steps(document.Part):
    """One rate after another, each for the same time."""

    rates: Annotated[tuple[Rate, ...], pydantic.Field(min_length=1)]
    seconds: Positive
    """The length of one step."""

    @property
    def course(self) -> schedule.Course:
        """The rate over time."""
        return schedule.steps(self.rates, self.seconds)


class Wave(document.Part):
    """A sine from its trough: the days of a service whose users sleep."""

    mean: Positive
    amplitude: Rate
    period: Positive
    """Seconds from trough to trough."""
    seconds: Positive

    @pydantic.model_validator(mode="after")
    def _no_negative_rate(self) -> Self:
        if self.amplitude > self.mean:
            raise ValueError(f"the amplitude {self.amplitude:g} is above the mean {self.mean:g}")
        return self

    @property
    def course(self) -> schedule.Course:
        """The rate over time."""
        return schedule.wave(self.mean, self.amplitude, self.period, self.seconds)


class Replay(document.Part):
    """The requests of a recording, see :mod:`calumma.load.recording`."""

    file: str
    """The recording's path, as seen from the suite's file."""
    speed: Positive = 1.0
    """How many times as fast: 24 plays a day in an hour."""
    share: Positive = 1.0
    """How many times as many requests."""
    seconds: Positive | None = None
    """Where to end, in seconds of the load; by default after the last request."""


class Phase(document.Part):
    """One part of a pattern: exactly one shape, and how its requests arrive."""

    constant: Constant | None = None
    ramp: Ramp | None = None
    steps: Steps | None = None
    wave: Wave | None = None
    replay: Replay | None = None
    together: Annotated[tuple[tuple[Phase, ...], ...], pydantic.Field(min_length=2)] | None = None
    """Patterns at the same time, each a list of phases."""
    arrivals: Literal["poisson", "even"] = "poisson"
    """``poisson``: at random, as independent users; ``even``: at equal distances."""

    @pydantic.model_validator(mode="after")
    def _one_shape(self) -> Self:
        shapes = [name for name in _SHAPES if getattr(self, name) is not None]
        if len(shapes) != 1:
            found = " and ".join(shapes) or "none"
            raise ValueError(f"a phase has one of {', '.join(_SHAPES)}; found is {found}")
        if self.shape is not None and not any(rate > 0 for _, rate in self.shape.course):
            raise ValueError("the rate is 0 all the time, so nothing would be sent")
        return self

    @property
    def shape(self) -> Constant | Ramp | Steps | Wave | None:
        """The shape that is a rate over time."""
        return self.constant or self.ramp or self.steps or self.wave


_SHAPES = ("constant", "ramp", "steps", "wave", "replay", "together")

Pattern = Annotated[tuple[Phase, ...], pydantic.Field(min_length=1)]


def times(
    pattern: Sequence[Phase], folder: Path, *, seed: Sequence[int], scale: float = 1.0
) -> tuple[schedule.Times, float]:
    """When to send, in seconds from the start, and for how many seconds the pattern lasts.

    Recordings are looked for below ``folder``. ``scale`` multiplies all rates. Each phase draws
    from a seed of its own, made of ``seed`` and its place. Raises
    :class:`~calumma.errors.EvaluationError` for a recording that cannot be read.
    """
    found, start = [np.empty(0)], 0.0
    for place, phase in enumerate(pattern):
        one, seconds = _phase(phase, folder, [*seed, place], scale)
        found.append(start + one)
        start += seconds
    return np.concatenate(found), start


def _phase(
    phase: Phase, folder: Path, seed: Sequence[int], scale: float
) -> tuple[schedule.Times, float]:
    if phase.together is not None:
        parts = [
            times(part, folder, seed=[*seed, place], scale=scale)
            for place, part in enumerate(phase.together)
        ]
        return np.sort(np.concatenate([one for one, _ in parts])), max(last for _, last in parts)
    if phase.replay is not None:
        stamps = recording.read(folder / phase.replay.file)
        share = phase.replay.share * scale
        found = schedule.replay(stamps, speed=phase.replay.speed, share=share, seed=list(seed))
        seconds = phase.replay.seconds or float(np.ptp(stamps)) / phase.replay.speed
        return found[found <= seconds], seconds
    course = [(time, rate * scale) for time, rate in phase.shape.course] if phase.shape else []
    if phase.arrivals == "even":
        return schedule.evenly(course), course[-1][0]
    return schedule.randomly(course, list(seed)), course[-1][0]

"""The section ``load`` of a suite: what is sent, when, and what the service promises."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

import pydantic

from calumma.evaluation import section
from calumma.load import curve, patterns, payloads, schedule, session

Seconds = Annotated[float, pydantic.Field(gt=0, allow_inf_nan=False)]


class Load(section.Section):
    """What ``evaluation/load.ipynb`` reads."""

    pattern: patterns.Pattern
    """When requests are sent."""
    payloads: Annotated[tuple[payloads.Payload, ...], pydantic.Field(min_length=1)]
    """What is sent, by weights."""
    warm_up: tuple[patterns.Phase, ...] = ()
    """A pattern that is sent before and does not count."""
    target: Literal["service", "predictor"] = "service"
    """Who is asked: the service as users ask it, or the predictor without its transformer."""
    objective: curve.Objective | None = None
    """What the service promises, which the search looks at."""
    search: curve.Search | None = None
    """The search for the highest rate under the objective."""
    connections: Annotated[int, pydantic.Field(gt=0)] = 1024
    """The most requests under way at once."""
    give_up: Seconds = 10.0
    """Seconds after which a request has failed."""
    tolerance: Seconds = 0.010
    """By how many seconds the generator may be late before a request was not sent on time."""

    @pydantic.model_validator(mode="after")
    def _complete(self) -> Self:
        if self.search is not None and self.objective is None:
            raise ValueError("a search needs an objective to search under")
        names = [each.name for each in self.payloads]
        if len(names) != len(set(names)):
            raise ValueError(f"the payloads {', '.join(names)} are not all named differently")
        if not any(each.is_meant_to_be_answered for each in self.payloads):
            raise ValueError("no payload expects 200, so there would be no latency of answers")
        return self

    def plan(self, suite: Path | str, seed: int) -> session.Plan:
        """What is sent, with all that is drawn by chance drawn from a seed.

        Data sets are looked for beside the ``suite``.
        """
        folder = Path(suite).parent
        return session.Plan(
            self.payloads, self.connections, self.give_up, self.tolerance, seed, folder
        )

    def times(
        self, suite: Path | str, *, seed: int, scale: float
    ) -> tuple[tuple[schedule.Times, float], tuple[schedule.Times, float]]:
        """When the warm-up's requests are sent and for how long it lasts, and the pattern's.

        Recordings are looked for beside the ``suite``; ``scale`` multiplies all rates.
        """
        folder = Path(suite).parent
        return (
            patterns.times(self.warm_up, folder, seed=(seed, 0), scale=scale),
            patterns.times(self.pattern, folder, seed=(seed, 1), scale=scale),
        )

    @property
    def parameters(self) -> dict[str, Any]:
        """What makes this load what it is, for the report and for comparisons."""
        names = {"pattern", "payloads", "warm_up", "target", "objective", "search"}
        names |= {"connections", "give_up", "tolerance"}
        return self.model_dump(mode="json", by_alias=True, exclude_none=True, include=names)

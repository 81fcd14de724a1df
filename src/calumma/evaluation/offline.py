"""The section ``offline`` of a suite: labelled images, how they are looked at, what is demanded.

It says which images are sent (``data``), which of them stand for the population (``sample``), which
groups are looked at on their own (``slices``, and ``failure_modes``, which have a gate each), and
what is asked with images that are made (``behaviour``). ``gates`` demand values, and ``changes``
demand changes against a baseline, where the notebook is given one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Annotated, Literal, Self

import pydantic

from calumma.evaluation import behaviour as tests
from calumma.evaluation import document, section, selection
from calumma.scoring import gates, metrics, sampling
from calumma.scoring import slices as slicing


class Sample(document.Part):
    """Which images stand for the population, and for how much of it."""

    by: str
    """The piece of metadata that names an image's stratum."""
    weights: Annotated[
        dict[str, Annotated[float, pydantic.Field(ge=0)]], pydantic.Field(min_length=1)
    ]
    """For patterns of it, the share of the population that such images stand for; 0 is none."""

    @pydantic.model_validator(mode="after")
    def _some_weight(self) -> Self:
        if not sum(self.weights.values()) > 0:
            raise ValueError("a sample needs a stratum with a weight above 0")
        return self


class Slice(document.Part):
    """``{name: faint ink, where: {brightness: {at_most: 0.2}}}``."""

    name: selection.Name
    where: selection.Where
    minimum: selection.Count = 20
    """Images below which it is shown, and decides nothing."""

    @property
    def slice(self) -> slicing.Slice:
        """The same for scoring."""
        return slicing.Slice(self.name, selection.conditions(self.where), self.minimum)


class FailureMode(Slice):
    """A slice of which it is known that models fail in it, with what is demanded there."""

    at_least: selection.Share
    minimum: selection.Count = 1
    by: Literal["interval", "estimate"] = "interval"


class Offline(section.Section):
    """What ``evaluation/offline.ipynb`` reads."""

    data: str = "digits"
    """A data set's name, or its folder: relative to the suite, or with ``${VARIABLES}``."""
    classes: tuple[str, ...] = ()
    """The model's classes in its order; with them labels are checked, and probabilities used."""
    sample: Sample | None = None
    slices: tuple[Slice, ...] = ()
    failure_modes: tuple[FailureMode, ...] = ()
    behaviour: tests.Behaviour = tests.Behaviour()
    changes: tuple[section.Demand, ...] = ()
    """Gates on changes (``change of accuracy``), judged when there is a baseline."""

    @pydantic.model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.behaviour.directional and not self.classes:
            raise ValueError("directional tests look at probabilities, and need classes")
        asked = [each.name for each in self.behaviour.minimum_functionality]
        asked += [each.name for each in self.behaviour.perturbing]
        for what, names in (
            ("slices", [each.name for each in (*self.slices, *self.failure_modes)]),
            ("tests", asked),
            ("classes", list(self.classes)),
        ):
            if twice := sorted({name for name in names if names.count(name) > 1}):
                raise ValueError(f"two {what} have the name {', '.join(twice)}")
        return self

    @property
    def plan(self) -> sampling.Plan:
        """How the images are divided into strata."""
        if self.sample is None:
            return sampling.Plan()
        return sampling.Plan(self.sample.by, self.sample.weights)

    @property
    def groups(self) -> list[slicing.Slice]:
        """All slices, the failure modes last."""
        return [each.slice for each in (*self.slices, *self.failure_modes)]

    def judge(self, measured: Sequence[metrics.Metric], *, changed: bool = False) -> gates.Decision:
        """The verdict; with ``changed`` on the changes too.

        A slice's own minimum holds in every gate on it, and on its change.
        """
        demands = [*self.gates, *self._modes(), *(self.changes if changed else ())]
        floors = {
            f"{prefix}accuracy of {each.name}": each.minimum
            for each in self.groups
            for prefix in ("", "change of ")
        }
        found = [
            replace(gate, minimum=max(gate.minimum, floors.get(gate.metric, 1)))
            for demand in demands
            for gate in demand.judged(measured)
        ]
        return gates.judge(found, measured)

    def _modes(self) -> Iterator[section.Demand]:
        for mode in self.failure_modes:
            yield section.Demand(
                metric=_escape(f"accuracy of {mode.name}"),
                at_least=mode.at_least,
                minimum=mode.minimum,
                by=mode.by,
            )


def _escape(name: str) -> str:
    """The pattern that fits this name alone."""
    return name.translate({ord(sign): f"[{sign}]" for sign in "*?["})

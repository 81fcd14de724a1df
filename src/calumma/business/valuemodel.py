"""The value model of one application: how its work is done, and what its outcomes cost.

A *case* (an image) comes in. *Alone*, a person looks at each. *Assisted*, the model proposes a
class: where it is sure enough (``accept_from``) nobody looks, otherwise a person sees the proposal
and confirms or corrects it; a request that failed is done as if there were no model. Some classes
are *findings*: to miss one, or to see one where there is none, costs something. A finding that is
taken for another finding is both missed and a false alarm.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, NamedTuple, Self

import numpy as np
import pydantic
from numpy.typing import NDArray

from calumma.business.assumptions import Amount, Assumption, Share
from calumma.evaluation import document


class Described(NamedTuple):
    """An assumption with the words that a reader needs: ``{unit}`` may hold the currency."""

    assumption: Assumption
    meaning: str
    unit: str


MEANINGS: Mapping[str, tuple[str, str]] = {
    "minutes_alone": ("minutes a person needs for a case alone", "min"),
    "minutes_confirming": ("minutes a person needs to confirm or correct a proposal", "min"),
    "price_of_a_minute": ("price of a person's minute", "{currency}"),
    "cases_a_day": ("cases a day", "cases"),
    "serving_an_hour": ("cost of serving for an hour", "{currency}"),
    "person_misses": ("share of findings that a person alone misses", ""),
    "person_false_alarms": ("share of other cases in which a person alone sees a finding", ""),
    "catches": ("share of wrong proposals that a confirming person corrects", ""),
    "spoils": ("share of right proposals that a confirming person makes wrong", ""),
}


class ValueModel(document.Part):
    """What is assumed about an application; every number has its range and source."""

    currency: Annotated[str, pydantic.Field(min_length=1, max_length=8)] = "EUR"
    classes: Annotated[tuple[str, ...], pydantic.Field(min_length=2)]
    """The labels that the model can give."""
    accept_from: Annotated[float, pydantic.Field(ge=0, le=1)] | None
    """The confidence from which nobody looks at a proposal; null: somebody always looks."""
    minutes_alone: Amount
    minutes_confirming: Amount
    price_of_a_minute: Amount
    cases_a_day: Amount
    serving_an_hour: Amount
    person_misses: Share
    person_false_alarms: Share
    catches: Share
    spoils: Share
    missed: Annotated[Mapping[str, Amount], pydantic.Field(min_length=1)]
    """For each finding, what it costs to miss one."""
    false_alarm: Mapping[str, Amount]
    """For each finding, what it costs to see one that is not there."""
    mix: Mapping[str, Amount] | None = None
    """How often each class comes in, as weights; null: as often as in the labelled data."""

    @pydantic.model_validator(mode="after")
    def _one_language(self) -> Self:
        if len(set(self.classes)) < len(self.classes):
            raise ValueError("a class is named twice")
        for field, found in (("missed", self.missed), ("mix", self.mix or {})):
            unknown = [name for name in found if name not in self.classes]
            if unknown:
                raise ValueError(
                    f"{field} names {', '.join(unknown)}, which the model does not know; "
                    f"it knows {', '.join(self.classes)}"
                )
        if set(self.missed) != set(self.false_alarm):
            raise ValueError(
                f"missed names the findings {', '.join(self.missed)} and false_alarm "
                f"{', '.join(self.false_alarm) or 'none'}; both must name the same"
            )
        if self.mix is not None:
            absent = [name for name in self.classes if name not in self.mix]
            if absent:
                raise ValueError(f"mix must name every class, and {', '.join(absent)} is not there")
            if not sum(each.range[0] for each in self.mix.values()) > 0:
                raise ValueError("the weights of mix may all be 0; one must always be more")
        return self

    @property
    def findings(self) -> NDArray[np.bool_]:
        """Which of ``classes`` are findings, bool with shape [classes]."""
        return np.array([name in self.missed for name in self.classes])

    def described(self) -> Iterator[tuple[str, Described]]:
        """Every assumption by its name, which for a class is like ``missed 3``."""
        for name, (meaning, unit) in MEANINGS.items():
            yield name, Described(getattr(self, name), meaning, unit.format(currency=self.currency))
        by_class = {
            "missed": (self.missed, "cost of a missed", self.currency),
            "false_alarm": (self.false_alarm, "cost of a false alarm for", self.currency),
            "mix": (self.mix or {}, "how often comes a", ""),
        }
        for field, (found, meaning, unit) in by_class.items():
            for label, assumption in found.items():
                yield f"{field} {label}", Described(assumption, f"{meaning} {label}", unit)

    def best_guess(self) -> dict[str, float]:
        """The declared value of each assumption."""
        return {name: each.assumption.value for name, each in self.described()}

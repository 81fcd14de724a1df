"""The part ``behaviour`` of the section ``offline``: tests in CheckList's three kinds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, Self

import pydantic

from calumma import errors
from calumma.behaviour import checks, perturbations, templates
from calumma.evaluation import document, selection
from calumma.scoring import cases, sampling, slices


class Simple(document.Part):
    """Minimum functionality: images that any good model gets right.

    Either the images of the data set that ``where`` selects, or compositions: every one of
    ``subjects`` on every one of ``backgrounds`` with every one of ``extras``; without backgrounds,
    alone on white.
    """

    name: selection.Name
    where: selection.Where | None = None
    subjects: selection.Where | None = None
    backgrounds: selection.Where | None = None
    extras: selection.Where | None = None

    @pydantic.model_validator(mode="after")
    def _one_form(self) -> Self:
        if (self.subjects is None) == (self.where is None):
            raise ValueError("it needs either where or subjects")
        if (self.backgrounds and not self.subjects) or (self.extras and not self.backgrounds):
            raise ValueError("extras need backgrounds, and backgrounds need subjects")
        return self

    @property
    def test(self) -> checks.Test:
        """The same for the checks."""
        return checks.Test(self.name, checks.Kind.MINIMUM_FUNCTIONALITY)

    def images(self, population: Sequence[cases.Case]) -> list[cases.Case]:
        """The images to send; raises DatasetInvalid when a part selects none."""
        if self.where is not None:
            return self._part(population, "images", self.where)
        subjects, backgrounds, extras = (
            self._part(population, part, where) if where else []
            for part, where in (
                ("subjects", self.subjects),
                ("backgrounds", self.backgrounds),
                ("extras", self.extras),
            )
        )
        return list(templates.permutations(self.name, subjects, backgrounds, extras))

    def _part(
        self, population: Sequence[cases.Case], part: str, where: selection.Where
    ) -> list[cases.Case]:
        name = f"the test {self.name!r}"
        found = slices.select(population, selection.conditions(where), name)
        if not found:
            raise errors.DatasetInvalid(f"{name} finds no image for its {part}, by {where}")
        return found


class Perturbation(document.Part):
    """What invariance and directional tests share."""

    name: selection.Name
    perturbation: str
    severities: Annotated[tuple[float, ...], pydantic.Field(min_length=1)]
    where: selection.Where | None = None
    """The images that are perturbed; by default all that stand for the population."""
    images: selection.Count = 100
    side: Annotated[int, pydantic.Field(ge=8, le=4096)] = 512

    @pydantic.model_validator(mode="after")
    def _known(self) -> Self:
        for severity in self.severities:
            try:
                perturbations.require(self.perturbation, severity)
            except errors.EvaluationError as error:
                raise ValueError(str(error)) from error
        return self

    def among(self, population: Sequence[cases.Case], plan: sampling.Plan) -> list[cases.Case]:
        """The images of which some are perturbed."""
        if self.where is not None:
            return slices.select(
                population, selection.conditions(self.where), f"the test {self.name!r}"
            )
        return [
            case
            for case in population
            if case.label is not None and plan.weights[plan.stratum(case)] > 0
        ]


class Invariance(Perturbation):
    """What changes nothing for a person changes no answer."""

    @property
    def test(self) -> checks.Test:
        """The same for the checks."""
        return checks.Test(
            self.name,
            checks.Kind.INVARIANCE,
            self.perturbation,
            self.severities,
            self.images,
            self.side,
        )


class Directional(Perturbation):
    """The probability of the true label must not rise (or fall) from one severity to the next."""

    must_not: Literal["rise", "fall"] = "rise"
    tolerance: selection.Share = 0.05

    @property
    def test(self) -> checks.Test:
        """The same for the checks."""
        return checks.Test(
            self.name,
            checks.Kind.DIRECTIONAL,
            self.perturbation,
            self.severities,
            self.images,
            self.side,
            checks.Trend(self.must_not),
            self.tolerance,
        )


class Behaviour(document.Part):
    """Tests in CheckList's three kinds."""

    minimum_functionality: tuple[Simple, ...] = ()
    invariance: tuple[Invariance, ...] = ()
    directional: tuple[Directional, ...] = ()

    @property
    def perturbing(self) -> tuple[Invariance | Directional, ...]:
        """The tests that perturb images."""
        return (*self.invariance, *self.directional)

"""The document: how a canary's share grows, and what must not become worse meanwhile."""

from __future__ import annotations

from typing import Annotated, Literal, Self

import pydantic

from calumma.evaluation import document
from calumma.evaluation.online import Feedback, Predictor
from calumma.rollout import routing
from calumma.schedule.definition import Alerts, Secret

_NAME = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"

Percent = Annotated[int, pydantic.Field(ge=0, le=100)]
Share = Annotated[float, pydantic.Field(gt=0, lt=1, allow_inf_nan=False)]
Seconds = Annotated[float, pydantic.Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, pydantic.Field(ge=1)]
Price = Annotated[float, pydantic.Field(ge=0, allow_inf_nan=False)]

MOST_LOOKS = 2000
"""A rollout's windows must find room in a ConfigMap."""


class Evaluation(document.Part):
    """A gate: a suite of notebooks that must pass."""

    suite: str
    """The suite's file, as a path in the project."""
    only: tuple[str, ...] = ()
    """Its sections; without any, all of them."""


class Gate(document.Part):
    """What must agree before a step is left: exactly one of the three."""

    evaluation: Evaluation | None = None
    webhook: Secret | None = None
    """A URL that gets the status by POST: 2xx agrees, 4xx refuses, all else is asked again."""
    person: str | None = None
    """What a person is asked; ``calumma rollout resume`` agrees."""
    timeout: Seconds = 3600.0
    """Seconds after which no answer is a refusal; a person has until the deadline."""

    @pydantic.model_validator(mode="after")
    def _one_kind(self) -> Self:
        if sum(each is not None for each in (self.evaluation, self.webhook, self.person)) != 1:
            raise ValueError("a gate needs exactly one of evaluation, webhook and person")
        return self


class Step(document.Part):
    """A share of the traffic, and how long it lasts."""

    weight: Percent
    """Percent of the traffic; 0 lets only pairs, mirrored requests and gates reach the canary."""
    seconds: Annotated[float, pydantic.Field(ge=0, allow_inf_nan=False)] = 0.0
    """The least time that it lasts, from when its share is in effect."""
    requests: Annotated[int, pydantic.Field(ge=0)] = 0
    """The least number of requests to the canary, pairs among them."""
    timeout: Seconds | None = None
    """Seconds after which the rollout is inconclusive here; without it only the deadline counts."""
    proves: bool | None = None
    """Whether every metric must be shown not to be worse before it is left: by default the last
    step's doing alone. The others are left when nothing is shown to be worse."""
    gates: tuple[Gate, ...] = ()


class _Metric(document.Part):
    """What all metrics have."""

    name: str
    """How it is called in status, reports and the history."""
    margin: Share
    """By how much the canary may be worse: what must be shown before it is promoted."""
    planned: Count | None = None
    """Observations of the canary for which the decision is planned: a test of this size finds a
    difference soonest. Beyond it, and without it, evidence counts that holds at any time."""


class Errors(_Metric):
    """Requests answered with 5xx, of all, by Prometheus."""

    kind: Literal["errors"]


class Slow(_Metric):
    """Requests that took longer than a bound, of all, by Prometheus' histograms."""

    kind: Literal["slow"]
    milliseconds: Seconds
    """Rounded up to the next bucket's bound."""


class Latency(_Metric):
    """A quantile of the latency of pairs, by their raw times; ``margin`` is a share of stable's."""

    kind: Literal["latency"]
    quantile: Share = 0.95


class Correct(_Metric):
    """Wrong answers, of those whose label is known."""

    kind: Literal["correct"]
    source: Literal["pairs", "feedback"] = "pairs"
    labels: tuple[str, ...] = ()
    """Only cases with one of these labels: a slice. Without any, all of them."""


class Agreement(document.Part):
    """Pairs that both revisions answer alike, labels or not."""

    kind: Literal["agreement"]
    name: str
    at_least: Share


class Value(_Metric):
    """What the answers cost, for each case whose label is known.

    ``margin`` is a share of the dearest mistake.
    """

    kind: Literal["value"]
    source: Literal["pairs", "feedback"] = "pairs"
    currency: str = "EUR"
    missed: dict[str, Price] = pydantic.Field(default_factory=dict)
    """The cost of an answer that is wrong, by the right label."""
    falseAlarm: dict[str, Price] = pydantic.Field(default_factory=dict)
    """The cost of an answer that is wrong, by the label that was answered."""
    other: Price = 0.0
    """The cost of a wrong answer for which neither says anything, and of a failed request."""


Metric = Annotated[
    Errors | Slow | Latency | Correct | Agreement | Value, pydantic.Field(discriminator="kind")
]


class Pairs(document.Part):
    """Requests that the rollout sends to both revisions' own hosts: each pair is the same input."""

    dataset: str | None = None
    """Labelled images; null: what users have sent, from ``feedback``."""
    rate: Annotated[float, pydantic.Field(gt=0, le=1000)] = 10.0
    """Pairs a second."""
    predictor: Predictor | None = None
    """How a predictor of tensors is asked past its transformer."""


class Sources(document.Part):
    """Where what is judged comes from; Prometheus is the cluster's own unless it is named."""

    prometheus: str | None = None
    pairs: Pairs | None = None
    feedback: Feedback | None = None


class Policy(document.Part):
    """The content of a policy's file."""

    service: Annotated[str, pydantic.Field(pattern=_NAME, max_length=63)]
    namespace: Annotated[str, pydantic.Field(pattern=_NAME, max_length=63)] = "default"
    strategy: Literal["progressive", "ab", "blue-green", "rolling"] = "progressive"
    """``ab`` asks which is better at a sample size that is fixed beforehand, ``blue-green`` goes
    from 0 to 100 at once, ``rolling`` goes on by time unless something becomes worse."""
    steps: Annotated[tuple[Step, ...], pydantic.Field(min_length=1)]
    """Shares that grow; after the last one the canary is promoted."""
    interval: Annotated[float, pydantic.Field(ge=1, le=3600)] = 10.0
    """Seconds between two looks."""
    warmUp: Annotated[float, pydantic.Field(ge=0)] = 10.0
    """Seconds after each change of the share whose requests count for nothing."""
    ready: Seconds = 600.0
    """Seconds that a canary has to become ready."""
    deadline: Seconds = 3600.0
    """Seconds from the first step after which the rollout is inconclusive."""
    inconclusive: Literal["hold", "rollback", "promote"] = "hold"
    """What happens then; to hold is to wait for a person."""
    quiet: Seconds = 300.0
    """Seconds without a request to the canary, or without a source, after which people are told."""
    alpha: Share = 0.05
    """The chance of a false rollback, of all metrics and all looks together."""
    metrics: Annotated[tuple[Metric, ...], pydantic.Field(min_length=1)]
    sources: Sources = Sources()
    assignment: routing.Assignment | None = None
    """By what users stay with their revision, on the one-machine cluster."""
    mirror: Percent = 0
    """Percent of users' requests that Envoy also sends to the canary while its share is 0, on the
    one-machine cluster."""
    notify: Alerts | None = None
    """Whom to tell of a promotion, a rollback, and of what waits for a person."""
    project: str = "."
    """The folder of suites, from where the rollout is started."""

    @pydantic.model_validator(mode="after")
    def _possible(self) -> Self:
        weights = [step.weight for step in self.steps]
        if weights != sorted(set(weights)) or weights[-1] == 100:
            raise ValueError(
                f"the steps' weights are {weights}; they must grow and stay below 100, which is "
                "what a promotion sets"
            )
        names = [metric.name for metric in self.metrics]
        if len(names) != len(set(names)):
            raise ValueError(f"the metrics' names are {names}; each must be there once")
        if self.deadline / self.interval > MOST_LOOKS:
            raise ValueError(
                f"a deadline of {self.deadline:g} s and an interval of {self.interval:g} s make "
                f"{self.deadline / self.interval:.0f} looks; at most {MOST_LOOKS} are possible, so "
                "look less often"
            )
        for metric in self.metrics:
            self._has_source(metric)
        for index in range(len(self.steps)):
            self._can_be_left(index)
        self._suits_its_strategy()
        return self

    def proves(self, index: int) -> bool:
        """Whether every metric must be shown not to be worse before a step is left."""
        if (declared := self.steps[index].proves) is not None:
            return declared
        return index == len(self.steps) - 1 and self.strategy in ("progressive", "blue-green")

    def _can_be_left(self, index: int) -> None:
        """Raise ValueError for a step whose end would never come."""
        step, name = self.steps[index], f"steps.{index}"
        if step.timeout is not None and step.timeout <= step.seconds:
            raise ValueError(
                f"{name} lasts at least {step.seconds:g} s and its timeout is {step.timeout:g} s; "
                "it must be longer"
            )
        silent = step.weight == 0 and self.sources.pairs is None and not self.mirror
        if silent and (step.requests or self.proves(index)):
            raise ValueError(
                f"{name} has the weight 0 and there are neither pairs nor a mirror, so nothing "
                "would be known of the canary; give it a weight, or declare sources.pairs"
            )
        least = sum(each.seconds for each in self.steps)
        if least >= self.deadline:
            raise ValueError(
                f"the steps last at least {least:g} s and the deadline is {self.deadline:g} s; it "
                "must be longer"
            )

    def _suits_its_strategy(self) -> None:
        """Raise ValueError for what the strategy cannot do."""
        weights = [step.weight for step in self.steps]
        if self.strategy == "blue-green" and weights != [0]:
            raise ValueError(
                f"the steps' weights are {weights}; blue-green has one step, of weight 0, from "
                "which it goes to 100"
            )
        if self.strategy in ("progressive", "blue-green") and self.steps[-1].proves is False:
            raise ValueError(
                f"the last step's proves is false; {self.strategy} promotes only what is shown "
                "not to be worse, and rolling goes on by time"
            )
        if self.strategy != "ab":
            return
        for metric in self.metrics:
            if getattr(metric, "planned", None) is None:
                raise ValueError(
                    f"the metric {metric.name} has no planned number of observations, at which "
                    "ab decides; every metric needs it, and an agreement cannot have it"
                )

    def _has_source(self, metric: Metric) -> None:
        """Raise ValueError for a metric that nothing would ever be known of."""
        source = getattr(metric, "source", None)
        if isinstance(metric, Latency | Agreement):
            source = "pairs"
        if source == "pairs" and self.sources.pairs is None:
            raise ValueError(
                f"the metric {metric.name} rests on pairs and sources.pairs is missing; say which "
                "dataset is sent to both revisions"
            )
        if source == "feedback" and self.sources.feedback is None:
            raise ValueError(
                f"the metric {metric.name} rests on feedback and sources.feedback is missing; say "
                "which folder"
            )

"""How many pods a revision should have: Knative's autoscaler (KPA) as arithmetic.

Two averages of a revision's load decide: one over the *stable* window, and one over the short
*panic* window, which takes over while the load is at least twice what the ready pods are meant to
take. Nothing goes down during a panic. The clock and the observations are passed in;
:mod:`calumma.cluster.node.scaling` makes them and keeps the decision in the revision's status.
Sources: knative.dev/serving ``pkg/autoscaler/scaling/autoscaler.go``,
``pkg/reconciler/autoscaling/kpa/scaler.go`` and ``pkg/autoscaler/config`` (2026-08).
"""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

from calumma import errors
from calumma.cluster import objects

NAMESPACE: Final = "knative-serving"
NAME: Final = "config-autoscaler"
GROUP: Final = "autoscaling.knative.dev"

_LOWEST_TARGET = 0.01
_UNITS = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")

_DEFAULTS: Final[Mapping[str, str]] = {
    "enable-scale-to-zero": "true",
    "container-concurrency-target-percentage": "70",
    "container-concurrency-target-default": "100",
    "requests-per-second-target-default": "200",
    "max-scale-up-rate": "1000",
    "max-scale-down-rate": "2",
    "panic-window-percentage": "10",
    "panic-threshold-percentage": "200",
    "stable-window": "60s",
    "scale-down-delay": "0s",
    "scale-to-zero-pod-retention-period": "0s",
    "min-scale": "0",
    "max-scale": "0",
}
"""Knative's defaults for the keys of ``config-autoscaler`` that this room reads."""


@dataclass(frozen=True)
class Spec:
    """What one revision asks of the autoscaler.

    ``target`` is the load that one pod is meant to have: requests at a time, or per second for the
    metric ``rps``. Times are in seconds.
    """

    metric: Literal["concurrency", "rps"]
    target: float
    least: int
    most: int
    activation: int
    window: float
    panic_window: float
    panic_threshold: float
    up_rate: float
    down_rate: float
    delay: float
    retention: float

    def bounded(self, count: int) -> int:
        """A number of pods within the bounds."""
        return min(max(count, self.least), self.most)


def spec(revision: Mapping[str, Any], config_map: Mapping[str, Any] | None, room: int) -> Spec:
    """The spec from a revision's annotations and Knative's ConfigMap ``config-autoscaler``.

    Without ``maxReplicas`` there are at most ``room`` pods, unless more are the least: on a node of
    this size the others would stay Pending.

    Raises ConfigurationError for a value that cannot be read, naming it and its place.
    """
    found = _Values(revision, config_map)
    limit = float(objects.dig(revision, "spec", "containerConcurrency", default=0))
    asked = found.optional("target")
    fraction = _fraction(found.number("target-utilization-percentage", _UTILIZATION))
    metric: Literal["concurrency", "rps"] = "concurrency"
    if found.text("metric", "") == "rps":
        metric = "rps"
        total = asked or found.number("", "requests-per-second-target-default")
    else:
        total = asked or limit or found.number("", "container-concurrency-target-default")
        if asked and limit:
            total = min(asked, limit)
    window = found.seconds("window", "stable-window")
    panic = found.number("panic-window-percentage", "panic-window-percentage")
    least = int(found.number("min-scale", "min-scale"))
    if found.text("", "enable-scale-to-zero") != "true" or not is_by_requests(revision):
        least = max(1, least)
    return Spec(
        metric=metric,
        target=max(_LOWEST_TARGET, total * fraction),
        least=least,
        most=int(found.number("max-scale", "max-scale")) or max(least, room),
        activation=int(found.optional("activation-scale") or 1),
        window=window,
        panic_window=max(1.0, window * panic / 100),
        panic_threshold=found.number("panic-threshold-percentage", "panic-threshold-percentage")
        / 100,
        up_rate=found.number("", "max-scale-up-rate"),
        down_rate=found.number("", "max-scale-down-rate"),
        delay=found.seconds("scale-down-delay", "scale-down-delay"),
        retention=found.seconds(
            "scale-to-zero-pod-retention-period", "scale-to-zero-pod-retention-period"
        ),
    )


def initial(revision: Mapping[str, Any]) -> int:
    """How many pods a new revision begins with, from its annotations alone; at least one."""
    return max(1, least(revision), _annotated(revision, "initial-scale"))


def least(revision: Mapping[str, Any]) -> int:
    """The fewest pods of an active revision, from its annotation; 0 when it may have none."""
    return _annotated(revision, "min-scale")


def is_by_requests(revision: Mapping[str, Any]) -> bool:
    """Whether requests decide; the class ``hpa`` looks at processor and memory instead."""
    found = objects.annotations_of(revision).get(f"{GROUP}/class", "")
    return not found.startswith("hpa.")


_UTILIZATION = "container-concurrency-target-percentage"


class Load(NamedTuple):
    """A revision's load at one moment: requests at work, and arrived per second."""

    time: float
    concurrency: float
    rate: float


class Autoscaler:
    """The decisions for one revision, from the loads that were recorded of it.

    ``ready`` is how many pods are ready when the history begins; more than one is kept for a
    stable window, because nothing is known yet of the load that needed them.
    """

    def __init__(self, ready: int, now: float) -> None:
        self._began = now
        self._loads: deque[Load] = deque()
        self._panic_since = now if ready > 1 else None
        self._most_in_panic = ready
        self._wished: deque[tuple[float, int]] = deque()
        self._idle_since: float | None = None

    def record(self, load: Load) -> None:
        """Remember a load; times must not go back."""
        self._loads.append(load)

    def decide(self, wanted: Spec, ready: int, active_since: float, now: float) -> int | None:
        """How many pods there should be, or None when nothing is known yet.

        ``active_since`` is when the revision last became active (had its first ready pod): it stays
        for at least a stable window from then on.
        """
        while self._loads and self._loads[0].time <= now - wanted.window:
            self._loads.popleft()
        if not self._loads:
            return None
        stable = self._pods(wanted, ready, wanted.window, now)
        panic = self._pods(wanted, ready, wanted.panic_window, now)
        desired = self._delayed(wanted, self._with_panic(wanted, ready, stable, panic, now), now)
        desired = wanted.bounded(desired)
        if desired > 0:
            self._idle_since = None
            return desired
        if self._idle_since is None:
            self._idle_since = now
        since = max(self._began, active_since)
        rested = now - since >= wanted.window and now - self._idle_since >= wanted.retention
        return 0 if rested else 1

    def _average(self, wanted: Spec, window: float, now: float) -> float:
        values = [
            load.rate if wanted.metric == "rps" else load.concurrency
            for load in self._loads
            if load.time > now - window
        ]
        return sum(values) / len(values) if values else 0.0

    def _pods(self, wanted: Spec, ready: int, window: float, now: float) -> int:
        """The pods for the average load of a window, within the rates of change."""
        needed = math.ceil(self._average(wanted, window, now) / wanted.target)
        present = max(1, ready)
        highest = math.ceil(wanted.up_rate * present)
        lowest = math.floor(present / wanted.down_rate)
        desired = min(max(needed, lowest), highest)
        return max(desired, wanted.activation) if needed > 0 else desired

    def _with_panic(self, wanted: Spec, ready: int, stable: int, panic: int, now: float) -> int:
        load = math.ceil(self._average(wanted, wanted.panic_window, now) / wanted.target)
        if load / max(1, ready) >= wanted.panic_threshold:
            self._panic_since = now
        elif self._panic_since is not None and self._panic_since + wanted.window < now:
            self._panic_since, self._most_in_panic = None, 0
        if self._panic_since is None:
            return stable
        self._most_in_panic = max(self._most_in_panic, stable, panic)
        return self._most_in_panic

    def _delayed(self, wanted: Spec, desired: int, now: float) -> int:
        """The highest wish of the delay before pods go."""
        if wanted.delay <= 0:
            return desired
        self._wished.append((now, desired))
        while self._wished[0][0] <= now - wanted.delay:
            self._wished.popleft()
        return max(count for _, count in self._wished)


class _Values:
    """A revision's annotations over the ConfigMap's values over Knative's defaults."""

    def __init__(self, revision: Mapping[str, Any], config_map: Mapping[str, Any] | None) -> None:
        self._name = objects.name(revision)
        self._annotations = objects.annotations_of(revision)
        data = objects.dig(config_map, "data", default={})
        self._settings = {**_DEFAULTS, **{k: v for k, v in data.items() if k in _DEFAULTS}}

    def text(self, annotation: str, key: str) -> str:
        """An annotation of the autoscaling group, else a setting."""
        own = self._annotations.get(f"{GROUP}/{annotation}")
        return own if own is not None else self._settings.get(key, "")

    def number(self, annotation: str, key: str) -> float:
        """A number that is not negative."""
        text = self.text(annotation, key)
        try:
            value = float(text)
        except ValueError:
            value = -1.0
        if not 0 <= value < math.inf:
            raise self._unreadable(annotation, key, text, "a number that is not negative")
        return value

    def optional(self, annotation: str) -> float | None:
        """A number that only an annotation can give."""
        if f"{GROUP}/{annotation}" not in self._annotations:
            return None
        return self.number(annotation, "")

    def seconds(self, annotation: str, key: str) -> float:
        """A duration as Go writes it: ``90s``, ``1m30s``."""
        text = self.text(annotation, key)
        if not re.fullmatch(f"({_DURATION.pattern})+", text):
            raise self._unreadable(annotation, key, text, 'a duration such as "90s" or "1m30s"')
        return sum(float(count) * _UNITS[unit] for count, unit in _DURATION.findall(text))

    def _unreadable(
        self, annotation: str, key: str, text: str, accepted: str
    ) -> errors.ConfigurationError:
        own = f"{GROUP}/{annotation}"
        place = f"the annotation {own} of the revision {self._name}"
        if own not in self._annotations:
            place = f"the key {key} of the ConfigMap {NAMESPACE}/{NAME}"
        return errors.ConfigurationError(f"{place} is {text!r}; accepted is {accepted}.")


def _annotated(revision: Mapping[str, Any], annotation: str) -> int:
    text = objects.annotations_of(revision).get(f"{GROUP}/{annotation}", "")
    return int(text) if text.isdigit() else 0


def _fraction(value: float) -> float:
    """A share that is given as a percentage or, at most 1, as it is."""
    return value / 100 if value > 1 else value

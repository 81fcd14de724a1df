"""What is demanded of the metrics, and the verdict.

A gate looks at a metric's whole interval. When all of it is on the demanded side the gate passes,
when all of it is on the other side the gate fails, and when it holds values of both sides the data
cannot tell: inconclusive. So a gate that passes is unlikely to have been lucky, and too few answers
never pass. A gate on a difference is the change against a baseline: ``canary minus stable`` at
least ``-margin`` says "not worse by more than the margin". A gate may look at the estimate alone,
as a plain threshold does; it says so, because near the threshold luck decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from calumma.scoring import metrics


class Verdict(StrEnum):
    """The outcome of one gate, or of all of them."""

    PASS = "pass"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"


class By(StrEnum):
    """What of a metric a gate looks at."""

    INTERVAL = "interval"
    ESTIMATE = "estimate"


class Bound(StrEnum):
    """How a metric is compared with the threshold."""

    AT_LEAST = "at least"
    AT_MOST = "at most"
    EQUAL_TO = "equal to"


@dataclass(frozen=True)
class Gate:
    """A demand on one metric.

    ``minimum`` is the number of observations below which nothing is decided. A metric that is to
    be ``equal to`` the threshold passes when its interval holds it, and is inconclusive otherwise:
    such a gate checks that the measurement itself is sound.
    """

    metric: str
    bound: Bound
    threshold: float
    minimum: int = 1
    by: By = By.INTERVAL

    def __str__(self) -> str:
        demand = f"{self.metric} {self.bound} {self.threshold:.3f}"
        return f"{demand}, by the estimate alone" if self.by is By.ESTIMATE else demand


@dataclass(frozen=True)
class Ruling:
    """What a gate found, and why, in a sentence."""

    gate: Gate
    verdict: Verdict
    reason: str


@dataclass(frozen=True)
class Decision:
    """All rulings, and the verdict that follows from them."""

    verdict: Verdict
    rulings: tuple[Ruling, ...]

    @property
    def sentence(self) -> str:
        """The verdict and what it rests on."""
        if not self.rulings:
            return "inconclusive: no gate was set, so nothing was decided"
        if self.verdict is Verdict.PASS:
            return f"pass: all {len(self.rulings)} gates passed"
        reasons = [ruling.reason for ruling in self.rulings if ruling.verdict is self.verdict]
        return f"{self.verdict}: {'; '.join(reasons)}"


def judge(gates: Sequence[Gate], measured: Iterable[metrics.Metric]) -> Decision:
    """Let each gate judge the metric of its name."""
    by_name = {metric.name: metric for metric in measured}
    return decide(tuple(_rule(gate, by_name.get(gate.metric)) for gate in gates))


def decide(rulings: tuple[Ruling, ...]) -> Decision:
    """What follows from all rulings.

    One gate that fails makes the verdict fail; otherwise one that is inconclusive makes it
    inconclusive, and so does having no gate.
    """
    found = {ruling.verdict for ruling in rulings}
    if Verdict.FAIL in found:
        return Decision(Verdict.FAIL, rulings)
    if Verdict.INCONCLUSIVE in found or not rulings:
        return Decision(Verdict.INCONCLUSIVE, rulings)
    return Decision(Verdict.PASS, rulings)


def _rule(gate: Gate, metric: metrics.Metric | None) -> Ruling:
    if metric is None:
        return Ruling(gate, Verdict.INCONCLUSIVE, f"{gate.metric} was not measured")
    if metric.n < gate.minimum or metric.value is None or metric.interval is None:
        needed = f"{max(gate.minimum, 1)} are needed"
        if metric.n >= gate.minimum and metric.n:
            needed = "these are too few to say how sure it is"
        reason = f"{metric.name} rests on {metric.n} observations, and {needed}"
        return Ruling(gate, Verdict.INCONCLUSIVE, reason)
    low, high = metric.interval
    if gate.by is By.ESTIMATE:
        verdict, because = _compare_estimate(gate, metric.value)
    else:
        verdict, because = _compare(gate, low, high)
    unit = f" {metric.unit}" if metric.unit else ""
    sure = "" if low == high else f"{100 * metric.level:g}% interval {low:.3f} to {high:.3f}, "
    found = f"{metric.name} is {metric.value:.3f}{unit} ({sure}n = {metric.n})"
    return Ruling(gate, verdict, f"{found}, {because}")


def _compare_estimate(gate: Gate, value: float) -> tuple[Verdict, str]:
    """By the number alone; the reason says that chance was not considered."""
    below, above = value < gate.threshold, value > gate.threshold
    missed = {
        Bound.AT_LEAST: below,
        Bound.AT_MOST: above,
        Bound.EQUAL_TO: below or above,
    }[gate.bound]
    verdict = Verdict.FAIL if missed else Verdict.PASS
    word = "not " if missed else ""
    return verdict, f"{word}{gate.bound} {gate.threshold:.3f} by the estimate alone"


def _compare(gate: Gate, low: float, high: float) -> tuple[Verdict, str]:
    threshold = f"{gate.threshold:.3f}"
    if gate.bound is Bound.EQUAL_TO:
        if low <= gate.threshold <= high:
            return Verdict.PASS, f"which agrees with {threshold}"
        return Verdict.INCONCLUSIVE, f"which does not agree with {threshold}"
    inside, outside, beyond = low >= gate.threshold, high < gate.threshold, "below"
    if gate.bound is Bound.AT_MOST:
        inside, outside, beyond = high <= gate.threshold, low > gate.threshold, "above"
    if inside:
        return Verdict.PASS, f"all of it {gate.bound} {threshold}"
    if outside:
        return Verdict.FAIL, f"all of it {beyond} {threshold}"
    return Verdict.INCONCLUSIVE, f"which is on both sides of {threshold}: too close to tell"

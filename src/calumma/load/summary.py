"""What a run of the generator amounts to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from calumma.load.generator import Outcome

# A request sent later than this after its intended time was late: timers are finer than it.
LATE = 0.010


@dataclass(frozen=True)
class Summary:
    """Rates in requests a second, latencies in seconds from the intended time.

    ``offered`` is the rate that was meant and ``achieved`` that of answers, None where there were
    too few requests to have a rate. ``late`` requests were sent more than 10 ms after their time,
    the worst by ``worst_delay`` seconds: the generator or its machine was busy, and part of their
    latencies is its own. ``latency`` maps the quantiles 0.5, 0.9, 0.95, 0.99 and 1.0 (the maximum)
    of the answers, and is empty without answers.
    """

    requests: int
    answers: int
    failures: Mapping[str, int]
    offered: float | None
    achieved: float | None
    late: int
    worst_delay: float
    latency: Mapping[float, float]

    @property
    def sentence(self) -> str:
        """The summary in a line for a person."""
        offered, achieved = _rate(self.offered), _rate(self.achieved)
        parts = [f"{self.requests} requests{offered}, {self.answers} answers{achieved}"]
        if self.failures:
            kinds = ", ".join(f"{kind}: {n}" for kind, n in self.failures.items())
            parts.append(f"{self.requests - self.answers} failures ({kinds})")
        if self.latency:
            values = [f"p{100 * q:g} {1000 * value:.1f}" for q, value in self.latency.items()]
            parts.append(f"latency in ms: {', '.join(values).replace('p100', 'max')}")
        if self.late:
            parts.append(
                f"{self.late} sent late, by up to {1000 * self.worst_delay:.0f} ms, because "
                "the generator was busy"
            )
        return "; ".join(parts)


def summarise(outcomes: Sequence[Outcome]) -> Summary:
    """The summary of outcomes in the order of their intended times, as the generator gives them."""
    answered = [outcome for outcome in outcomes if outcome.failure is None]
    failures = Counter(outcome.failure for outcome in outcomes if outcome.failure is not None)
    delays = [outcome.delay for outcome in outcomes]
    latencies = np.array([outcome.latency for outcome in answered])
    span = outcomes[-1].intended - outcomes[0].intended if outcomes else 0.0
    end = max((outcome.finished for outcome in outcomes), default=0.0)
    return Summary(
        requests=len(outcomes),
        answers=len(answered),
        failures=dict(sorted(failures.items())),
        offered=(len(outcomes) - 1) / span if span else None,
        achieved=len(answered) / (end - outcomes[0].intended) if span else None,
        late=sum(delay > LATE for delay in delays),
        worst_delay=max(delays, default=0.0),
        latency={
            q: float(np.quantile(latencies, q)) for q in (0.5, 0.9, 0.95, 0.99, 1.0) if answered
        },
    )


def _rate(rate: float | None) -> str:
    return "" if rate is None else f" at {rate:.1f}/s"

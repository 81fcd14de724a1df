"""Readings as sentences, for the status, Events and reports. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from calumma.rollout import policy as policies
from calumma.rollout.state import Reading, Verdict

LONGEST = 86_400_000.0
"""Milliseconds of a day, for a latency that nothing bounds yet."""


def sentence(metric: policies.Metric, reading: Reading) -> str:
    """What is known of a metric, in one sentence.

    ``accuracy: 0.912 against 0.934 of stable; the canary's share of wrong answers is 2.2 points
    higher, between -0.5 and +4.9 at any time: unclear (400 observations against 3600, margin 1
    points, alpha 0.025)``
    """
    if reading.value is None or reading.estimate is None:
        return f"{reading.name}: unclear, as {_missing(reading)}"
    if isinstance(metric, policies.Agreement):
        said = (
            f"both answer alike in {reading.value:.3f} of {reading.n} pairs, between "
            f"{reading.low:.3f} and {reading.high:.3f} at any time, where {metric.at_least:g} is "
            f"demanded: {_agreement(reading)} (alpha {reading.alpha:.3g})"
        )
        return f"{reading.name}: {said}"
    return (
        f"{reading.name}: {_values(metric, reading)} of stable; {_difference(metric, reading)} at "
        f"any time: {_verdict(reading)} ({reading.n} observations against {reading.other_n}, "
        f"margin {_margin(metric, reading)}, alpha {reading.alpha:.3g})"
    )


def division(alpha: float, metrics: Sequence[str]) -> str:
    """How alpha is divided among the metrics."""
    if len(metrics) == 1:
        return f"a canary that is no worse is rolled back with a chance of at most {alpha:g}"
    return (
        f"a canary that is no worse is rolled back with a chance of at most {alpha:g}: "
        f"{alpha / len(metrics):.3g} for each of the {len(metrics)} metrics {', '.join(metrics)}"
    )


def split(declared: float | None, share: float | None, n: int, mismatch: bool) -> str:
    """Whether the canary's share of the requests is the declared one."""
    said = f"the canary got {100 * (share or 0):.2f}% of {n} requests, where "
    said += f"{100 * (declared or 0):.2f}% were declared"
    if mismatch:
        return f"{said}: that is no chance, so the two revisions' requests cannot be compared"
    return f"{said}: as chance would have it"


def _missing(reading: Reading) -> str:
    if reading.n and reading.other_n:
        return "no window has observations of both revisions"
    if not (reading.n or reading.other_n):
        return "nothing is counted yet"
    return f"nothing is counted yet of {'stable' if reading.n else 'the canary'}"


def _values(metric: policies.Metric, reading: Reading) -> str:
    ours, theirs = reading.value or 0.0, reading.other_value or 0.0
    match metric:
        case policies.Correct():
            return f"{1 - ours:.3f} against {1 - theirs:.3f}"
        case policies.Value():
            return f"{ours:.3g} {reading.unit} an answer against {theirs:.3g}"
        case policies.Latency():
            return f"{ours:g} ms against {theirs:g} ms"
        case _:
            return f"{100 * ours:.2f}% against {100 * theirs:.2f}%"


def _difference(metric: policies.Metric, reading: Reading) -> str:
    estimate, low, high = reading.estimate or 0.0, reading.low, reading.high
    match metric:
        case policies.Value():
            subject, scale, unit = "an answer of the canary costs", 1.0, f" {reading.unit} "
            more, less = "more", "less"
        case policies.Latency():
            subject = f"the canary's {100 * metric.quantile:g}th percentile is"
            scale, unit, more, less = 1.0, " ms ", "longer", "shorter"
        case _:
            subject = f"the canary's share of {_bad(metric)} is"
            scale, unit, more, less = 100.0, " points ", "higher", "lower"
    return (
        f"{subject} {abs(scale * estimate):.3g}{unit}{more if estimate >= 0 else less}, "
        f"{_between(scale * low, scale * high)}"
    )


def _bad(metric: policies.Metric) -> str:
    match metric:
        case policies.Errors():
            return "errors"
        case policies.Slow():
            return f"requests slower than {metric.milliseconds:g} ms"
        case _:
            return "wrong answers"


def _between(low: float, high: float) -> str:
    if high < LONGEST / 2:
        return f"between {low:+.3g} and {high:+.3g}" if low > -LONGEST / 2 else f"below {high:+.3g}"
    return f"above {low:+.3g}" if low > -LONGEST / 2 else "with too few pairs for bounds"


def _margin(metric: policies.Metric, reading: Reading) -> str:
    match metric:
        case policies.Value():
            return f"{reading.margin:.3g} {reading.unit}"
        case policies.Latency():
            return f"{100 * metric.margin:g}% of stable's"
        case _:
            return f"{100 * reading.margin:.3g} points"


def _verdict(reading: Reading) -> str:
    if reading.verdict is Verdict.FINE:
        return "worse, but by less than the margin" if reading.low > 0 else "not worse"
    return str(reading.verdict)


def _agreement(reading: Reading) -> str:
    return {
        Verdict.FINE: "enough",
        Verdict.WORSE: "too seldom",
        Verdict.UNCLEAR: "unclear",
    }[reading.verdict]

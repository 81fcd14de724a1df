"""What Prometheus counted of both, compared; and the figures, which are the same each time."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from calumma.canary import figures, observation
from calumma.canary.counts import Counts, Sides
from calumma.feedback.estimation import Curve
from calumma.load.pairs import Pair
from calumma.models import digits
from calumma.scoring import cases


def sides(**canary: object) -> Sides[Counts]:
    latency = {10.0: 90, 100.0: 99, 250.0: 100, math.inf: 100}
    stable = Counts("stable", "r1", 90, "prometheus", 100, latency=latency)
    found = {"requests": 100, "latency": {10.0: 40, 100.0: 60, 250.0: 95, math.inf: 100}, **canary}
    return Sides(stable, Counts("canary", "r2", 10, "prometheus", **found))  # type: ignore[arg-type]


def test_slow_requests_are_counted_at_a_bound_and_not_guessed() -> None:
    bound, (stable, canary, change) = observation.slow(sides(), 60.0)
    assert (bound, stable.count, canary.count) == (100.0, 1, 40)
    assert change.value == pytest.approx(0.39)
    bound, (_, canary, _) = observation.slow(sides(), 100.0)
    assert (bound, canary.count) == (100.0, 40)


@pytest.mark.parametrize("latency", [{}, {20.0: 5, math.inf: 9}])
def test_without_a_common_bound_nothing_is_said(latency: dict[float, int]) -> None:
    bound, found = observation.slow(sides(latency=latency), 60.0)
    assert bound == math.inf
    assert [(each.value, each.n) for each in found] == [(None, 0)] * 3


def test_failures_and_unsure_predictions_are_proportions() -> None:
    table = observation.traffic(sides(failures=20), "change")
    assert [each.count for each in table.metrics] == [0, 20, None]
    assert table.metrics[2].interval is not None and table.metrics[2].interval.low > 0.1
    unsure = observation.unsure(Sides({0.7: 5, math.inf: 100}, {0.7: 30, math.inf: 100}))
    assert [each.count for each in unsure.metrics] == [5, 30, None]
    nothing = observation.unsure(Sides({}, {}))
    assert [each.value for each in nothing.metrics] == [None] * 3


def test_figures_are_the_same_bytes_for_the_same_content() -> None:
    image = digits.png(digits.held_out().images[0])
    case, broken = cases.Case("c1", image, None), cases.Case("c2", b"no image", "7")
    pairs = [
        Pair(
            cases.Answer(each, "7", 0.9, 0.01, "r1", None),
            cases.Answer(each, "1", 0.8, 0.01, "r2", None),
        )
        for each in (case, broken)
    ]
    curve = Curve((0.0, 3.0, 9.0), (0.0, 0.5, 0.6))
    drawings: list[Callable[[], bytes]] = [
        lambda: figures.disagreements(pairs),
        lambda: figures.disagreements([]),
        lambda: figures.mix(Sides({"7": 3}, {"1": 2, "7": 1})),
        lambda: figures.mix(Sides({}, {})),
        lambda: figures.label_delays(Sides(curve, Curve((0.0,), (0.0,)))),
    ]
    for draw in drawings:
        assert draw() == draw()
        assert draw().startswith(b"\x89PNG")
    assert drawings[0]() != drawings[1]()

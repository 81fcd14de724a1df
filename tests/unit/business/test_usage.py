"""Usage: who came, how often, who came back; and what is not known is not zero."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from calumma import errors
from calumma.business import usage
from calumma.feedback import pseudonym
from calumma.scoring import metrics

START = datetime(2026, 11, 2, tzinfo=UTC)
KEY = b"sixteen bytes..."


def use(days: float, user: str | None = "ann") -> usage.Use:
    return usage.Use(START + timedelta(days=days), user, "digits", None, "3", 0.9)


def measured(uses: list[usage.Use], days: float) -> dict[str, metrics.Metric]:
    found = usage.measured(uses, START, START + timedelta(days=days), seed=0)
    return {metric.name: metric for metric in found}


def test_usage_by_hand() -> None:
    uses = [
        *(use(day) for day in (0, 0.1, 7, 8, 14)),  # ann: every week
        *(use(day, "bob") for day in (1, 15)),  # bob: not in the second
        use(9, "cem"),  # cem: only in the second
        use(3, None),
        use(-1),
        use(21),
    ]
    found = measured(uses, 21)
    assert found["requests per day"].value == pytest.approx(9 / 21)
    assert found["requests per day"].n == 9
    known = found["requests whose user is known"]
    assert (known.count, known.n) == (8, 9)
    assert found["unique users"].value == 3
    assert found["requests of a user per day"].value == pytest.approx((5 + 2 + 1) / 3 / 21)
    back = found["users who come back the next week"]
    assert (back.count, back.n) == (2, 4)  # ann twice; bob and cem not
    active = found["active hours"]
    assert (active.count, active.n) == (9, 21 * 24)


def test_a_small_count_is_uncertain() -> None:
    found = measured([use(0), use(1, "bob")], 7)
    assert found["unique users"].interval == pytest.approx((0.2422, 7.2247), abs=1e-4)
    assert measured([use(0)], 7)["requests of a user per day"].interval is None


def test_users_that_are_not_recorded_are_not_known() -> None:
    for uses in ([], [use(0, None), use(1, None)]):
        found = measured(uses, 7)
        assert found["requests per day"].value == len(uses) / 7
        for name in ("unique users", "requests of a user per day"):
            assert (found[name].value, found[name].n, found[name].interval) == (None, 0, None)
        assert found["users who come back the next week"].value is None
    assert usage.unknown_users().value is None
    assert usage.requests(0, 7).value == 0
    assert usage.predictions(10, 28).interval == pytest.approx((4.80, 18.39), abs=0.005)


def test_another_key_gives_the_same_numbers() -> None:
    end = START + timedelta(days=1)
    users = ["abcd"[n % 4 * n % 3] for n in range(40)]
    first, second = (
        usage.measured(
            [use(n / 40, pseudonym.of(user, key)) for n, user in enumerate(users)],
            START,
            end,
            seed=0,
        )
        for key in (KEY, KEY[::-1])
    )
    assert first == second


def test_hours_and_times_that_make_no_sense() -> None:
    assert usage.by_hour([use(0), use(0.5), use(1.5)])[12] == 2
    with pytest.raises(errors.EvaluationError, match="nothing is between"):
        usage.measured([], START, START, seed=0)

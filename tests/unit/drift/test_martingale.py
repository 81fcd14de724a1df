"""The detector that may be looked at after every image: what it promises, and how soon it sees."""

from __future__ import annotations

import numpy as np
from scipy import stats

from calumma.drift import martingale


def test_p_values_without_drift_are_uniform_and_independent() -> None:
    generator = np.random.default_rng(0)
    scores = generator.normal(size=3000).round(1)  # with ties
    found = martingale.p_values(scores[:200], scores[200:], seed=1)
    assert stats.kstest(found, "uniform").pvalue > 0.01
    assert abs(np.corrcoef(found[1:], found[:-1])[0, 1]) < 0.06


def test_the_largest_score_has_the_smallest_p_value() -> None:
    found = martingale.p_values(np.arange(99.0), np.array([1000.0, -1000.0]), seed=0)
    assert 0 <= found[0] <= 1 / 100
    assert 1 - 1 / 101 <= found[1] <= 1


def test_the_capital_of_a_fair_game_stays_fair() -> None:
    """Its expectation is 1 after any number of bets: here after a few, where means are stable."""
    games = np.random.default_rng(2).uniform(size=(4000, 5))
    last = np.array([martingale.capital(game)[-1] for game in games])
    assert abs(last.mean() - 1) < 0.1


def test_it_seldom_wins_however_long_it_plays() -> None:
    games = np.random.default_rng(3).uniform(size=(200, 2000))
    won = sum(martingale.capital(game).max() >= 20 for game in games)
    assert won <= stats.binom.ppf(0.999, 200, 0.05)


def test_the_time_to_a_false_alarm_is_at_least_as_promised() -> None:
    games = np.random.default_rng(4).uniform(size=(100, 1500))
    times = []
    for game in games:
        reached = np.flatnonzero(martingale.run_length(game) >= 100)
        times.append(int(reached[0]) + 1 if reached.size else game.size)
    assert np.mean(times) >= 100


def test_it_sees_a_change_soon_and_a_larger_one_sooner() -> None:
    generator = np.random.default_rng(5)
    delays = []
    for shift in (1.0, 3.0, -3.0):
        seen = []
        for _ in range(30):
            reference, current = generator.normal(size=200), generator.normal(size=300) + shift
            paths = martingale.test(
                "online", {"score": reference}, {"score": current}, alpha=0.05, seed=6
            )[1]
            seen.append(paths[0].crossing(20) or 1000)
        delays.append(float(np.median(seen)))
    assert delays[0] < 40 and max(delays[1:]) < 12


def test_a_drift_that_never_ends_does_not_overflow() -> None:
    assert np.isfinite(martingale.capital(np.zeros(5000))).all()
    assert np.isfinite(martingale.capital(np.ones(5000))).all()

"""Mixtures against the reference numbers of their authors, and their promise by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest

from calumma import errors
from calumma.statistics import boundaries, mixtures, proportions

# All for v_opt = 100 and alpha = 0.05, at s = 10 and v = 100: the values that the authors' own
# test suite took from an implementation in R.
REFERENCES = [
    (mixtures.Normal(100, one_sided=False), -0.6510052, 30.35209),
    (mixtures.Normal(100), -0.06502391, 27.66071),
    (mixtures.GammaExponential(100, c=2), -0.2490165, 33.02017),
    (mixtures.GammaPoisson(100, c=2), -0.06991219, 30.1949),
    (mixtures.BetaBinomial(100, 0.2, 0.8, one_sided=False), -0.6941012, 31.4308),
    (mixtures.BetaBinomial(100, 0.2, 0.8), -0.07134019, 28.41238),
]


@pytest.mark.parametrize(("mixture", "evidence", "bound"), REFERENCES)
def test_the_references(mixture: mixtures.Mixture, evidence: float, bound: float) -> None:
    assert mixture.log_evidence(10, 100) == pytest.approx(evidence, abs=1e-6)
    assert mixtures.bound(mixture, 100, 0.05) == pytest.approx(bound, abs=1e-5)


def test_the_best_precision_and_a_bound_that_is_the_largest_sum() -> None:
    assert mixtures.tuned(100, 0.05, one_sided=False) == pytest.approx(12.60056, abs=1e-5)
    mixture = mixtures.BetaBinomial(100, 0.2, 0.8)
    assert mixtures.bound(mixture, 2 * 0.2 * 0.8, 0.05) == pytest.approx(1.6, abs=1e-9)


def test_the_references_in_closed_form() -> None:
    assert boundaries.stitched(100, 0.05, v_min=10, c=3) == pytest.approx(64.48755, abs=1e-5)
    assert boundaries.stitched(100, 0.05, v_min=10, c=-1) == pytest.approx(28.99389, abs=1e-5)
    assert boundaries.distribution(1000, 0.05, t_min=100) == pytest.approx(0.08204769, abs=1e-6)
    assert boundaries.distribution(99, 0.05, t_min=100) == math.inf
    for p, bound in ((0.5, 68.62803), (0.9, 43.72119), (0.1, 59.96521)):
        assert boundaries.quantile(p, 1000, 0.05, t_opt=100) == pytest.approx(bound, abs=1e-5)


@pytest.mark.parametrize(
    ("successes", "n", "n_opt", "low", "high"),
    [
        (700, 1000, 100, 0.651629, 0.745949),
        (15, 50, 50, 0.129556, 0.511896),
        (5, 50, 50, 0.013021, 0.269264),
        (1, 50, 50, 0.0, 0.13489),
        (100, 200, 1, 0.328923, 0.671076),
        (1, 2, 50, 0.0, 1.0),
        (0, 1, 50, 0.0, 1.0),
        (1, 1, 50, 0.0, 1.0),
        (0, 0, 50, 0.0, 1.0),
    ],
)
def test_a_proportion(successes: int, n: int, n_opt: int, low: float, high: float) -> None:
    found = proportions.sequential(successes, n, n_opt=n_opt)
    assert found == pytest.approx((low, high), abs=2e-6)


def test_evidence_against_the_truth_is_rarely_ever_large() -> None:
    """Ville: beyond 1 / alpha at any of 2000 looks in at most alpha of all runs."""
    generator = np.random.default_rng(5)
    p, runs, looks, alpha = 0.3, 400, 2000, 0.1
    mixture = mixtures.BetaBinomial(300 * p * (1 - p), p, 1 - p, alpha)
    rejected = 0
    for _ in range(runs):
        sums = np.cumsum(generator.random(looks) < p) - p * np.arange(1, looks + 1)
        rejected += any(
            mixture.log_evidence(float(sums[at]), p * (1 - p) * (at + 1)) >= math.log(1 / alpha)
            for at in range(0, looks, 20)
        )
    assert 0 < rejected / runs <= alpha + 2 * math.sqrt(alpha * (1 - alpha) / runs)


@pytest.mark.parametrize(("v_opt", "alpha"), [(0.0, 0.05), (100.0, 0.0), (100.0, 1.0)])
def test_an_impossible_time_or_level_is_refused(v_opt: float, alpha: float) -> None:
    with pytest.raises(errors.EvaluationError, match="must be positive"):
        mixtures.tuned(v_opt, alpha, one_sided=True)

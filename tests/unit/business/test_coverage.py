"""Intervals hold the truth as often as they say, by simulation."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from calumma.business import consequences, estimate, multireader, tally
from calumma.business.assumptions import Values
from calumma.business.valuemodel import ValueModel
from calumma.evaluation import document

from .conftest import content

RUNS = 400
LEAST = 0.93


def test_the_readers_interval_holds_the_truth() -> None:
    """Over readers and cases that are both drawn from populations, hard cases hard for all."""
    generator = np.random.default_rng(20)
    held: Counter[str] = Counter()
    readers, cases = 6, 120
    for _run in range(RUNS):
        skill = generator.normal(0, 0.4, (readers, 1))
        hard = generator.normal(0, 0.8, (1, cases))
        noise = generator.normal(0, 1, (2, readers, cases))
        total = np.sqrt(0.4**2 + 0.8**2 + 1)
        # Of all readers and cases 10% of findings are missed alone, and 7% otherwise.
        alone, other = (
            (skill + hard + each > -total * quantile).astype(float)
            for each, quantile in zip(noise, (-1.2816, -1.4758), strict=True)
        )
        one = multireader.rate("missed", alone)
        change = multireader.difference("change", other, alone)
        assert one.interval is not None and change.interval is not None
        held["rate"] += one.interval.low <= 0.1 <= one.interval.high
        held["change"] += change.interval.low <= 0.07 - 0.1 <= change.interval.high
    assert min(held.values()) >= LEAST * RUNS, held


SHARES = {
    "rare mistakes": {("f", "n"): 0.02, ("n", "f"): 0.01, ("f", "g"): 0.01},
    "many mistakes": {("f", "n"): 0.15, ("n", "f"): 0.10, ("g", "f"): 0.2},
}


@pytest.mark.parametrize("kind", SHARES)
def test_the_value_interval_holds_the_truth(kind: str) -> None:
    """Sampling error alone at fixed assumptions, and both where the assumptions are true draws.

    Over 3000 runs each kind holds it in 93.8% to 95.5%.
    """
    changes = {
        "minutes_alone": (2.0, 1.5, 3.0),
        "catches": (0.5, 0.2, 0.9),
        "missed": {"f": (50, 20, 90), "g": (5, 1, 10)},
        "false_alarm": {"f": 10, "g": 10},
    }
    model = document.check(content(classes=["n", "f", "g"], **changes), ValueModel, "the model")
    generator = np.random.default_rng(11)
    truth = true_shares(SHARES[kind], model)
    held: Counter[str] = Counter()
    for run in range(RUNS):
        counts = generator.multinomial(600, truth.ravel()).reshape(truth.shape)
        found = estimate.of(tally.Tally(model.classes, counts), model, seed=run, draws=1000)
        nature = {
            name: float(each.assumption.draw(name, 10_000_000 + run, 1)[0])
            for name, each in model.described()
        }
        for words, inputs, given in (
            ("sampling", found.sampling, model.best_guess()),
            ("both", found.both, nature),
        ):
            real = consequences.follow(truth, model, given)
            drawn = found.follow(inputs)
            for name in ("effect", "minutes_saved", "missed_assisted"):
                value = float(getattr(found.follow(found.best), name))
                metric = estimate.metric(name, value, getattr(drawn, name), 600)
                assert metric.interval is not None
                low, high = metric.interval
                held[f"{words} {name}"] += low <= float(getattr(real, name)) <= high
    assert len(held) == 6
    assert min(held.values()) >= LEAST * RUNS, held


def true_shares(mistakes: dict[tuple[str, str], float], model: ValueModel) -> Values:
    """Shares of a model with these mistakes, of which it is less often sure; some fail."""
    n = len(model.classes)
    shares = np.zeros((n, n + 1, 2))
    for i, (true, mix) in enumerate(zip(model.classes, (0.6, 0.25, 0.15), strict=True)):
        rates = {said: rate for (one, said), rate in mistakes.items() if one == true}
        shares[i, n, 0] = 0.01 * mix
        for j, said in enumerate(model.classes):
            rate = 1 - sum(rates.values()) if said == true else rates.get(said, 0.0)
            sure = 0.8 if said == true else 0.4
            shares[i, j] = 0.99 * mix * rate * np.array([1 - sure, sure])
    assert shares.sum() == pytest.approx(1)
    return shares

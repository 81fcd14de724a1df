"""How often the drift detectors alarm: without drift (false alarms), and with more and more of it.

Real digits that the model has never seen are divided at random into a reference and a current side;
for power the current side is shifted on purpose. The rules of thumb that are in use are measured
beside the detectors. Then the accuracy that is estimated without labels: how often its interval
holds the accuracy that labels show, under covariate shift and under concept drift.

``python benchmarks/drift.py`` prints the tables and writes ``drift-*.png`` into ``--figures``; a
part of it can be named. The seeds are fixed. Runs are divided among ``--processes``.
"""

from __future__ import annotations

import argparse
import io
import itertools
import os
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.linear_model import LogisticRegression

from calumma import datasets
from calumma.drift import battery, figures, performance, rehearsal, shifts, sides, thumb
from calumma.models import digits
from calumma.scoring import cases, metrics

ALPHA = 0.05
DETECTORS = battery.DETECTORS
SIZES = (50, 100, 250)
SHIFTS = {
    "brightness": (1.0, 1.03, 1.06, 1.1, 1.2),
    "blur": (0.0, 0.8, 1.2, 1.6, 2.0),
    "noise": (0.0, 0.03, 0.06, 0.1, 0.2),
    "labels": (0.0, 0.3, 0.5, 0.7, 0.9),
    "subpopulation": (0.0, 0.3, 0.5, 0.7, 0.9),
    "outliers": (0.0, 0.03, 0.06, 0.1, 0.2),
}


@cache
def model() -> LogisticRegression:
    """A model that has learned from the training images."""
    images, labels = digits.training()
    return LogisticRegression(max_iter=200).fit(images.reshape(len(images), -1) / 255, labels)


@cache
def shifted(kind: str, amount: float) -> tuple[sides.Side, NDArray[np.int64]]:
    """All held-out images after a shift, and for each which held-out image it was."""
    population = datasets.held_out(digits.NAME)
    place = {case.id: number for number, case in enumerate(population)}
    found = shifts.apply({kind: amount} if amount else {}, population, seed=1)
    return side(found), np.array([place[case.id] for case in found])


def side(found: Sequence[cases.Case]) -> sides.Side:
    """What the model answers to these images."""
    pixels = []
    for case in found:
        with Image.open(io.BytesIO(case.image)) as image:
            small = image.convert("L").resize((8, 8))
        pixels.append(np.asarray(small, dtype=np.float64).ravel() / 255)
    rows = model().predict_proba(pixels)
    return sides.of(
        [
            cases.Answer(case, str(row.argmax()), float(row.max()), 0.0, None, None, tuple(row))
            for case, row in zip(found, rows, strict=True)
        ]
    )


class Alarms(NamedTuple):
    """Who alarmed in a run: each at alpha by itself, and the detectors with alpha shared.

    ``delay`` is the number of images until the online detector alarmed, by itself; None if never.
    """

    alone: set[str]
    shared: set[str]
    delay: int | None


def one_run(kind: str, amount: float, n: int, by_thumb: bool, seed: int) -> Alarms:
    """Who alarms on ``n`` images of each side, drawn by the seed."""
    whole, _ = shifted(kind, 0.0)
    current, origin = shifted(kind, amount)
    order = np.random.default_rng([n, seed]).permutation(len(whole.answers))
    rest = np.flatnonzero(np.isin(origin, order[n:]))
    drawn = np.random.default_rng([n, seed, 1]).permutation(rest)[:n]
    before, now = whole.some(order[:n]), current.some(drawn)
    found = battery.detect(before, now, battery.Settings(DETECTORS, ALPHA, 50, 199, seed))
    alone = {each.name for each in found.detections if each.p_value <= ALPHA}
    if by_thumb:
        alone |= {name for name, rule in thumb.RULES.items() if rule(before, now, seed)}
    delays = [path.crossing(len(found.paths) / ALPHA) for path in found.paths]
    return Alarms(
        alone,
        {each.name for each in found.detections if each.alarm},
        min((each for each in delays if each is not None), default=None),
    )


def false_alarms(pool: Executor, runs: int) -> list[metrics.Metric]:
    """Print and give the rates without drift, each detector alone at alpha."""
    drawn: list[metrics.Metric] = []
    for n in SIZES:
        found = list(pool.map(partial(one_run, "blur", 0.0, n, True), range(runs), chunksize=10))
        rows = Counter(name for each in found for name in each.alone)
        together = f"{rehearsal.ANY}, alpha shared"
        rows[together] = sum(bool(each.shared) for each in found)
        print(f"\nfalse alarms at alpha = {ALPHA}, {n} images a side, {runs} runs")
        for name in (*DETECTORS, together, *thumb.RULES):
            rate = metrics.proportion(f"n={n} of {name}", rows[name], runs)
            assert rate.interval is not None
            low, high = rate.interval
            print(f"  {rows[name] / runs:6.3f}  ({low:.3f} to {high:.3f})  {name}", flush=True)
            drawn.append(rate)
    return drawn


def powers(pool: Executor, runs: int) -> dict[int, dict[str, dict[str, list[tuple[float, float]]]]]:
    """Print and give the share of alarms by size, kind of shift, detector and amount."""
    found: dict[int, dict[str, dict[str, list[tuple[float, float]]]]] = {}
    for n, (kind, amounts) in itertools.product(SIZES, SHIFTS.items()):
        curves: dict[str, list[tuple[float, float]]] = {name: [] for name in DETECTORS}
        for amount in amounts:
            one = partial(one_run, kind, 0.0 if amount == amounts[0] else amount, n, False)
            found_in = list(pool.map(one, range(runs), chunksize=10))
            for name, points in curves.items():
                points.append((amount, sum(name in each.shared for each in found_in) / runs))
        print(f"\npower: {kind}, {n} images a side, {runs} runs, alpha shared; {amounts}")
        for name, points in curves.items():
            print(f"  {name:12}" + "".join(f"{share:8.2f}" for _, share in points))
        found.setdefault(n, {})[kind] = curves
    return found


def delays(pool: Executor, runs: int, n: int = 250) -> dict[str, list[tuple[float, float]]]:
    """Print and give the median number of images until the online detector alarms."""
    curves: dict[str, list[tuple[float, float]]] = {}
    print(f"\nimages until the online detector alarms, by itself, at most {n}, {runs} runs")
    for kind, amounts in SHIFTS.items():
        curves[kind] = []
        for place, amount in enumerate(amounts[1:], 1):
            one = partial(one_run, kind, amount, n, False)
            found = [each.delay or np.inf for each in pool.map(one, range(runs), chunksize=10)]
            seen = sum(np.isfinite(found)) / runs
            middle = float(np.median(found))
            print(f"  {kind} {amount:5}: median {middle:5.0f}, found in {seen:.0%}", flush=True)
            if np.isfinite(middle):
                curves[kind].append((place, middle))
    return curves


def coverage(harder: float, wrong: float, seed: int) -> tuple[bool, bool]:
    """Whether the estimate's interval holds the measured accuracy, and whether it is trusted.

    The model is over-confident. ``harder`` moves the images towards hard ones; ``wrong`` is the
    share of right answers that became wrong for the same images.
    """
    generator = np.random.default_rng([seed, int(100 * harder) + 1000, int(100 * wrong)])
    estimator = performance.Estimator(*_answers(generator, 300, 0.0, 0.0), seed=seed)
    confidence, right = _answers(generator, 300, harder, wrong)
    found = estimator.estimate("", performance.Current(confidence, np.zeros(300, dtype=bool)))
    assert found.interval is not None
    return found.interval.low <= right.mean() <= found.interval.high, estimator.reason is None


def _answers(
    generator: np.random.Generator, n: int, harder: float, wrong: float
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    ease = generator.normal(size=n) + 1.5 - harder
    right = generator.uniform(size=n) < (1 - wrong) / (1 + np.exp(-1.2 * ease))
    return 0.1 + 0.9 / (1 + np.exp(-2.0 * ease)), right


def coverages(pool: Executor, runs: int) -> None:
    """Print how often the estimated accuracy's interval holds the measured one."""
    print(f"\nestimated accuracy: how often its 95% interval holds the measured one, {runs} runs")
    for harder, wrong in (
        (0, 0),
        (-1, 0),
        (0.5, 0),
        (1, 0),
        (1.5, 0),
        (0, 0.05),
        (0, 0.1),
        (0, 0.3),
    ):
        results = list(pool.map(partial(coverage, harder, wrong), range(runs), chunksize=10))
        held = metrics.proportion("", sum(held for held, _ in results), runs)
        trusted = sum(trusted for _, trusted in results)
        assert held.interval is not None and held.value is not None
        print(
            f"  images harder by {harder:4}, {wrong:4.0%} of right answers now wrong: "
            f"{held.value:.3f} ({held.interval.low:.3f} to {held.interval.high:.3f}), "
            f"trusted in {trusted}"
        )


def main() -> None:
    """Measure what is asked for, or all of it."""
    parts = ("false-alarms", "power", "delays", "coverage")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=parts, choices=parts)
    parser.add_argument("--runs", type=int, default=1000, help="for each rate and coverage")
    parser.add_argument("--power-runs", type=int, default=100, help="for each point of a curve")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--figures", type=Path, default=Path("docs"))
    asked = parser.parse_args()
    asked.figures.mkdir(parents=True, exist_ok=True)
    begin = time.monotonic()
    with ProcessPoolExecutor(asked.processes) as pool:
        if "false-alarms" in asked.parts:
            rates = false_alarms(pool, asked.runs)[-len(DETECTORS) - 1 - len(thumb.RULES) :]
            label = f"share of {asked.runs} runs without drift that alarmed, {SIZES[-1]} images"
            draw(asked.figures, "drift-false-alarms", figures.rates(rates, ALPHA, label))
        if "power" in asked.parts:
            for n, curves in powers(pool, asked.power_runs).items():
                draw(asked.figures, f"drift-power-{n}", figures.power(curves, ALPHA))
        if "delays" in asked.parts:
            draw(asked.figures, "drift-delays", figures.delays(delays(pool, asked.power_runs)))
        if "coverage" in asked.parts:
            coverages(pool, asked.runs)
    print(f"\n{time.monotonic() - begin:.0f} s; figures in {asked.figures}")


def draw(folder: Path, name: str, content: bytes) -> None:
    """Write a figure."""
    (folder / f"{name}.png").write_bytes(content)


if __name__ == "__main__":
    main()

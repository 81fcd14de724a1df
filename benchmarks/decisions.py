"""Which canaries a rule rolls back: identical ones, and ones whose answers are worse.

A canary gets 10% of the traffic, and 25 times one looks at the labelled answers of both revisions.
Stable is right in 90 of 100. The rules are Calumma's (planned for 600 answers of the canary, and
without a plan), thresholds as Argo Rollouts and Flagger have them, written anew here, and a z-test
that is repeated at every look. Then the same where the canary's share grows from 10% to 50% in the
moment in which the day gets harder for both.

``python benchmarks/decisions.py`` prints the tables and writes ``rollouts-*.png`` into
``--figures``. The seeds are fixed. Runs are divided among ``--processes``.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor, ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from calumma.rollout import course, figures, judgement, policy
from calumma.rollout.state import Tally, Verdict, Window
from calumma.scoring import metrics as scores
from calumma.scoring.figures import INK, PALETTE, WARNING, drawing, png
from calumma.statistics import windows
from calumma.statistics.designs import Design

LOOKS, SOON = 25, 6
STABLE, MARGIN, ALPHA, PLANNED = 0.10, 0.03, 0.05, 600
CANARIES = (0.10, 0.13, 0.15)
SIZES = (20, 100, 400)
NEVER = LOOKS + 1

Counts = NDArray[np.int64]
Rates = NDArray[np.float64]


class Traffic(NamedTuple):
    """Answers and wrong ones of many runs: the sizes [looks], the wrong ones [runs, looks]."""

    n: Counts
    wrong: Counts
    other_n: Counts
    other_wrong: Counts


class Outcome(NamedTuple):
    """The look of the rollback, ``NEVER`` without one, and whether it was promoted; for each run.

    Rules that promote what they did not roll back promote at the end.
    """

    rollback: Counts
    promoted: NDArray[np.bool_]


Rule = Callable[[Traffic], Outcome]


def drawn(seed: Iterable[int], runs: int, n: Counts, other_n: Counts, rates: Rates) -> Traffic:
    """Simulated traffic, where ``rates`` are both arms' shares of wrong answers [2, looks]."""
    generator = np.random.default_rng([*seed])
    ours, theirs = (
        generator.binomial(size, rate, (runs, LOOKS))
        for size, rate in zip((n, other_n), rates, strict=True)
    )
    return Traffic(n, ours, other_n, theirs)


def first(rolled_back: NDArray[np.bool_]) -> Outcome:
    """The outcome of a rule that would roll back at these looks [runs, looks]."""
    ever = rolled_back.any(axis=1)
    return Outcome(np.where(ever, rolled_back.argmax(axis=1) + 1, NEVER), ~ever)


def ours(planned: int | None, traffic: Traffic) -> Outcome:
    """Calumma's: of a metric with a margin of 3 points."""
    design = Design(ALPHA, planned)
    rollback, promoted = [], []
    for wrong, other_wrong in zip(traffic.wrong, traffic.other_wrong, strict=True):
        counts = zip(traffic.n, wrong, traffic.other_n, other_wrong, strict=True)
        found = windows.follow((windows.Window(*map(int, each)) for each in counts), design)
        verdicts = [judgement.verdict(each, MARGIN) for each in found]
        worse = next((k for k, each in enumerate(verdicts, 1) if each is Verdict.WORSE), NEVER)
        fine = next((k for k, each in enumerate(verdicts, 1) if each is Verdict.FINE), NEVER)
        rollback.append(worse)
        promoted.append(fine < worse)
    return Outcome(np.array(rollback), np.array(promoted))


def threshold(failures: int, traffic: Traffic) -> Outcome:
    """Back at the so-manieth window in which the canary alone is right in less than 87%."""
    below = 1 - traffic.wrong / traffic.n < 1 - STABLE - MARGIN
    return first(below.cumsum(axis=1) >= failures)


def peeking(traffic: Traffic) -> Outcome:
    """Back at the first look at which a one-sided z-test of all answers has p < 0.05."""
    n, other_n = traffic.n.cumsum(), traffic.other_n.cumsum()
    wrong, other_wrong = traffic.wrong.cumsum(axis=1), traffic.other_wrong.cumsum(axis=1)
    pooled = (wrong + other_wrong) / (n + other_n)
    deviation = np.sqrt(np.maximum(pooled * (1 - pooled), 1e-12) * (1 / n + 1 / other_n))
    return first((wrong / n - other_wrong / other_n) / deviation > 1.6449)


RULES: dict[str, Rule] = {
    f"Calumma, planned for {PLANNED}": partial(ours, PLANNED),
    "Calumma, without a plan": partial(ours, None),
    "Argo's default: 1 failure": partial(threshold, 1),
    "Argo, failureLimit 3": partial(threshold, 4),
    "Flagger, threshold 10": partial(threshold, 10),
    "z-test at every look": peeking,
}


def simulated(seed: int, runs: int, n: int, rate: float) -> dict[str, Outcome]:
    """What the rules do with the same runs of a canary that is wrong with this rate."""
    rates = np.array([[rate] * LOOKS, [STABLE] * LOOKS])
    sizes = np.full(LOOKS, n)
    traffic = drawn((seed, n, round(1000 * rate)), runs, sizes, 9 * sizes, rates)
    return {name: rule(traffic) for name, rule in RULES.items()}


def changing(seed: int, runs: int) -> dict[str, Outcome]:
    """The same for an identical canary whose share grows while the day gets harder."""
    grown = np.arange(LOOKS) >= 8
    n = np.where(grown, 500, 100)
    rates = np.where(grown, 0.15, STABLE)
    traffic = drawn((seed, 7), runs, n, 1000 - n, np.array([rates, rates]))
    return {name: rule(traffic) for name, rule in RULES.items()}


def gathered(
    pool: Executor, one: Callable[[int, int], dict[str, Outcome]], runs: int
) -> dict[str, Outcome]:
    """The outcomes of so many runs, divided among the processes."""
    part = 100
    parts = list(pool.map(one, range(runs // part), [part] * (runs // part)))
    return {
        name: Outcome(
            *(np.concatenate(each) for each in zip(*(p[name] for p in parts), strict=True))
        )
        for name in RULES
    }


def share(found: NDArray[np.bool_]) -> str:
    """A share with its 95% interval."""
    rate = scores.proportion("", int(found.sum()), found.size)
    assert rate.value is not None and rate.interval is not None
    return f"{rate.value:.3f} ({rate.interval.low:.3f} to {rate.interval.high:.3f})"


def row(name: str, found: dict[float, Outcome]) -> str:
    """A rule's line: false rollbacks, promotions, then what is found of each worse canary."""
    same = found[STABLE]
    cells = [name, share(same.rollback < NEVER), f"{same.promoted.mean():.3f}"]
    for rate in CANARIES[1:]:
        at = found[rate].rollback
        median = f"{np.median(at[at < NEVER]):.0f}" if (at < NEVER).any() else "-"
        cells += [share(at <= SOON), f"{(at < NEVER).mean():.3f}", median]
        cells.append(f"{found[rate].promoted.mean():.3f}")
    return f"| {' | '.join(cells)} |"


def tables(pool: Executor, runs: int) -> dict[int, dict[float, dict[str, Outcome]]]:
    """Print and give what the rules do at each size of a window."""
    gained: dict[int, dict[float, dict[str, Outcome]]] = {}
    for n in SIZES:
        begin = time.monotonic()
        gained[n] = {
            rate: gathered(pool, partial(simulated, n=n, rate=rate), runs) for rate in CANARIES
        }
        print(f"\n{n} answers of the canary a window, {runs} runs, {LOOKS} looks")
        header = "| rule | false rollback | promoted |"
        for rate in CANARIES[1:]:
            header += f" 0.90 to {1 - rate:.2f}, by look {SOON} | ever | median look | promoted |"
        print(header + "\n|" + "---|" * (header.count("|") - 1))
        for name in RULES:
            print(row(name, {rate: found[name] for rate, found in gained[n].items()}))
        print(f"({time.monotonic() - begin:.0f} s)", flush=True)
    return gained


def bounds() -> bytes:
    """The bounds of a better, an equal and a worse canary, one run each, as reports show them."""
    metrics: list[policy.Metric] = []
    courses: dict[str, list[course.Look]] = {}
    for rate in (0.07, 0.10, 0.15):
        metric = policy.Correct(
            kind="correct",
            name=f"right in {100 - round(100 * rate)} of 100",
            source="feedback",
            margin=MARGIN,
            planned=PLANNED,
        )
        sizes = np.full(LOOKS, 100)
        rates = np.array([[rate] * LOOKS, [STABLE] * LOOKS])
        traffic = drawn((3, round(100 * rate)), 1, sizes, 9 * sizes, rates)
        seen = Tally()
        for n, wrong, other_n, other_wrong in zip(
            traffic.n, traffic.wrong[0], traffic.other_n, traffic.other_wrong[0], strict=True
        ):
            window = Window(
                step=0,
                n=int(n),
                events=int(wrong),
                other_n=int(other_n),
                other_events=int(other_wrong),
            )
            seen = judgement.add(seen, Tally(windows=(window,)))
            reading = judgement.read(metric, seen, ALPHA)
            courses.setdefault(metric.name, []).append(course.Look(0, reading))
        metrics.append(metric)
    return figures.bounds(metrics, courses)


def curves(found: Mapping[str, Outcome]) -> bytes:
    """For each rule, the share of identical canaries that it has rolled back by each look."""
    lines = ("-", "--", "-.", ":", (0, (1, 1)), (0, (5, 1, 1, 1)))
    colours = (*PALETTE, INK, "#8a5a00")
    looks = range(1, LOOKS + 1)
    with drawing(6.4, 3.0) as figure:
        axes = figure.subplots()
        for colour, line, (name, outcome) in zip(colours, lines, found.items(), strict=True):
            shares = [float((outcome.rollback <= look).mean()) for look in looks]
            axes.plot(looks, shares, linestyle=line, color=colour, label=name)
        axes.axhline(ALPHA, color=WARNING, linewidth=1, linestyle="--")
        axes.set_xlabel("looks")
        axes.set_ylabel("share of identical canaries\nrolled back so far")
        axes.set_ylim(0, 1.02)
        axes.grid(color="#d9dee3", linewidth=0.6)
        figure.legend(frameon=False, fontsize=8, loc="outside right upper")
        return png(figure)


def main() -> None:
    """Measure, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=4000, help="for each size and canary")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--figures", type=Path, default=Path("docs"))
    asked = parser.parse_args()
    asked.figures.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(asked.processes) as pool:
        gained = tables(pool, asked.runs)
        print(f"\nan identical canary, share and day change at look 9, {asked.runs} runs")
        for name, found in gathered(pool, changing, asked.runs).items():
            print(f"| {name} | {share(found.rollback < NEVER)} | {found.promoted.mean():.3f} |")
    (asked.figures / "rollouts-bounds.png").write_bytes(bounds())
    (asked.figures / "rollouts-false.png").write_bytes(curves(gained[100][STABLE]))


if __name__ == "__main__":
    main()

"""What was measured, as counts, and which shares they leave plausible.

A case with a known label is counted by three things: what it is, what was said of it (or that no
answer came), and whether the model was sure enough that nobody would have looked.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calumma import errors
from calumma.business.assumptions import Values
from calumma.business.valuemodel import ValueModel
from calumma.scoring import cases, metrics

_JEFFREYS = 0.5


@dataclass(frozen=True)
class Tally:
    """``counts[true, said, accepted]``, integers with shape [classes, classes + 1, 2].

    The last ``said`` is a request that failed, which is never accepted.
    """

    classes: tuple[str, ...]
    counts: NDArray[np.int64]

    @property
    def n(self) -> int:
        """How many labelled cases there are."""
        return int(self.counts.sum())

    @property
    def shares(self) -> Values:
        """The counts as shares of all cases; zeros where there is no case."""
        return self.counts / max(self.n, 1)

    def rows(self) -> list[list[Any]]:
        """The counts that are not zero, as (true, said, accepted, count), for a report."""
        said = (*self.classes, metrics.FAILED)
        return [
            [self.classes[i], said[j], bool(k), int(self.counts[i, j, k])]
            for i, j, k in np.argwhere(self.counts).tolist()
        ]


def of_rows(rows: Iterable[Sequence[Any]], model: ValueModel) -> Tally:
    """The tally that :meth:`Tally.rows` wrote.

    Raises :class:`~calumma.errors.EvaluationError` for a class that the model does not know.
    """
    counts = _empty(model)
    for true, said, accepted, count in rows:
        place = len(model.classes) if said == metrics.FAILED else _index(said, model)
        counts[_index(true, model), place, int(accepted)] += int(count)
    return Tally(model.classes, counts)


def of_answers(answers: Iterable[cases.Answer], model: ValueModel) -> Tally:
    """Count answers to labelled cases; each case once.

    Raises :class:`~calumma.errors.EvaluationError` for a label that the value model does not know,
    and for a class of the value model of which nobody ever heard: it is misspelt.
    """
    counts, heard = _empty(model), set()
    for answer in cases.distinct(answers):
        if answer.label is not None:
            heard.add(answer.label)
            _index(answer.label, model)
        if answer.case.label is None:
            continue
        heard.add(answer.case.label)
        said = len(model.classes) if answer.label is None else _index(answer.label, model)
        counts[_index(answer.case.label, model), said, _accepted(answer, model)] += 1
    strange = [name for name in model.missed if heard and name not in heard]
    if strange:
        raise errors.EvaluationError(
            f"the value model's findings {', '.join(strange)} are neither among the labels of the "
            f"data nor among the answers; there are {', '.join(sorted(heard))}"
        )
    return Tally(model.classes, counts)


def accepted(found: Tally) -> metrics.Metric:
    """The share of cases in which nobody would have looked."""
    return metrics.proportion(
        "accepted without a person", int(found.counts[:, :, 1].sum()), found.n
    )


def plausible(found: Tally, model: ValueModel, seed: int, draws: int) -> Values:
    """Draws from the posterior of the shares, shape [draws, classes, classes + 1, 2].

    A Dirichlet distribution with Jeffreys' prior (one half) on each *kind* of outcome (right,
    missed, false alarm, another mistake, failed), divided evenly among the cells of that kind. One
    half on each of the many cells instead would add more mistakes than a good model makes; nothing
    on them would make mistakes that were not seen impossible.
    Source: H. Jeffreys, Theory of Probability (1961), section 3.10; the aggregation property of the
    Dirichlet distribution makes each kind's share a Beta with Jeffreys' prior.
    """
    kinds = kinds_of(model)
    numbers, sizes = np.unique(kinds[kinds >= 0], return_counts=True)
    prior = np.zeros(kinds.shape)
    for number, size in zip(numbers, sizes, strict=True):
        prior[kinds == number] = _JEFFREYS / size
    generator = np.random.default_rng([seed, 0])
    weights = generator.standard_gamma(found.counts + prior, (draws, *prior.shape))
    shares: Values = weights / weights.sum(axis=(1, 2, 3), keepdims=True)
    return shares


def kinds_of(model: ValueModel) -> NDArray[np.int64]:
    """The kind of each cell, shape [classes, classes + 1, 2]; -1 for what cannot be."""
    findings = model.findings
    n = len(findings)
    mistake = np.where(findings[:, None], 1, np.where(findings, 2, 3))
    kinds = np.full((n, n + 1, 2), 4)
    kinds[:, :n] = np.where(np.eye(n, dtype=bool), 0, mistake)[:, :, None]
    kinds[:, n, 1] = -1
    if model.accept_from is None:
        kinds[:, :, 1] = -1
    return kinds


def _empty(model: ValueModel) -> NDArray[np.int64]:
    return np.zeros((len(model.classes), len(model.classes) + 1, 2), dtype=np.int64)


def _index(label: str, model: ValueModel) -> int:
    if label not in model.classes:
        raise errors.EvaluationError(
            f"there is a label {label!r} that the value model does not know; "
            f"it knows {', '.join(model.classes)}"
        )
    return model.classes.index(label)


def _accepted(answer: cases.Answer, model: ValueModel) -> int:
    if model.accept_from is None or answer.label is None or answer.confidence is None:
        return 0
    return int(answer.confidence >= model.accept_from)

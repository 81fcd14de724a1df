"""Sending each case until certain revisions have answered it.

The gateway draws a revision for each request, whatever its image. So an image that the wanted
revision did not get is sent again, and after some rounds (nearly) every image was answered by each
of them: a sample that chance chose, on which two revisions are compared in pairs.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from calumma import errors, inference
from calumma.load import generator, schedule
from calumma.scoring import cases

Progress = Callable[[generator.Outcome], None]


async def send(
    client: inference.Client,
    population: Sequence[cases.Case],
    *,
    rate: float,
    seed: int,
    by: Collection[str] = (),
    rounds: int = 1,
    progress: Progress | None = None,
) -> list[generator.Outcome]:
    """Send all cases once, then again those that a revision of ``by`` has not answered.

    Each round is in an order of its own that ``seed`` decides, at ``rate`` requests a second; there
    are at most ``rounds`` of them. A request that failed and names no revision counts as answered
    by all: a failure is not asked again until it goes well.
    Raises :class:`~calumma.errors.EvaluationError` without a case.
    """
    if not population:
        raise errors.EvaluationError("there is no case to send; an evaluation needs at least one")
    outcomes: list[generator.Outcome] = []
    waiting, shift = list(population), 0.0
    for number in range(max(1, rounds)):
        order = random.Random(f"{seed} {number}").sample(waiting, len(waiting))
        times = schedule.constant(rate)
        sent = await generator.send(client, times, order, progress=progress)
        outcomes += [_later(outcome, shift) for outcome in sent]
        shift = max(outcome.finished for outcome in outcomes)
        waiting = _unanswered(population, outcomes, by)
        if not waiting:
            break
    return outcomes


def answered_by(answers: Sequence[cases.Answer], revision: str | None) -> list[cases.Answer]:
    """The first answer of a revision to each case, failures that name none included.

    Without a revision, all that is asked about is the service: its first answer to each case.
    """
    accepted = [each for each in answers if revision is None or each.revision in (None, revision)]
    return cases.distinct(accepted)


def _unanswered(
    population: Sequence[cases.Case],
    outcomes: Sequence[generator.Outcome],
    by: Collection[str],
) -> list[cases.Case]:
    answered: dict[str, set[str | None]] = {}
    for outcome in outcomes:
        answered.setdefault(outcome.case.id, set()).add(outcome.answer.revision)
    return [
        case
        for case in population
        if None not in answered[case.id] and not set(by) <= answered[case.id]
    ]


def _later(outcome: generator.Outcome, seconds: float) -> generator.Outcome:
    return replace(
        outcome,
        intended=outcome.intended + seconds,
        sent=outcome.sent + seconds,
        finished=outcome.finished + seconds,
    )

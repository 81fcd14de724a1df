"""The explanation of one answer, and of the worst errors of an evaluation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from calumma import errors, inference
from calumma.explanation import faithfulness, figures, masks, panel
from calumma.scoring import cases, metrics, report
from calumma.statistics import bootstrap

CONTROLS = 3
"""Random orders that a map is compared with."""

TITLE = "Explanations"
_NOTE = (
    "How true the maps are, as the mean over the explained answers. By deletion: by how much less "
    "probability is left, on average, when the cells that the map calls important are hidden "
    "first, than when cells are hidden at random; by insertion the same for showing. A map that "
    "says nothing has 0."
)


@dataclass(frozen=True, eq=False)
class Explanation:
    """Of one answer.

    ``said`` and ``true`` are maps [cells, cells] of how much each cell supports the class that was
    said and the true one; ``true`` is None where the position of that class among the probabilities
    is not known. ``curves`` are in the map's order and ``controls`` in random ones, all of the
    class that was said. ``probabilities`` are those of the unchanged image.
    """

    answer: cases.Answer
    subject: masks.Subject
    said: NDArray[np.float64]
    true: NDArray[np.float64] | None
    curves: faithfulness.Curves
    controls: tuple[faithfulness.Curves, ...]
    confirmed: bool
    images: int

    @property
    def gains(self) -> tuple[float, float]:
        """How much better than random orders the map's is, by deletion and by insertion."""
        deletion, insertion = self.curves.areas
        others = np.mean([each.areas for each in self.controls], axis=0)
        return float(others[0]) - deletion, insertion - float(others[1])


@dataclass(frozen=True)
class Explanations:
    """For a report: the figures, the table of how true they are, and what could not be explained.

    ``requests`` is the number of requests that it took.
    """

    figures: tuple[report.Figure, ...]
    table: report.Table
    notes: tuple[str, ...]
    requests: int


async def explain(
    client: inference.Client,
    answers: Sequence[cases.Answer],
    *,
    seed: int,
    revision: str | None = None,
    limit: int = 4,
    most_requests: int = 2000,
    tell: Callable[[str], None] | None = None,
) -> Explanations:
    """Explain the ``limit`` wrong answers of which the service was surest.

    ``answers`` are those that are judged, and ``revision`` the revision that gave them, None where
    the traffic is not split. The seed decides the random orders and the bootstrap's resamples.
    ``tell`` is called with a sentence for each answer. What cannot be explained (an image that
    cannot be decoded, a service that does not answer within ``most_requests``) is in the notes: an
    evaluation does not fail for want of an explanation.
    """
    asked = panel.Panel(client, revision, most_requests)
    positions = _positions(answers)
    found: list[Explanation] = []
    notes: list[str] = []
    worst = metrics.worst_errors(answers, limit)
    for number, answer in enumerate(worst, 1):
        name = f"{answer.case.id} ({answer.case.label}, said {answer.label})"
        try:
            one = await study(asked, answer, positions, seed=(seed, number))
            found.append(one)
            said = f"{name}: {one.images} images with something hidden"
        except (errors.EvaluationError, OSError) as error:
            said = f"{name} could not be explained: {error}"
            notes.append(said)
        if tell is not None:
            tell(f"{number} of {len(worst)}: {said}")
    if not worst:
        notes.append("there is no wrong answer to explain")
    return Explanations(
        tuple(_figure(number, one) for number, one in enumerate(found, 1)),
        report.Table(TITLE, _NOTE, _gains(found, seed)),
        tuple(notes),
        asked.requests,
    )


async def study(
    asked: panel.Panel,
    answer: cases.Answer,
    positions: Mapping[str, int],
    *,
    seed: int | Sequence[int],
) -> Explanation:
    """The explanation of one answer; ``positions`` of the labels among the probabilities.

    Raises :class:`~calumma.errors.EvaluationError` when the service does not answer, and OSError
    for an image that cannot be decoded.
    """
    generator = np.random.default_rng(seed)
    said = positions[str(answer.label)]
    shown, whole = await _unchanged(asked, answer, said)
    cells = shown.cells
    hidden = [np.ones((cells, cells), np.bool_), *masks.patches(cells)]
    blurred, *without = await asked.ask([masks.hide(shown, each) for each in hidden])
    heat = masks.heat(masks.evidence(whole), masks.evidence(np.array(without)), cells)
    orders = [
        faithfulness.order(heat[said]),
        *(generator.permutation(cells * cells) for _ in range(CONTROLS)),
    ]
    stages = [each for order in orders for each in faithfulness.stages(order, cells)]
    second = await asked.ask([masks.hide(shown, each) for each in stages])
    curves = [
        faithfulness.curves(float(whole[said]), float(blurred[said]), inner)
        for inner in np.split(second[:, said], len(orders))
    ]
    true = positions.get(str(answer.case.label))
    return Explanation(
        answer,
        shown,
        heat[said],
        None if true is None else heat[true],
        curves[0],
        tuple(curves[1:]),
        int(whole.argmax()) == said,
        len(hidden) + len(second),
    )


async def _unchanged(
    asked: panel.Panel, answer: cases.Answer, said: int
) -> tuple[masks.Subject, NDArray[np.float64]]:
    """The image at the smallest size at which it is answered as before, and its probabilities."""
    sizes = masks.subjects(answer.case.image)
    found = await asked.ask(
        [masks.hide(each, np.zeros((each.cells, each.cells), np.bool_)) for each in sizes]
    )
    same = np.flatnonzero(found.argmax(axis=1) == said)
    at = int(same[0]) if same.size else -1
    return sizes[at], found[at]


def _positions(answers: Sequence[cases.Answer]) -> dict[str, int]:
    """Where the probability of each label stands, as far as the answers tell."""
    return {
        answer.label: int(np.argmax(answer.probabilities))
        for answer in answers
        if answer.label is not None and answer.probabilities
    }


def _figure(number: int, found: Explanation) -> report.Figure:
    said, true = found.answer.label, found.answer.case.label
    deletion, insertion = found.gains
    caption = (
        f"Why {found.answer.case.id} was taken for {said} and not for {true}: by how many powers "
        "of ten the odds of a class fall when a region is hidden by a blur (1: to a tenth; orange: "
        "the region speaks for the class, purple: against it). At the right, the probability of "
        f"{said} when regions are hidden or shown in the map's order, and in random ones (grey): "
        f"better than random by {deletion:.2f} and {insertion:.2f}."
    )
    if np.abs(found.said).max() < figures.FLAT:
        caption += f" The map for {said} is flat: no region alone changes the answer."
    if found.true is None:
        caption += f" No answer said {true}, so that its map is not known."
    if not found.confirmed:
        caption += " Sent as PNG, at most 512 pixels wide, the image was answered otherwise."
    return report.Figure(
        f"explanation-{number}",
        caption,
        figures.explanation(
            found.subject,
            {f"for {said} (said)": found.said, f"for {true} (true)": found.true},
            found.curves,
            found.controls,
        ),
    )


def _gains(found: Sequence[Explanation], seed: int) -> tuple[metrics.Metric, ...]:
    names = ("faithfulness by deletion", "faithfulness by insertion")
    measured = []
    for at, name in enumerate(names):
        values = np.array([each.gains[at] for each in found])
        if not values.size:
            measured.append(metrics.Metric(name, None, 0, None))
            continue
        mean = partial(np.mean, axis=-1)
        # One answer says nothing of how others would come out.
        interval = bootstrap.percentile(mean, values, seed=seed) if values.size > 1 else None
        measured.append(metrics.Metric(name, float(values.mean()), values.size, interval))
    return tuple(measured)

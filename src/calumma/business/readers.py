"""What several people said about the same cases, each on their own and without the model.

A reading is a reader's label for a case, and optionally the seconds it took. What is *true* is
declared: the data's own labels (adjudicated), or the consensus of the readers. With a consensus
nobody is judged by a truth that holds their own vote: for each reader it is the majority of the
others, and a case on which they are divided has no truth for that reader.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple, Self

import numpy as np
import pydantic
from numpy.typing import NDArray

from calumma import errors
from calumma.business.assumptions import Values
from calumma.evaluation import document
from calumma.scoring import cases

Truth = Literal["labels", "consensus"]

COLUMNS = ("case", "reader", "label")
SECONDS = "seconds"

NONE = -1
"""In an array of labels: not read, not answered, or not known."""


class Reading(NamedTuple):
    """What a reader said about a case, and in how many seconds, where that is known."""

    case: str
    reader: str
    label: str
    seconds: float | None = None


class Synthetic(document.Part):
    """Invented readers: who errs how often, for a demonstration without people."""

    source: Annotated[str, pydantic.Field(pattern=r"\S.*\S")]
    confusion: Mapping[str, Mapping[str, Annotated[float, pydantic.Field(ge=0, le=1)]]]
    """For each true class, how often an ordinary reader says another one."""
    readers: Annotated[
        Mapping[str, Annotated[float, pydantic.Field(ge=0)]], pydantic.Field(min_length=1)
    ]
    """Each reader by name, and how many times as often as an ordinary one they err."""

    @pydantic.model_validator(mode="after")
    def _possible(self) -> Self:
        most = max(self.readers.values())
        for true, said in self.confusion.items():
            if true in said:
                raise ValueError(f"confusion says how often {true} is taken for itself; leave it")
            if most * sum(said.values()) > 1:
                raise ValueError(
                    f"{true} would be taken for others {most * sum(said.values()):g} times as "
                    "often as it comes; at most 1"
                )
        return self


@dataclass(frozen=True)
class Study:
    """Readings arranged as arrays: R readers, K cases, labels as numbers of ``classes``.

    ``said`` and ``truth`` have shape [R, K], ``suggested`` (the model's labels) [K], all with
    :data:`NONE` where there is nothing; ``seconds`` is [R, K] with NaN. ``findings`` is bool with
    shape [classes].
    """

    classes: tuple[str, ...]
    findings: NDArray[np.bool_]
    readers: tuple[str, ...]
    cases: tuple[str, ...]
    said: NDArray[np.int64]
    truth: NDArray[np.int64]
    suggested: NDArray[np.int64]
    seconds: Values


def parse(text: str, name: str) -> list[Reading]:
    """The readings in a tab-separated table called ``name``, with a heading line.

    It has the columns case, reader, label and optionally seconds. Raises
    :class:`~calumma.errors.DocumentInvalid` with the line that cannot be understood, and for a
    reader who reads a case twice.
    """
    table = csv.DictReader(text.splitlines(), delimiter="\t", strict=True)
    columns = tuple(table.fieldnames or ())
    if columns not in (COLUMNS, (*COLUMNS, SECONDS)):
        raise errors.DocumentInvalid(
            f"{name} has the columns {', '.join(columns) or 'none'}; expected are "
            f"{', '.join(COLUMNS)} and optionally {SECONDS}, with tabs between them"
        )
    readings, seen = [], set()
    for number, row in enumerate(table, 2):
        if None in row or not all(row[column] for column in COLUMNS):
            raise errors.DocumentInvalid(
                f"{name}, line {number}: found {list(row.values())}; expected a case, a reader and "
                f"a label{' and seconds, which may be empty' if SECONDS in columns else ''}"
            )
        reading = Reading(row["case"], row["reader"], row["label"], _seconds(row, name, number))
        if (reading.case, reading.reader) in seen:
            raise errors.DocumentInvalid(
                f"{name}, line {number}: {reading.reader} has read {reading.case} before; "
                "a reader reads each case once"
            )
        seen.add((reading.case, reading.reader))
        readings.append(reading)
    return readings


def invented(people: Synthetic, population: Sequence[cases.Case], *, seed: int) -> list[Reading]:
    """What invented readers say about labelled cases; the same seed gives the same."""
    readings = []
    for position, (reader, times) in enumerate(sorted(people.readers.items())):
        generator = np.random.default_rng([seed, 2, position])
        for case, chance in zip(population, generator.random(len(population)), strict=True):
            if case.label is None:
                continue
            label = case.label
            for said, rate in people.confusion.get(case.label, {}).items():
                chance -= times * rate
                if chance < 0:
                    label = said
                    break
            readings.append(Reading(case.id, reader, label))
    return readings


def arrange(
    readings: Iterable[Reading],
    answers: Iterable[cases.Answer],
    classes: tuple[str, ...],
    findings: NDArray[np.bool_],
    truth: Truth,
) -> Study:
    """The study of these readings beside the model's answers to the same cases.

    Raises :class:`~calumma.errors.EvaluationError` for a label outside of ``classes``, a case that
    the data do not have, and for a consensus of fewer than two readers.
    """
    readings = list(readings)
    by_case = {answer.case.id: answer for answer in cases.distinct(answers)}
    names = tuple(sorted({reading.reader for reading in readings}))
    read = tuple(sorted({reading.case for reading in readings}))
    _check(readings, by_case.keys(), classes)
    if truth == "consensus" and len(names) < 3:
        raise errors.EvaluationError(
            f"the truth is to be the readers' consensus and there are {len(names)} readers; "
            "each is judged by the majority of the others, so that at least 3 are needed"
        )
    number = {label: place for place, label in enumerate(classes)}
    rows = {name: place for place, name in enumerate(names)}
    columns = {name: place for place, name in enumerate(read)}
    said = np.full((len(names), len(read)), NONE)
    seconds = np.full(said.shape, np.nan)
    for reading in readings:
        place = rows[reading.reader], columns[reading.case]
        said[place] = number[reading.label]
        seconds[place] = np.nan if reading.seconds is None else reading.seconds
    if truth == "consensus":
        known = majority_of_others(said, len(classes))
    else:
        known = np.tile(_numbers([by_case[c].case.label for c in read], number), (len(names), 1))
    suggested = _numbers([by_case[case].label for case in read], number)
    return Study(classes, findings, names, read, said, known, suggested, seconds)


def majority_of_others(said: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """For each reader and case, what most of the others said; :data:`NONE` where they tie.

    ``said`` and the result have shape [R, K].
    """
    votes = (said[:, :, None] == np.arange(classes)).astype(np.int64)
    others = votes.sum(axis=0) - votes
    most = others.max(axis=2)
    unanimous = (others == most[:, :, None]).sum(axis=2) == 1
    found: NDArray[np.int64] = np.where((most > 0) & unanimous, others.argmax(axis=2), NONE)
    return found


def _check(readings: Iterable[Reading], known: Iterable[str], classes: Sequence[str]) -> None:
    known = set(known)
    for reading in readings:
        if reading.label not in classes:
            raise errors.EvaluationError(
                f"{reading.reader} said {reading.label!r} of {reading.case}, which is no class; "
                f"there are {', '.join(classes)}"
            )
        if reading.case not in known:
            raise errors.EvaluationError(
                f"{reading.reader} has read {reading.case}, which is not among the "
                f"{len(known)} cases that the model was asked about"
            )


def _numbers(labels: Iterable[str | None], number: Mapping[str, int]) -> NDArray[np.int64]:
    return np.array([NONE if label is None else number.get(label, NONE) for label in labels], int)


def _seconds(row: Mapping[str, str | None], name: str, number: int) -> float | None:
    found = row.get(SECONDS)
    if not found:
        return None
    try:
        seconds = float(found)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise errors.DocumentInvalid(
            f"{name}, line {number}: {found!r} are no seconds; expected a number of at least 0"
        )
    return seconds

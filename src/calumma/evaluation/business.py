"""The section ``business`` of a suite: the value model, the readers, and whose use is counted."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Annotated, Self

import pydantic

from calumma import errors, evidence
from calumma.business import readers, tally, usage
from calumma.business.valuemodel import ValueModel
from calumma.evaluation import document, section
from calumma.feedback import folder, pseudonym
from calumma.monitoring import client, queries
from calumma.scoring import cases, metrics, report
from calumma.statistics.intervals import Interval

NO_TIMES = report.Table("Times", "Nothing here depends on when it ran.", ())


class Readers(document.Part):
    """Who has read the cases: real people by a table, or invented ones."""

    truth: readers.Truth
    """What is right: the data's ``labels``, or the ``consensus`` of the other readers."""
    table: str | None = None
    """A tab-separated file beside the suite: case, reader, label and optionally seconds."""
    synthetic: readers.Synthetic | None = None

    @pydantic.model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.table is None) == (self.synthetic is None):
            raise ValueError("readers have either a table or are synthetic")
        return self


class Business(section.Section):
    """What ``evaluation/business.ipynb`` reads."""

    dataset: str = "digits"
    """The labelled cases to send."""
    value: ValueModel
    readers: Readers | None = None
    days: Annotated[int, pydantic.Field(ge=1, le=366)] = 28
    """For how many days back use is counted by Prometheus."""


def assumptions(model: ValueModel) -> report.Table:
    """Every assumption as a row: its value, the range still believed, and its source beside it.

    They rest on no observation of this evaluation, so their ``n`` is 0, and no gate on one passes.
    """
    described = [each for _, each in model.described()]
    return report.Table(
        "Assumptions",
        "Nobody measured these here (n is 0). The interval is the whole range that their author "
        "still believes, and the remark says who that is, and from what.",
        tuple(
            metrics.Metric(
                each.meaning,
                each.assumption.value,
                0,
                Interval(*each.assumption.range),
                each.unit,
                level=1.0,
            )
            for each in described
        ),
        {each.meaning: f"{each.assumption.source} ({each.assumption.shape})" for each in described},
    )


def readings(
    found: Readers | None, beside: Path, answers: Sequence[cases.Answer], *, seed: int
) -> list[readers.Reading]:
    """What the readers said; nothing where there are none. ``beside`` is the suite's path.

    Raises :class:`~calumma.errors.DocumentInvalid` for a table that cannot be read.
    """
    if found is None:
        return []
    if found.synthetic is not None:
        population = sorted((answer.case for answer in answers), key=lambda case: case.id)
        return readers.invented(found.synthetic, population, seed=seed)
    path = beside.parent / str(found.table)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise errors.DocumentInvalid(f"the readings {path} cannot be read: {error}") from error
    return readers.parse(text, str(path))


def about(found: Readers) -> str:
    """Who the readers are and what counts as right, for the note of a table."""
    truth = "the data's own labels"
    if found.truth == "consensus":
        truth = "for each reader the majority of the others, so that nobody judges themselves"
    who = found.table
    if found.synthetic is not None:
        who = f"not people but made by chance from declared rates ({found.synthetic.source})"
    return (
        f"What is right: {truth}. Sensitivity is the share of findings that are not missed, "
        f"specificity that of other cases without a false alarm. The readers: {who}."
    )


def uses(feedback: str, namespace: str, service: str) -> list[usage.Use]:
    """The uses of a service that a folder of feedback holds.

    Users become pseudonyms under a key that is thrown away, so that no name goes further than
    here. Raises :class:`~calumma.errors.FeedbackError` for a folder that cannot be read.
    """
    key = secrets.token_bytes(32)
    return [
        usage.Use(
            datetime.fromtimestamp(each.time, UTC),
            None if each.user is None else pseudonym.of(each.user, key),
            each.service,
            each.revision,
            each.label,
            each.confidence,
        )
        for each in folder.read(feedback).predictions
        if (each.namespace, each.service) == (namespace, service)
    ]


def used(found: Sequence[usage.Use], *, seed: int) -> report.Table:
    """Usage over the whole days (UTC) that hold these uses."""
    title = "Usage"
    if not found:
        return report.Table(title, "There is no record of any use.", (usage.unknown_users(),))
    first, last = (each(use.time for use in found).astimezone(UTC).date() for each in (min, max))
    start = datetime.combine(first, time(), UTC)
    end = datetime.combine(last + timedelta(days=1), time(), UTC)
    return report.Table(
        title,
        f"From {first} to {last}, by the feedback's records. Users are pseudonyms, and only counts "
        "of them are here. The interval of a count says what another time like this one may bring.",
        usage.measured(found, start, end, seed=seed),
    )


def counted(prometheus: str | None, namespace: str, service: str, days: int) -> report.Table:
    """Usage where only Prometheus counted: predictions, and no users.

    Raises :class:`~calumma.errors.MonitoringError` when Prometheus does not answer.
    """
    note = "Users are not recorded, so that their number is not known (which is not zero)."
    found = [usage.unknown_users()]
    if prometheus:
        where = queries.where(namespace=namespace, service=service)
        with client.Client(prometheus) as watch:
            values = watch.values(queries.prediction_count(where, f"{days}d"))
        found += [usage.predictions(round(value), days) for value in values.values()]
        note += " Predictions as far back as Prometheus remembers, those of evaluations among them."
    return report.Table("Usage", note, tuple(found))


def baseline(path: str, model: ValueModel) -> tally.Tally:
    """What an earlier run of this notebook counted: its folder, or its ``report.json``.

    Raises :class:`~calumma.errors.EvaluationError` for one that holds no counts.
    """
    folder = Path(path).parent if Path(path).name == evidence.REPORT else Path(path)
    found = evidence.read(folder)
    rows = found.get("data", {}).get("counts") if found else None
    if rows is None:
        raise errors.EvaluationError(
            f"{path} is no baseline: expected the folder of an earlier run of business.ipynb, "
            f"with a {evidence.REPORT} that has counts"
        )
    return tally.of_rows(rows, model)

"""Answers kept as a table, so that they can be judged again without asking the service.

A tab-separated file with a heading line: case, truth, label, confidence, revision, failure; what is
not known is empty. The images are not in it.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from calumma import errors
from calumma.scoring import cases

FILE = "answers.tsv"
COLUMNS = ("case", "truth", "label", "confidence", "revision", "failure")


def text(answers: Iterable[cases.Answer]) -> str:
    """The table of these answers, in order of their cases."""
    table = io.StringIO()
    writer = csv.writer(table, delimiter="\t", lineterminator="\n")
    writer.writerow(COLUMNS)
    for answer in sorted(answers, key=lambda each: each.case.id):
        row = (
            *(answer.case.id, answer.case.label, answer.label),
            *(answer.confidence, answer.revision, answer.failure),
        )
        writer.writerow("" if value is None else value for value in row)
    return table.getvalue()


def digest(answers: Iterable[cases.Answer]) -> str:
    """The SHA-256 of the table: which answers these were."""
    return hashlib.sha256(text(answers).encode()).hexdigest()


def write(answers: Iterable[cases.Answer], folder: Path) -> Path:
    """Keep the answers in a folder; the file's path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILE
    path.write_text(text(answers), encoding="utf-8")
    return path


def read(path: Path | str) -> list[cases.Answer]:
    """The answers in a file, without images and times.

    Raises :class:`~calumma.errors.DocumentInvalid` for a file that is no such table.
    """
    try:
        content = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise errors.DocumentInvalid(f"the answers {path} cannot be read: {error}") from error
    table = csv.DictReader(content.splitlines(), delimiter="\t")
    if tuple(table.fieldnames or ()) != COLUMNS:
        raise errors.DocumentInvalid(
            f"{path} has the columns {', '.join(table.fieldnames or ()) or 'none'}; "
            f"expected are {', '.join(COLUMNS)}"
        )
    return [_answer(row, f"{path}, line {number}") for number, row in enumerate(table, 2)]


def _answer(row: Mapping[str | None, Any], place: str) -> cases.Answer:
    values = [row[name] for name in COLUMNS if row[name] is not None]
    if len(values) < len(COLUMNS) or None in row:
        found = len(values) + len(row.get(None, ()))
        raise errors.DocumentInvalid(f"{place} has {found} columns; expected are {len(COLUMNS)}")
    case, truth, label, confidence, revision, failure = values
    if not case or not (label or failure):
        missing = "label and no failure" if case else "case"
        raise errors.DocumentInvalid(f"{place} has no {missing}")
    sure = _confidence(confidence, place) if confidence else None
    asked = cases.Case(case, b"", truth or None)
    return cases.Answer(asked, label or None, sure, 0.0, revision or None, failure or None)


def _confidence(text: str, place: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 <= float(text) <= 1:
            return float(text)
    raise errors.DocumentInvalid(f"{place}: the confidence {text!r} is no number from 0 to 1")

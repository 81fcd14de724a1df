"""A folder of images with their labels: ``labels.tsv``, checked whole before anything is sent.

``labels.tsv`` has a row for each image, and the columns

- ``path`` (or ``file``): where the image is in the folder, which is its id as well;
- ``label`` (or ``class_name``): its true label; empty where nobody knows it;
- ``bytes`` and ``sha256``, where they are there: what the file must be;
- any others: metadata, by which slices are made. ``folder``, that of the path, is always there.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from PIL import Image

from calumma import errors
from calumma.scoring import cases

LABELS = "labels.tsv"
FORMATS = ("JPEG", "PNG")

_PATH, _LABEL, _CHECKED = ("path", "file"), ("label", "class_name"), ("bytes", "sha256")
_SHOWN = 8
"""So many mistakes are told one by one; of the others only how many there are."""

Row = Mapping[str, str]


def read(folder: Path) -> list[cases.Case]:
    """The images that ``labels.tsv`` names, in its order.

    Raises :class:`~calumma.errors.DatasetInvalid` with what is missing or broken: files that are
    not there, are outside of the folder, cannot be decoded or are not the ones that were labelled,
    ids that are there twice, and a table that is empty or not a table.
    """
    rows = _table(folder / LABELS)
    columns = list(rows[0])
    path, label = _column(folder, columns, _PATH), _column(folder, columns, _LABEL)
    found, mistakes = [], list(_twice(row[path] for row in rows))
    for row in rows:
        try:
            found.append(_case(folder, row, path, label))
        except _Mistake as mistake:
            mistakes.append(str(mistake))
    if mistakes:
        more = f"; and {len(mistakes) - _SHOWN} more" if len(mistakes) > _SHOWN else ""
        raise errors.DatasetInvalid(
            f"the dataset {folder} is not whole, {len(mistakes)} mistakes in {len(rows)} rows: "
            f"{'; '.join(mistakes[:_SHOWN])}{more}"
        )
    return found


class _Mistake(Exception):
    """What is wrong with one row."""


def _table(path: Path) -> list[dict[str, str]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
        rows = list(csv.DictReader(io.StringIO(text), delimiter="\t", strict=True))
    except FileNotFoundError as error:
        raise errors.DatasetInvalid(f"{path} is missing; it must say each image's label") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise errors.DatasetInvalid(f"{path} cannot be read as a table: {error}") from error
    if not rows:
        raise errors.DatasetInvalid(f"{path} names no image; an empty dataset decides nothing")
    for number, row in enumerate(rows, 2):
        if None in row or None in row.values():
            raise errors.DatasetInvalid(
                f"{path} has another number of columns in row {number} than in its first: "
                "columns are separated by one tab each"
            )
    return rows


def _column(folder: Path, columns: list[str], names: tuple[str, ...]) -> str:
    for name in names:
        if name in columns:
            return name
    raise errors.DatasetInvalid(
        f"{folder / LABELS} has the columns {', '.join(columns)}; one must be {' or '.join(names)}"
    )


def _twice(ids: Iterator[str]) -> Iterator[str]:
    for id, times in Counter(str(PurePosixPath(id)) for id in ids).items():
        if times > 1:
            yield f"{id} is there {times} times"


def _case(folder: Path, row: Row, path: str, label: str) -> cases.Case:
    place = row[path]
    content = _file(folder, place)
    for column, found in (
        ("bytes", str(len(content))),
        ("sha256", hashlib.sha256(content).hexdigest()),
    ):
        if row.get(column) and row[column].lower() != found:
            raise _Mistake(f"{place} is another file than was labelled: its {column} is {found}")
    _require_image(place, content)
    metadata = {"folder": str(PurePosixPath(place).parent)} | {
        name: value for name, value in row.items() if value and name not in (path, label, *_CHECKED)
    }
    return cases.Case(place, content, row[label] or None, metadata)


def _file(folder: Path, place: str) -> bytes:
    path = (folder / place).resolve()
    if not place or not path.is_relative_to(folder.resolve()):
        raise _Mistake(f"{place!r} leads out of the folder")
    try:
        return path.read_bytes()
    except OSError as error:
        raise _Mistake(f"{place} cannot be read: {error.strerror}") from error


def _require_image(place: str, content: bytes) -> None:
    """Decode it: a file that breaks off in the middle has a sound beginning."""
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            image.draft(
                "RGB", (64, 64)
            )  # JPEG only: smaller and faster, and the whole file is read
            image.load()
    except Exception as error:  # Pillow's decoders raise OSError, SyntaxError, ValueError, ...
        raise _Mistake(f"{place} is not a readable {' or '.join(FORMATS)} file") from error

"""Pairs that the two revisions answered differently, kept with their images for people to see.

A folder has ``disagreements.jsonl``, a line for each, and ``images/`` by their SHA-256. Only so
many are kept, the first ones: a gallery is to be looked at, and the counts have all of them. A
line that a crash has torn is none.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from calumma import errors
from calumma.load.pairs import Pair
from calumma.rollout.sources import tallies
from calumma.scoring import cases

FILE = "disagreements.jsonl"
MOST = 100


def keep(folder: Path, found: Sequence[Pair]) -> None:
    """Add those of the pairs that do not agree, as long as there is room; raises OSError."""
    path = folder / FILE
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    kept = len(before.splitlines())
    chosen = [each for each in found if not tallies.agree(each)][: max(0, MOST - kept)]
    if not chosen:
        return
    (folder / "images").mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        if before and not before.endswith("\n"):
            file.write("\n")
        for pair in chosen:
            image = pair.stable.case.image
            digest = hashlib.sha256(image).hexdigest()
            (folder / "images" / digest).write_bytes(image)
            file.write(json.dumps(_line(pair, digest)) + "\n")


def read(folder: Path) -> list[Pair]:
    """Those that are kept, as they were; none where nothing was.

    Raises :class:`~calumma.errors.EvaluationError` for a folder that somebody else wrote.
    """
    path = folder / FILE
    if not path.exists():
        return []
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        with contextlib.suppress(json.JSONDecodeError):
            found.append(json.loads(line))
    try:
        return [_pair(each, (folder / "images" / each["image"]).read_bytes()) for each in found]
    except (OSError, KeyError, TypeError) as error:
        raise errors.EvaluationError(
            f"{path} is no list of disagreements with their images: {error!r}"
        ) from error


def _line(pair: Pair, digest: str) -> dict[str, Any]:
    case = pair.stable.case
    sides = {
        role: {
            "revision": answer.revision,
            "label": answer.label,
            "confidence": answer.confidence,
            "seconds": answer.seconds,
            "failure": answer.failure,
        }
        for role, answer in pair._asdict().items()
    }
    return {"case": case.id, "truth": case.label, "image": digest, **sides}


def _pair(line: dict[str, Any], image: bytes) -> Pair:
    case = cases.Case(line["case"], image, line["truth"])
    return Pair(*(cases.Answer(case, **line[role]) for role in Pair._fields))

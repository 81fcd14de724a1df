"""The pairs that the two revisions answered differently, as the rollout keeps them.

A folder with ``disagreements.jsonl``, a JSON object a line, and ``images/<sha256>``. What a process
that was killed left half written is passed over. Only the first ones are kept: a gallery is to be
looked at, and the counts have all of them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from calumma.load.pairs import Pair
from calumma.scoring import cases

FOLDER = "disagreements"
"""Its name, in the folder of a rollout."""
FILE = "disagreements.jsonl"
IMAGES = "images"
MOST = 100


def agree(pair: Pair) -> bool:
    """Whether both answered, and the same."""
    return pair.stable.label is not None and pair.stable.label == pair.canary.label


def keep(folder: Path, found: Iterable[Pair]) -> None:
    """Add those that do not agree while there is room; raises OSError."""
    chosen = [pair for pair in found if not agree(pair)]
    path = folder / FILE
    before = path.read_bytes() if chosen and path.exists() else b""
    chosen = chosen[: max(0, MOST - before.count(b"\n"))]
    if not chosen:
        return
    (folder / IMAGES).mkdir(parents=True, exist_ok=True)
    lines = [b"" if before.endswith(b"\n") or not before else b"\n"]
    for pair in chosen:
        image = pair.stable.case.image
        digest = hashlib.sha256(image).hexdigest()
        (folder / IMAGES / digest).write_bytes(image)
        said = {role: _said(answer) for role, answer in pair._asdict().items()}
        entry = {"image": digest, "label": pair.stable.case.label, **said}
        lines.append(json.dumps(entry).encode() + b"\n")
    with path.open("ab") as file:
        file.write(b"".join(lines))


def read(folder: Path) -> list[Pair]:
    """The pairs, each image once; none where the folder is not there."""
    path = folder / FILE
    lines = path.read_text(encoding="utf-8").split("\n") if path.exists() else []
    found: dict[str, Pair] = {}
    for line in lines:
        try:
            entry = json.loads(line)
            image = (folder / IMAGES / Path(entry["image"]).name).read_bytes()
            case = cases.Case(entry["image"], image, entry["label"])
            pair = Pair(_answer(case, entry["stable"]), _answer(case, entry["canary"]))
        except (ValueError, KeyError, TypeError, OSError):
            continue
        found[case.id] = pair
    return list(found.values())


def _said(answer: cases.Answer) -> dict[str, Any]:
    return {
        "label": answer.label,
        "confidence": answer.confidence,
        "failure": answer.failure,
        "revision": answer.revision,
    }


def _answer(case: cases.Case, said: dict[str, Any]) -> cases.Answer:
    return cases.Answer(case, said["label"], said["confidence"], 0.0, None, None)

"""The pairs that the two revisions answered differently, as the rollout kept them.

A folder with ``disagreements.jsonl``, a JSON object a line, and ``images/<sha256>``. What a process
that was killed left half written is passed over.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from calumma.load.pairs import Pair
from calumma.scoring import cases

FOLDER = "disagreements"
"""Its name, in the folder of a rollout."""
FILE = "disagreements.jsonl"
IMAGES = "images"


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


def _answer(case: cases.Case, said: dict[str, Any]) -> cases.Answer:
    return cases.Answer(case, said["label"], said["confidence"], 0.0, None, None)

"""Pictures and answers made of a few numbers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from calumma.detection import boxes, pictures

SIZE = boxes.Size(200, 160)

Row = tuple[float, float, float, float, int]  # corners and class
Scored = tuple[float, float, float, float, int, float]


def picture(name: str, rows: Sequence[Row] = (), crowd: Sequence[bool] = ()) -> pictures.Picture:
    numbers = np.array(rows, dtype=np.float64).reshape(-1, 5)
    drawn = boxes.Boxes(numbers[:, :4], SIZE)
    crowds = np.array(crowd or [False] * len(rows), dtype=np.bool_)
    truth = pictures.Truth(drawn, numbers[:, 4].astype(np.int64), drawn.areas, crowds)
    return pictures.Picture(name, Path(f"{name}.png"), truth)


def answer(
    shown: pictures.Picture, rows: Sequence[Scored] = (), failure: str | None = None
) -> pictures.Answer:
    numbers = np.array(rows, dtype=np.float64).reshape(-1, 6)
    found = pictures.Found(
        boxes.Boxes(numbers[:, :4], SIZE), numbers[:, 4].astype(np.int64), numbers[:, 5]
    )
    return pictures.Answer(shown, None if failure else found, 0.01, None, failure)

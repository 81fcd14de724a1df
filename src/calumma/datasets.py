"""Labelled images to evaluate with, by name.

Here are only images that no version of a model was trained on: an evaluation on others says how
well a model remembers, not how well it will do. Suites with slices of them come next in
:mod:`calumma.scoring`.
"""

from __future__ import annotations

from calumma import errors
from calumma.models import digits
from calumma.scoring import cases


def held_out(name: str) -> list[cases.Case]:
    """The held-out images of a dataset, as encoded files with their labels.

    Raises :class:`~calumma.errors.EvaluationError` for a dataset that is not known.
    """
    if name != digits.NAME:
        raise errors.EvaluationError(
            f"the dataset {name!r} is not known; there is {digits.NAME!r}: real handwritten digits"
        )
    images, labels = digits.held_out()
    return [
        cases.Case(f"{name}-{number}", digits.png(image), str(label))
        for number, (image, label) in enumerate(zip(images, labels, strict=True))
    ]

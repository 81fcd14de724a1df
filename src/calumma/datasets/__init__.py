"""Labelled images to evaluate with: by name, or a folder that somebody labelled.

Here are only images that no version of a model was trained on (but for :func:`reference`): an
evaluation on others says how well a model remembers, not how well it will do. A data set that is
not whole is refused with everything that is missing; it is never silently smaller, because a number
on the images that happened to be there says nothing about the others.

- :mod:`~calumma.datasets.folder`: a folder of images with their labels in ``labels.tsv``.

Next room: :mod:`calumma.scoring`, which says how good the answers to these images are.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calumma import errors
from calumma.datasets import folder
from calumma.models import digits
from calumma.scoring import cases

_VARIABLE = re.compile(r"\$\{(\w+)\}")


def load(name: str, *, beside: Path | str = ".") -> list[cases.Case]:
    """The images of a data set, as encoded files with their labels.

    ``name`` is ``digits``, or a folder: absolute, or relative to ``beside``, the folder of the
    suite that names it. ``${FOOD11}`` in it is that environment variable.
    Raises :class:`~calumma.errors.DatasetInvalid` for one that is not there or not whole.
    """
    if name == digits.NAME:
        return held_out(name)
    path = Path(beside) / _VARIABLE.sub(_environment, name)
    if not path.is_dir():
        raise errors.DatasetInvalid(
            f"the dataset {name!r} is not known; there is {digits.NAME!r} (real handwritten "
            f"digits), and {path} is no folder"
        )
    return folder.read(path)


def held_out(name: str) -> list[cases.Case]:
    """The held-out images of a dataset that comes with Calumma.

    Raises :class:`~calumma.errors.DatasetInvalid` for a dataset that is not known.
    """
    _require_digits(name)
    return _as_cases(name, *digits.held_out())


def reference(name: str, *, size: int = 500) -> list[cases.Case]:
    """The first ``size`` of the images that a dataset's models were trained on.

    They say what the model was made for, which drift is measured against; never how good it is.
    Raises :class:`~calumma.errors.DatasetInvalid` for a dataset that is not known.
    """
    _require_digits(name)
    images, labels = digits.training()
    return _as_cases(f"{name}-training", images[:size], labels[:size])


def require_labels(population: Sequence[cases.Case], classes: Sequence[str]) -> None:
    """Refuse labels that a model with these classes can never give.

    Raises :class:`~calumma.errors.DatasetInvalid`.
    """
    found = {case.label for case in population if case.label is not None}
    unknown = sorted(found - set(classes))
    if unknown:
        number = sum(case.label in unknown for case in population)
        raise errors.DatasetInvalid(
            f"{number} images are labelled {', '.join(map(repr, unknown))}, which the model does "
            f"not know; its classes are {', '.join(classes)}"
        )


def _as_cases(name: str, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> list[cases.Case]:
    return [
        cases.Case(f"{name}-{number}", digits.png(image), str(label))
        for number, (image, label) in enumerate(zip(images, labels, strict=True))
    ]


def _require_digits(name: str) -> None:
    if name != digits.NAME:
        raise errors.DatasetInvalid(
            f"the dataset {name!r} is not known; there is {digits.NAME!r}: real handwritten digits"
        )


def _environment(found: re.Match[str]) -> str:
    value = os.environ.get(found[1])
    if not value:
        raise errors.DatasetInvalid(
            f"the dataset is in the folder that the environment variable {found[1]} names, and it "
            f"is not set; for example: export {found[1]}=/data/{found[1].lower()}"
        )
    return value

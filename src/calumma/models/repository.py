"""Triton model repositories on disk.

A repository is what a ``storageUri`` names: a folder with one folder for each model, holding its
``config.pbtxt`` and its numbered versions. It is written beside its place and then moved there,
so that nobody, Triton included, ever sees half of one. The ``config.pbtxt`` is copied from the
application's folder in ``inferenceservices``: the file that a person edits is the file that is
served.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from calumma import errors


class Model(NamedTuple):
    """A model of a repository: its name, its configuration, and the ONNX file of each version."""

    name: str
    config: Path
    versions: Mapping[int, Path]


def write(folder: Path, *, name: str, config: Path, onnx: bytes, version: int = 1) -> Model:
    """Make ``folder`` the repository of one model, in place of what it may have held.

    ``config`` is the ``config.pbtxt`` to copy, ``onnx`` the serialised graph. Raises
    :class:`~calumma.errors.ModelError` where the configuration cannot be read or the repository
    not be written.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            model = staging / "new" / name
            (model / str(version)).mkdir(parents=True)
            shutil.copyfile(config, model / "config.pbtxt")
            (model / str(version) / "model.onnx").write_bytes(onnx)
            if folder.exists():
                folder.rename(staging / "old")
            (staging / "new").rename(folder)
        finally:
            shutil.rmtree(staging)
    except OSError as error:
        raise errors.ModelError(
            f"The model repository {folder} was not written: {error}."
        ) from error
    return _model(folder / name)


def read(folder: Path) -> tuple[Model, ...]:
    """The models of the repository ``folder``, by name.

    Raises :class:`~calumma.errors.ModelError` where the folder holds no model.
    """
    models = tuple(_model(path.parent) for path in sorted(folder.glob("*/config.pbtxt")))
    if not models:
        raise errors.ModelError(
            f"{folder} is not a Triton model repository: it has no <model>/config.pbtxt."
        )
    return models


def _model(folder: Path) -> Model:
    files = {int(path.parent.name): path for path in folder.glob("[0-9]*/model.onnx")}
    return Model(folder.name, folder / "config.pbtxt", dict(sorted(files.items())))

"""Model repositories: whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from calumma import errors
from calumma.models import repository


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.pbtxt"
    path.write_text('name: "m"  # as a person wrote it\n')
    return path


def test_what_is_written_is_read(tmp_path: Path, config: Path) -> None:
    folder = tmp_path / "models" / "m" / "v1"
    written = repository.write(folder, name="m", config=config, onnx=b"graph")
    assert repository.read(folder) == (written,)
    assert written.name == "m"
    assert written.config.read_text() == config.read_text()
    assert {number: path.read_bytes() for number, path in written.versions.items()} == {1: b"graph"}


def test_writing_again_replaces_everything_and_leaves_nothing(tmp_path: Path, config: Path) -> None:
    folder = tmp_path / "models" / "v1"
    repository.write(folder, name="old", config=config, onnx=b"old", version=7)
    repository.write(folder, name="m", config=config, onnx=b"new")
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*")) == [
        "m",
        "m/1",
        "m/1/model.onnx",
        "m/config.pbtxt",
    ]
    assert list(folder.parent.iterdir()) == [folder]


def test_a_failed_write_keeps_the_old_repository(tmp_path: Path, config: Path) -> None:
    folder = tmp_path / "models" / "v1"
    repository.write(folder, name="m", config=config, onnx=b"old")
    with pytest.raises(errors.ModelError, match=r"was not written: .*missing\.pbtxt"):
        repository.write(folder, name="m", config=tmp_path / "missing.pbtxt", onnx=b"new")
    (model,) = repository.read(folder)
    assert model.versions[1].read_bytes() == b"old"
    assert list(folder.parent.iterdir()) == [folder]


def test_a_folder_without_models_is_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.ModelError, match="not a Triton model repository"):
        repository.read(tmp_path)

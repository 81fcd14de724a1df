"""A folder of labelled images: taken whole, or refused with what is missing."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image

from calumma import datasets, errors
from support import pods


def image(shade: int = 0, format: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.effect_noise((40, 40), 20 + shade).save(file, format)
    return file.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three images, one of them in a folder of its own."""
    (tmp_path / "night").mkdir()
    (tmp_path / "a.png").write_bytes(image(1))
    (tmp_path / "b.jpg").write_bytes(image(2, "JPEG"))
    (tmp_path / "night/c.png").write_bytes(image(3))
    write(tmp_path, ["a.png\tcat\tx", "b.jpg\t\t", "night/c.png\tdog\ty"])
    return tmp_path


def write(folder: Path, rows: Sequence[str], head: str = "path\tlabel\tcamera") -> None:
    (folder / "labels.tsv").write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")


def refusal(folder: Path) -> str:
    with pytest.raises(errors.DatasetInvalid) as caught:
        datasets.load(str(folder))
    return str(caught.value)


def test_rows_become_cases_with_their_metadata(folder: Path) -> None:
    first, second, third = datasets.load(str(folder))
    assert (first.id, first.label) == ("a.png", "cat")
    assert first.image == (folder / "a.png").read_bytes()
    assert first.metadata == {"folder": ".", "camera": "x"}
    assert (second.label, second.metadata) == (None, {"folder": "."})
    assert third.metadata == {"folder": "night", "camera": "y"}


def test_a_folder_is_found_beside_the_suite_and_by_a_variable(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(datasets.load(folder.name, beside=folder.parent)) == 3
    monkeypatch.setenv("CATS", str(folder.parent))
    assert len(datasets.load(f"${{CATS}}/{folder.name}")) == 3
    monkeypatch.delenv("CATS")
    with pytest.raises(errors.DatasetInvalid, match="variable CATS names, and it is not set"):
        datasets.load("${CATS}/x")


def test_everything_that_is_missing_is_named(folder: Path) -> None:
    whole = (folder / "b.jpg").read_bytes()
    (folder / "b.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "text.png").write_text("not an image")
    rows = ["a.png\tcat\t", "b.jpg\tcat\t", "gone.png\tcat\t", "a.png\tdog\t", "text.png\tdog\t"]
    write(folder, [*rows, "../outside.png\tcat\t", "/etc/passwd\tcat\t"])
    said = refusal(folder)
    assert "is not whole, 6 mistakes in 7 rows" in said
    for mistake in (
        "a.png is there 2 times",
        "b.jpg is not a readable JPEG or PNG file",
        "gone.png cannot be read: No such file",
        "text.png is not a readable",
        "'../outside.png' leads out of the folder",
        "'/etc/passwd' leads out of the folder",
    ):
        assert mistake in said


def test_a_link_does_not_lead_out_of_the_folder(folder: Path) -> None:
    (folder / "link.png").symlink_to(pods.ROOT / "README.md")
    write(folder, ["link.png\tcat\t"])
    assert "'link.png' leads out of the folder" in refusal(folder)


def test_a_file_that_is_not_the_labelled_one_is_named(folder: Path) -> None:
    content = (folder / "a.png").read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    head = "file\tbytes\tsha256\tclass_name"
    write(folder, [f"a.png\t{len(content)}\t{digest}\tcat"], head)
    (found,) = datasets.load(str(folder))
    assert (found.label, found.metadata) == ("cat", {"folder": "."})
    (folder / "a.png").write_bytes(image(9))
    assert "a.png is another file than was labelled" in refusal(folder)


def test_many_mistakes_are_counted(folder: Path) -> None:
    write(folder, [f"gone{number}.png\tcat\t" for number in range(30)])
    assert refusal(folder).endswith("; and 22 more")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "names no image"),
        ("path\tlabel\n", "names no image"),
        ("path\tlabel\na.png\n", "another number of columns in row 2"),
        ("path\tlabel\na.png\tcat\tblack\n", "another number of columns in row 2"),
        ("path,label\na.png,cat\n", "columns path,label; one must be path or file"),
        ("path\tkind\na.png\tcat\n", "one must be label or class_name"),
        (b"path\tlabel\n\xff\n", "cannot be read as a table"),
    ],
)
def test_what_is_no_table_is_refused(folder: Path, text: str | bytes, said: str) -> None:
    content = text if isinstance(text, bytes) else text.encode()
    (folder / "labels.tsv").write_bytes(content)
    assert said in refusal(folder)


def test_a_folder_without_labels_is_refused(tmp_path: Path) -> None:
    assert "labels.tsv is missing" in refusal(tmp_path)


def test_food11_is_whole() -> None:
    if not pods.FOOD11.is_dir():
        pytest.skip(f"no Food-11 files at {pods.FOOD11}")
    found = datasets.load(str(pods.FOOD11))
    assert len(found) == 57
    desserts = [case for case in found if case.metadata["folder"] == "indian_dessert"]
    assert {case.label for case in desserts} == {"Dessert"} and len(desserts) == 10

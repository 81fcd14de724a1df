"""Which program stands for an image, and what a bad table or an unknown image gets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from calumma import errors
from calumma.cluster.programs import images


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "transformers/digits").mkdir(parents=True)
    return tmp_path


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("calumma/digits", "calumma/digits"),
        ("calumma/digits:1.2-rc_1", "calumma/digits"),
        ("localhost:5000/a/b:1", "localhost:5000/a/b"),
        ("localhost:5000/a/b", "localhost:5000/a/b"),
        ("a/b@sha256:0f", "a/b"),
    ],
)
def test_the_tag_does_not_matter(image: str, name: str) -> None:
    assert images.repository(image) == name


def test_a_projects_transformers_are_known_by_name(project: Path) -> None:
    match = images.find("calumma/digits:0.1.0", images.defaults(project))
    assert match.kind == "kserve"
    assert match.command == ("python", f"{project}/transformers/digits/main.py")
    assert match.directory == project / "transformers/digits"


def test_tritons_image_is_the_local_triton(project: Path) -> None:
    found = images.find("nvcr.io/nvidia/tritonserver:24.10-py3", images.defaults(project))
    assert found.kind == "triton"


def test_an_unknown_image_names_the_known_ones(project: Path) -> None:
    with pytest.raises(errors.ConfigurationError) as failed:
        images.find("nobody/knows:1", images.defaults(project))
    assert "nvcr.io/nvidia/tritonserver, calumma/*" in str(failed.value)
    assert "--images" in str(failed.value)


def test_a_transformer_that_is_not_there_says_where_it_would_be(project: Path) -> None:
    with pytest.raises(errors.ConfigurationError, match="transformers/cats, which does not exist"):
        images.find("calumma/cats:1", images.defaults(project))


def test_a_persons_rows_come_first(project: Path) -> None:
    document = {"images": [{"image": "calumma/*", "command": ["mine", "{name}"]}]}
    rows = images.rows_of(document, "images.yaml")
    found = images.find("calumma/digits", (*rows, *images.defaults(project)))
    assert found == images.Match("plain", ("mine", "digits"), Path())


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (None, "images.yaml has no list `images`"),
        ({"images": "x"}, "has no list `images`"),
        ({"images": [{}]}, r"images\[0\] has no `image`"),
        ({"images": [{"image": "a"}]}, r"images\[0\] has no `command`"),
        ({"images": [{"image": "a", "command": "x"}]}, "has no `command`, a list of words"),
        (
            {"images": [{"image": "a", "command": ["x"], "kind": "vm"}]},
            "the kind 'vm'; known are triton, kserve, plain",
        ),
        ({"images": [{"image": "a", "command": ["x"], "cmd": 1}]}, "has cmd; known are"),
    ],
)
def test_a_bad_table_is_a_sentence(document: Any, message: str) -> None:
    with pytest.raises(errors.ConfigurationError, match=message):
        images.rows_of(document, "images.yaml")

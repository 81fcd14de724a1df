"""The folder: what is added stays, a torn end costs one line, and nothing leads out of it."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from calumma import errors
from calumma.feedback import folder
from calumma.feedback.records import Label, Prediction


def prediction(number: int) -> Prediction:
    return Prediction(
        id=f"p{number}", time=number, service="s", namespace="n", label="7", confidence=0.5
    )


def label(number: int) -> Label:
    return Label(id=f"p{number}", label="7", by="ann", time=number + 1)


def test_what_is_written_is_read_in_its_order(tmp_path: Path) -> None:
    place = tmp_path / "feedback"
    for numbers in (range(3), range(3, 5)):
        with folder.Writer(place) as writer:
            writer.predictions([prediction(n) for n in numbers])
            for number in numbers:
                writer.label(label(number))
    found = folder.read(place)
    assert found.predictions == tuple(prediction(n) for n in range(5))
    assert found.labels == tuple(label(n) for n in range(5))
    assert found.torn == 0
    assert [each.name for each in sorted(place.glob("*.jsonl"))] == [
        "labels-000001.jsonl",
        "predictions-000001.jsonl",
    ]


def test_a_large_file_is_followed_by_another(tmp_path: Path) -> None:
    with folder.Writer(tmp_path, largest=300) as writer:
        for number in range(12):
            writer.predictions([prediction(number)])
    files = sorted(tmp_path.glob("predictions-*.jsonl"))
    assert len(files) > 2
    assert max(each.stat().st_size for each in files) < 450
    assert folder.read(tmp_path).predictions == tuple(prediction(n) for n in range(12))


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_torn_last_line_is_no_record_and_is_never_written_on(tmp_path: Path, cut: int) -> None:
    with folder.Writer(tmp_path) as writer:
        writer.predictions([prediction(1), prediction(2)])
    first = tmp_path / "predictions-000001.jsonl"
    os.truncate(first, first.stat().st_size - cut)
    torn = first.read_bytes()
    found = folder.read(tmp_path)
    assert (found.predictions, found.torn) == ((prediction(1),), 1)
    with folder.Writer(tmp_path) as writer:
        writer.predictions([prediction(3)])
    assert first.read_bytes() == torn
    assert folder.read(tmp_path).predictions == (prediction(1), prediction(3))


def test_a_line_that_is_no_record_is_named(tmp_path: Path) -> None:
    with folder.Writer(tmp_path) as writer:
        writer.predictions([prediction(1)])
    with (tmp_path / "predictions-000001.jsonl").open("ab") as file:
        file.write(b'{"id": "x"}\n')
    expected = r"line 2 of .*predictions-000001.jsonl is no record: time: Field required"
    with pytest.raises(errors.FeedbackError, match=expected):
        folder.read(tmp_path)
    with pytest.raises(errors.FeedbackError, match="is not there"):
        folder.read(tmp_path / "missing")


def test_images_are_kept_once_by_what_they_are(tmp_path: Path) -> None:
    with folder.Writer(tmp_path) as writer:
        digest = writer.image(b"pixels")
        assert writer.image(b"pixels") == digest
    assert digest == hashlib.sha256(b"pixels").hexdigest()
    assert folder.image(tmp_path, digest) == b"pixels"
    (tmp_path / "images" / digest[:2] / digest).write_bytes(b"others")
    with pytest.raises(errors.FeedbackError, match="is damaged"):
        folder.image(tmp_path, digest)
    with pytest.raises(errors.FeedbackError, match="cannot be used: No such file"):
        folder.image(tmp_path, "0" * 64)


@pytest.mark.parametrize("digest", ["../../etc/passwd", "", "A" * 64, "0" * 63 + "/", "0" * 65])
def test_only_a_digest_names_an_image(tmp_path: Path, digest: str) -> None:
    with pytest.raises(errors.FeedbackError, match="no SHA-256"):
        folder.image(tmp_path, digest)


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    inside = tmp_path / "feedback"
    digest = hashlib.sha256(b"secret").hexdigest()
    (inside / "images" / digest[:2]).mkdir(parents=True)
    (inside / "images" / digest[:2] / digest).symlink_to(secret)
    with pytest.raises(errors.FeedbackError, match="cannot be used"):
        folder.image(inside, digest)
    (inside / "labels-000001.jsonl").symlink_to(secret)
    with (
        folder.Writer(inside) as writer,
        pytest.raises(errors.FeedbackError, match="labels-000001"),
    ):
        writer.label(label(1))
    with pytest.raises(errors.FeedbackError, match="labels-000001"):
        folder.read(inside)
    assert secret.read_bytes() == b"secret"


def test_one_program_writes_at_a_time(tmp_path: Path) -> None:
    with folder.Writer(tmp_path):
        with (
            pytest.raises(errors.FeedbackError, match="another program writes"),
            folder.Writer(tmp_path),
        ):
            pass
        assert folder.read(tmp_path).predictions == ()
    with folder.Writer(tmp_path):
        pass

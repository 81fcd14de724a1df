"""Bringing models to their folder, and what a claim may reach."""

from __future__ import annotations

from pathlib import Path

import pytest

from calumma import errors
from calumma.cluster import storage


@pytest.fixture
def claims(tmp_path: Path) -> Path:
    model = tmp_path / "claims/models/digits/v1/digits"
    model.mkdir(parents=True)
    (model / "config.pbtxt").write_text("name: 'digits'")
    return tmp_path / "claims"


def test_a_claim_is_the_folder_of_its_name(claims: Path) -> None:
    found = storage.resolve("pvc://models/digits/v1", {}, claims)
    assert found == str(claims / "models/digits/v1")


def test_a_mapped_claim_wins(claims: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere/digits").mkdir(parents=True)
    mapped = {"models": tmp_path / "elsewhere"}
    assert storage.resolve("pvc://models/digits", mapped, claims) == str(
        tmp_path / "elsewhere/digits"
    )


def test_the_whole_claim(claims: Path) -> None:
    assert storage.resolve("pvc://models", {}, claims) == str(claims / "models")


@pytest.mark.parametrize("uri", ["s3://a/b", "file:///a", "https://a/b.tgz", "hf://a/b"])
def test_other_schemes_are_kserves(uri: str, claims: Path) -> None:
    assert storage.resolve(uri, {}, claims) == uri


def test_a_missing_claim_says_how_to_map_one(claims: Path) -> None:
    with pytest.raises(errors.ConfigurationError) as failed:
        storage.resolve("pvc://data/x", {}, claims)
    assert "no claim 'data'; known are models" in str(failed.value)
    assert "--claim data=FOLDER" in str(failed.value)


def test_a_missing_path_says_what_is_there(claims: Path) -> None:
    with pytest.raises(errors.ConfigurationError, match=r"no 'digits/v9' .* holds v1"):
        storage.resolve("pvc://models/digits/v9", {}, claims)


@pytest.mark.parametrize("path", ["../../secret", "digits/../../../secret", "%2e%2e/secret"])
def test_a_path_cannot_leave_its_claim(path: str, claims: Path) -> None:
    (claims.parent / "secret").mkdir()
    with pytest.raises(errors.ConfigurationError, match=r"leads out of the claim|no '"):
        storage.resolve(f"pvc://models/{path}", {}, claims)


def test_a_link_cannot_leave_its_claim(claims: Path) -> None:
    (claims.parent / "secret").mkdir()
    (claims / "models/way-out").symlink_to(claims.parent / "secret")
    with pytest.raises(errors.ConfigurationError, match="leads out"):
        storage.resolve("pvc://models/way-out", {}, claims)


def test_the_initializer_links_a_local_model(claims: Path, tmp_path: Path) -> None:
    into = tmp_path / "into"
    (into / "stale").mkdir(parents=True)
    code = storage.main(["pvc://models/digits/v1", str(into), "--claims", str(claims)])
    assert code == 0
    assert [entry.name for entry in into.iterdir()] == ["digits"]
    assert (into / "digits/config.pbtxt").read_text() == "name: 'digits'"


def test_a_failure_is_one_sentence_with_the_uri(
    claims: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = storage.main(["file:///no/such/model", str(tmp_path / "i"), "--claims", str(claims)])
    assert code == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert "file:///no/such/model" in last
    assert "does not exist" in last

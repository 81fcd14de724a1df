"""A pseudonym hides the name and keeps the user; its key is the owner's alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from calumma import errors
from calumma.feedback import pseudonym

KEY = b"sixteen bytes..."


def test_a_pseudonym_hides_the_name_and_keeps_the_user() -> None:
    ann = pseudonym.of("ann@example.org", KEY)
    assert ann == pseudonym.of("ann@example.org", KEY) and len(ann) == 16
    assert ann != pseudonym.of("bob@example.org", KEY)
    assert ann != pseudonym.of("ann@example.org", KEY[::-1])
    with pytest.raises(errors.FeedbackError, match="has 5 bytes; use at least 16"):
        pseudonym.of("ann", b"short")


def test_a_key_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    place = tmp_path / "feedback.key"
    made = pseudonym.key(place)
    assert len(made) == 32 and pseudonym.key(place) == made
    assert place.stat().st_mode & 0o777 == 0o600
    place.write_text("no key\n")
    with pytest.raises(errors.FeedbackError, match="holds no key"):
        pseudonym.key(place)

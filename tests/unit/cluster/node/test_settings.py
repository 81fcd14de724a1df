"""The settings of a cluster, written and read again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from calumma import errors
from calumma.cluster.node import settings
from calumma.cluster.programs import images


def test_settings_come_back_as_they_were(tmp_path: Path) -> None:
    rows = (images.Row("a/b", "plain", ("python",), "/x"), *images.defaults(tmp_path))
    written = settings.Settings(1, 2, 3, 4, None, "now", claims={"models": "/m"}, images=rows)
    path = tmp_path / "settings.json"
    path.write_text(json.dumps(written.to_json()))
    assert settings.read(path) == written


@pytest.mark.parametrize("text", [None, "{", "{}", '{"images": [], "surprise": 1}'])
def test_settings_that_cannot_be_read(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "settings.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(
        errors.ConfigurationError, match=r"settings\.json cannot be read .*`calumma"
    ):
        settings.read(path)


def test_the_domain_names_the_port_unless_it_is_http() -> None:
    assert settings.Settings(1, 8080, 3, 4, 5, "now").domain == "localhost:8080"
    assert settings.Settings(1, 80, 3, 4, 5, "now").domain == "localhost"

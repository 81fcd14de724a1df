"""The schemas derived once for all unit tests of the API, and a store in a temporary folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from calumma.cluster.api import schema
from calumma.cluster.api.schema import Schemas
from calumma.cluster.api.store import Store


@pytest.fixture(scope="session")
def schemas(tmp_path_factory: pytest.TempPathFactory) -> Schemas:
    """Every definition, derived from the installed kserve in a process of its own."""
    cache = str(tmp_path_factory.mktemp("schemas"))
    return schema.load(schema.ensure({**os.environ, "XDG_CACHE_HOME": cache}))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An open, empty store."""
    opened = Store(tmp_path / "objects.db")
    yield opened
    opened.close()

"""One chain for each module of tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support import digits_chain


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[digits_chain.Chain]:
    with digits_chain.start(tmp_path_factory.mktemp("chain")) as started:
        yield started

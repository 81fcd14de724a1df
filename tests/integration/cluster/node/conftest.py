from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support import gateway


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[gateway.Running]:
    """A real Envoy."""
    async with gateway.started(tmp_path) as running:
        yield running

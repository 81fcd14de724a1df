"""Strict validation of manifests whose kinds the one-machine cluster does not serve."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from calumma.cluster.api import schema, structure, validation


class Schemas:
    """The schemas of these kinds, derived from the installed client's ``models`` by kind."""

    def __init__(self, folder: Path, models: Mapping[str, str]) -> None:
        path = folder / "schema-of-manifests.json"
        derive = [sys.executable, "-m", "calumma.cluster.api.derivation", str(path)]
        subprocess.run([*derive, *models.values()], check=True, timeout=120)
        self._models, self._schemas = models, schema.load(path)

    def objections(self, found: dict[str, Any]) -> list[str]:
        """What strict validation would say."""
        node = self._schemas.of(self._models[found["kind"]])
        unknown = structure.prune(structure.copied(found), node)
        wrong = [str(cause) for cause in validation.violations(found, node)]
        return [f"unknown field {each}" for each in unknown] + wrong

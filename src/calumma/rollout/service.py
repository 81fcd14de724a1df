"""An InferenceService as a rollout sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class View:
    """What a rollout has to know of an InferenceService."""

    name: str
    namespace: str
    uid: str
    resource_version: str
    generation: int
    observed: bool
    ready: bool
    standard: bool
    stable: str | None
    canary: str | None
    canary_ready: bool
    trouble: str
    weight: int
    effective: Mapping[str, int]
    template: str
    components: tuple[str, ...]
    policy: str | None

"""What both deployment modes say of a service's traffic, and the patches that change it. Pure.

:mod:`.knative` and :mod:`.standard` fill it in, :mod:`.service` is what others call.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from calumma.cluster import conditions, objects

Object = Mapping[str, Any]
Patch = dict[str, Any]
"""A JSON merge patch with ``metadata.resourceVersion``; an empty one changes nothing now."""


@dataclass(frozen=True)
class Traffic:
    """The fields of a :class:`~calumma.rollout.service.View` that depend on the mode."""

    observed: bool
    stable: str | None
    canary: str | None
    newest: str | None
    canary_ready: bool
    trouble: str
    weight: int
    effective: dict[str, int]
    components: tuple[str, ...]


def patch(isvc: Object, spec: Mapping[str, Any]) -> Patch:
    """A patch of the spec that is refused when the object is another one by then."""
    return {"metadata": {"resourceVersion": isvc["metadata"]["resourceVersion"]}, "spec": spec}


def title(isvc: Object) -> str:
    """How sentences call the service."""
    return f"the InferenceService {objects.name(isvc)} in namespace {objects.namespace(isvc)}"


def condition(isvc: Object, kind: str) -> Mapping[str, Any]:
    """A condition of the service; one that is not there is Unknown."""
    stated = objects.dig(isvc, "status", "conditions", default=())
    return conditions.find(stated, kind) or {"status": "Unknown"}


def failure(model_status: Mapping[str, Any] | None) -> str:
    """Why a model did not load, in the cluster's own words; empty when it did, or may yet."""
    if objects.dig(model_status, "states", "targetModelState") != "FailedToLoad":
        return ""
    return str(objects.dig(model_status, "lastFailureInfo", "message", default=""))

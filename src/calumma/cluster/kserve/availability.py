"""What a Deployment's conditions mean for its component of an InferenceService.

Source: kserve ``PropagateRawStatus`` in ``inference_service_status.go``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from calumma.cluster import conditions, objects
from calumma.cluster.apps import deployment as deployments


class Readiness(NamedTuple):
    """A component's Ready condition."""

    status: conditions.Status
    reason: str = ""
    message: str = ""


def readiness(deployment: Mapping[str, Any] | None) -> Readiness:
    """Whether the component is ready; one without a Deployment is not.

    A Deployment that lacks pods is not ready, whatever else it says. One that is being updated is
    as long as enough pods are there, and one whose update came to a standstill is not.
    """
    stated = objects.dig(deployment, "status", "conditions", default=())
    available = conditions.find(stated, deployments.AVAILABLE)
    progressing = conditions.find(stated, deployments.PROGRESSING)
    if available is not None and available["status"] == "False":
        return _as(available)
    if progressing is not None:
        if progressing["status"] == "False" and progressing.get("message"):
            return _as(progressing)
        if progressing["reason"] == deployments.COMPLETE:
            return _as(progressing)
        if available is None:
            return _as(progressing)._replace(status="Unknown")
    return _as(available) if available is not None else Readiness("False")


def mark(
    managed: conditions.Conditions, component: str, deployment: Mapping[str, Any] | None
) -> bool:
    """Set the Ready condition of a component; whether it is ready."""
    found = readiness(deployment)
    managed.mark(f"{component.capitalize()}Ready", *found)
    return found.status == "True"


def first_unready(managed: conditions.Conditions, components: Sequence[str]) -> str | None:
    """The title of the first component that is not ready, or None."""
    titles = (component.capitalize() for component in components)
    return next((title for title in titles if managed.status(f"{title}Ready") != "True"), None)


def _as(condition: Mapping[str, Any]) -> Readiness:
    return Readiness(condition["status"], condition.get("reason", ""), condition.get("message", ""))

"""Revisions: immutable snapshots of a Service's template, and whether they are ready.

A revision is named ``<service>-00001``, counting up; a template that changes back to an earlier
form is a new revision all the same, because only the newest one is compared.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from calumma.cluster import conditions, objects
from calumma.cluster.objects import Object

API_VERSION = "serving.knative.dev/v1"
SERVICE_LABEL = "serving.knative.dev/service"
CONFIGURATION_LABEL = "serving.knative.dev/configuration"
GENERATION_LABEL = "serving.knative.dev/configurationGeneration"
REVISION_LABEL = "serving.knative.dev/revision"
SYSTEM_LABELS = frozenset({SERVICE_LABEL, CONFIGURATION_LABEL, GENERATION_LABEL})

RESOURCES_AVAILABLE: Final = "ResourcesAvailable"
CONTAINER_HEALTHY: Final = "ContainerHealthy"
ACTIVE = "Active"
DEPENDENTS = (RESOURCES_AVAILABLE, CONTAINER_HEALTHY)


@dataclass(frozen=True)
class Problem:
    """Why a revision has no ready pod: the condition it fails, a reason and a message."""

    condition: Literal["ResourcesAvailable", "ContainerHealthy"]
    reason: str
    message: str


@dataclass(frozen=True)
class Scale:
    """What was seen of a revision's pods; it needs ``needed`` ready ones to be ready at first."""

    desired: int
    ready: int = 0
    problem: Problem | None = None
    needed: int = 1


def exited(code: int, message: str) -> Problem:
    """A container that ended although it should run."""
    text = message or ("container exited with no error" if code == 0 else "")
    return Problem(CONTAINER_HEALTHY, f"ExitCode{code}", f"Container failed with: {text}")


def image_missing(image: str, message: str) -> Problem:
    """A container whose image has no program here."""
    text = f'Unable to fetch image "{image}": {message}'
    return Problem(CONTAINER_HEALTHY, "ContainerMissing", text)


def never_scaled() -> Problem:
    """No pod became ready within the progress deadline."""
    return Problem(
        RESOURCES_AVAILABLE, "ProgressDeadlineExceeded", "Initial scale was never achieved"
    )


def generation(revision: Mapping[str, Any]) -> int:
    """The revision's number, from its ``configurationGeneration`` label."""
    return int(objects.labels_of(revision).get(GENERATION_LABEL, "0"))


def newest(revisions: Iterable[Object]) -> Object | None:
    """The revision with the highest number, or None."""
    return max(revisions, key=generation, default=None)


def make(service: Mapping[str, Any], number: int) -> Object:
    """The revision ``number`` of a Service's present template."""
    service_name = objects.name(service)
    template = copy.deepcopy(service["spec"]["template"])
    metadata: Object = {
        "name": objects.child_name(service_name, f"-{number:05d}"),
        "namespace": objects.namespace(service),
        "labels": {
            **objects.dig(template, "metadata", "labels", default={}),
            SERVICE_LABEL: service_name,
            CONFIGURATION_LABEL: service_name,
            GENERATION_LABEL: str(number),
        },
        "annotations": dict(objects.dig(template, "metadata", "annotations", default={})),
        "ownerReferences": [objects.owner(service)],
    }
    return {
        "apiVersion": API_VERSION,
        "kind": "Revision",
        "metadata": metadata,
        "spec": template["spec"],
    }


def has_template(revision: Mapping[str, Any], template: Mapping[str, Any]) -> bool:
    """Whether the revision was made from exactly this template."""
    labels = objects.labels_of(revision)
    made_from = {
        "labels": {key: value for key, value in labels.items() if key not in SYSTEM_LABELS},
        "annotations": objects.annotations_of(revision),
        "spec": revision["spec"],
    }
    return made_from == {
        "labels": objects.labels_of(template),
        "annotations": objects.annotations_of(template),
        "spec": template["spec"],
    }


def is_ready(revision: Mapping[str, Any]) -> bool:
    """Whether the revision's stored status is Ready."""
    return conditions.is_true(objects.dig(revision, "status", "conditions", default=[]))


def status(revision: Mapping[str, Any], scale: Scale, now: str) -> Object:
    """The revision's new status after what was seen of its pods.

    A revision that was ready keeps its conditions while no pod is wanted (scaled to zero) and
    while a pod restarts without having failed, as Knative does.
    """
    stored = objects.dig(revision, "status", "conditions", default=[])
    managed = conditions.Conditions(stored, DEPENDENTS, now)
    managed.initialize()
    initialized = managed.status(RESOURCES_AVAILABLE) == "True"
    if scale.ready >= (1 if initialized else scale.needed):
        managed.mark(RESOURCES_AVAILABLE, "True")
        managed.mark(CONTAINER_HEALTHY, "True")
    elif scale.problem is not None:
        problem = scale.problem
        managed.mark(problem.condition, "False", problem.reason, problem.message)
    elif managed.status(conditions.READY) == "Unknown":
        managed.mark(RESOURCES_AVAILABLE, "Unknown", "Deploying")
        managed.mark(CONTAINER_HEALTHY, "Unknown", "Deploying")
    _mark_active(managed, scale)
    return {
        **(revision.get("status") or {}),
        "actualReplicas": scale.ready,
        "desiredReplicas": scale.desired,
        "conditions": managed.as_list(),
        "observedGeneration": objects.dig(revision, "metadata", "generation", default=1),
    }


def _mark_active(managed: conditions.Conditions, scale: Scale) -> None:
    if scale.desired == 0:
        managed.mark(ACTIVE, "False", "NoTraffic", "The target is not receiving traffic.")
    elif scale.ready > 0:
        managed.mark(ACTIVE, "True")
    else:
        text = "Requests to the target are being buffered as resources are provisioned."
        managed.mark(ACTIVE, "Unknown", "Queued", text)

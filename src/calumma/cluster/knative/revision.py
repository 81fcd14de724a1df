"""Revisions: immutable snapshots of a Service's template, and whether they are ready.

A revision is named ``<service>-00001``, counting up; a template that changes back to an earlier
form is a new revision all the same, because only the newest one is compared.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from calumma.cluster import conditions, objects
from calumma.cluster.objects import Object

API_VERSION = "serving.knative.dev/v1"
KIND = "Revision"
SERVICE_LABEL = "serving.knative.dev/service"
CONFIGURATION_LABEL = "serving.knative.dev/configuration"
GENERATION_LABEL = "serving.knative.dev/configurationGeneration"
REVISION_LABEL = "serving.knative.dev/revision"
PROGRESS_DEADLINE = "serving.knative.dev/progress-deadline"
MIN_SCALE = "autoscaling.knative.dev/min-scale"
SYSTEM_LABELS = frozenset({SERVICE_LABEL, CONFIGURATION_LABEL, GENERATION_LABEL})

RESOURCES_AVAILABLE: Final = "ResourcesAvailable"
CONTAINER_HEALTHY: Final = "ContainerHealthy"
ACTIVE = "Active"
DEPENDENTS = (RESOURCES_AVAILABLE, CONTAINER_HEALTHY)


DEFAULT_PROGRESS_DEADLINE = 600.0
"""Seconds that a revision has to become ready, Knative's and Kubernetes' default."""

_DURATION_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_DURATION = re.compile(r"(?P<count>\d+\.?\d*|\.\d+)(?P<unit>ms|us|µs|ns|h|m|s)")


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


def never_scaled(revision: Mapping[str, Any]) -> Problem:
    """No pod became ready within the progress deadline.

    A revision that always has a pod fails with its Deployment's message; one that may be scaled to
    zero with the autoscaler's, which gives up on it.
    """
    text = "Initial scale was never achieved"
    if objects.annotations_of(revision).get(MIN_SCALE, "0") != "0":
        replica_set = objects.child_name(objects.name(revision), "-deployment")
        text = f'ReplicaSet "{replica_set}" has timed out progressing.'
    return Problem(RESOURCES_AVAILABLE, "ProgressDeadlineExceeded", text)


def progress_deadline(revision: Mapping[str, Any]) -> float:
    """Seconds from its creation that a revision has to become ready for the first time.

    From the template's annotation ``serving.knative.dev/progress-deadline``, a duration in Go's
    form such as ``20m`` or ``1h30m``; what is none counts as not given.
    """
    text = objects.annotations_of(revision).get(PROGRESS_DEADLINE, "")
    parts = list(_DURATION.finditer(text))
    if not parts or "".join(part[0] for part in parts) != text:
        return DEFAULT_PROGRESS_DEADLINE
    return sum(float(part["count"]) * _DURATION_UNITS[part["unit"]] for part in parts)


def time_left(revision: Mapping[str, Any], now: str) -> float | None:
    """Seconds until the progress deadline of a revision that was never ready and has not failed.

    None for every other revision; 0 or less once the deadline has passed.
    """
    stored = objects.dig(revision, "status", "conditions", default=[])
    ready = conditions.find(stored, conditions.READY) or {"status": "Unknown"}
    created = objects.dig(revision, "metadata", "creationTimestamp")
    if ready["status"] != "Unknown" or created is None:
        return None
    age = datetime.fromisoformat(now) - datetime.fromisoformat(created)
    return progress_deadline(revision) - age.total_seconds()


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
        "kind": KIND,
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
    while a pod restarts without having failed, as Knative does. One whose pods run and were never
    ready fails once its progress deadline has passed, and recovers when one is ready after all.
    """
    stored = objects.dig(revision, "status", "conditions", default=[])
    managed = conditions.Conditions(stored, DEPENDENTS, now)
    managed.initialize()
    initialized = managed.status(RESOURCES_AVAILABLE) == "True"
    if scale.ready >= (1 if initialized else scale.needed):
        managed.mark(RESOURCES_AVAILABLE, "True")
        managed.mark(CONTAINER_HEALTHY, "True")
    elif (problem := scale.problem or _overdue(revision, scale, now)) is not None:
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


def _overdue(revision: Mapping[str, Any], scale: Scale, now: str) -> Problem | None:
    left = time_left(revision, now)
    late = scale.desired > 0 and left is not None and left <= 0
    return never_scaled(revision) if late else None


def _mark_active(managed: conditions.Conditions, scale: Scale) -> None:
    if scale.desired == 0:
        managed.mark(ACTIVE, "False", "NoTraffic", "The target is not receiving traffic.")
    elif scale.ready > 0:
        managed.mark(ACTIVE, "True")
    else:
        text = "Requests to the target are being buffered as resources are provisioned."
        managed.mark(ACTIVE, "Unknown", "Queued", text)

"""Routes: which revision each traffic target of a Service means at this moment.

``latestRevision: true`` means the latest *ready* revision, so a new revision gets nothing before
it is ready. A target that cannot be resolved leaves the data plane as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from calumma.cluster import conditions, objects
from calumma.cluster.objects import Object


class Unresolved(NamedTuple):
    """Why traffic cannot be assigned now: condition status, reason and message."""

    status: conditions.Status
    reason: str
    message: str


def percent_errors(traffic: Sequence[Mapping[str, Any]]) -> list[str]:
    """What Knative's validating webhook says of the percentages; empty when they are right."""
    errors = [
        f"expected 0 <= {target['percent']} <= 100: spec.traffic[{index}].percent"
        for index, target in enumerate(traffic)
        if not 0 <= target["percent"] <= 100
    ]
    total = sum(target["percent"] for target in traffic)
    if total != 100:
        errors.append(f"Traffic targets sum to {total}, want 100: spec.traffic")
    return errors


def resolve(
    service: Mapping[str, Any],
    revisions: Mapping[str, Object],
    latest_ready: str,
    domain: str,
) -> list[Object] | Unresolved:
    """The status entries for ``spec.traffic``, or why they cannot be given.

    ``latest_ready`` is the name of the latest ready revision, empty when there is none yet.
    Each entry has ``latestRevision``, ``percent``, ``revisionName`` and, where it is tagged,
    ``tag`` and the tag's ``url``.
    """
    entries: list[Object] = []
    unresolved: Unresolved | None = None
    for target in service["spec"]["traffic"]:
        revision_name = latest_ready if target["latestRevision"] else target["revisionName"]
        problem = _problem(service, revisions, revision_name)
        if problem is not None:
            if unresolved is None or problem.status == "False":
                unresolved = problem
            continue
        entry: Object = {
            "latestRevision": target["latestRevision"],
            "percent": target["percent"],
            "revisionName": revision_name,
        }
        if target.get("tag"):
            entry["tag"] = target["tag"]
            entry["url"] = url(f"{target['tag']}-{objects.name(service)}", service, domain)
        entries.append(entry)
    return unresolved or entries


def url(host_prefix: str, service: Mapping[str, Any], domain: str) -> str:
    """The public URL of a host prefix in the Service's namespace."""
    return f"http://{host_prefix}.{objects.namespace(service)}.{domain}"


def _problem(
    service: Mapping[str, Any], revisions: Mapping[str, Object], revision_name: str
) -> Unresolved | None:
    service_name = objects.name(service)
    if not revision_name:
        stored = objects.dig(service, "status", "conditions", default=[])
        if conditions.is_false(stored, "ConfigurationsReady"):
            text = f'Configuration "{service_name}" does not have any ready Revision.'
            return Unresolved("False", "RevisionMissing", text)
        text = f'Configuration "{service_name}" is waiting for a Revision to become ready.'
        return Unresolved("Unknown", "RevisionMissing", text)
    revision = revisions.get(revision_name)
    if revision is None:
        text = f'Revision "{revision_name}" referenced in traffic not found.'
        return Unresolved("False", "RevisionMissing", text)
    ready = objects.dig(revision, "status", "conditions", default=[])
    if conditions.is_false(ready):
        text = f'Revision "{revision_name}" failed to become ready.'
        return Unresolved("False", "RevisionMissing", text)
    if not conditions.is_true(ready):
        text = f'Revision "{revision_name}" is not yet ready.'
        return Unresolved("Unknown", "RevisionMissing", text)
    return None

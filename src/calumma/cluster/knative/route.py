"""Routes: which revision each traffic target of a Service means at this moment.

``latestRevision: true`` means the latest *ready* revision, so a new revision gets nothing before
it is ready. A target that cannot be resolved leaves the data plane as it is, and so does a tag
whose host name would be longer than DNS allows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from calumma.cluster import conditions, objects
from calumma.cluster.objects import Object

VISIBILITY_LABEL = "networking.knative.dev/visibility"
CLUSTER_DOMAIN = "svc.cluster.local"


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


def name_errors(service: Mapping[str, Any]) -> list[str]:
    """What Knative's validating webhook says of the Service's name, which becomes a host name."""
    if len(objects.name(service)) <= objects.LONGEST_NAME:
        return []
    return [
        f"not a DNS 1035 label: [must be no more than {objects.LONGEST_NAME} characters]: "
        "metadata.name"
    ]


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
        if problem is None and target.get("tag"):
            problem = _long_host(f"{target['tag']}-{objects.name(service)}", service, domain)
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
    """The URL of a host prefix in the Service's namespace: the public one unless it is local."""
    return f"http://{_host(host_prefix, service, domain)}"


def is_local(service: Mapping[str, Any]) -> bool:
    """Whether the Service is visible inside the cluster only."""
    return objects.labels_of(service).get(VISIBILITY_LABEL) == "cluster-local"


def _host(prefix: str, service: Mapping[str, Any], domain: str) -> str:
    return (
        f"{prefix}.{objects.namespace(service)}.{CLUSTER_DOMAIN if is_local(service) else domain}"
    )


def _long_host(prefix: str, service: Mapping[str, Any], domain: str) -> Unresolved | None:
    if len(prefix) <= objects.LONGEST_NAME:
        return None
    host = _host(prefix, service, domain)
    text = (
        f'domain name error: invalid domain name "{host}": url: Invalid value: "{prefix}": must be '
        f"no more than {objects.LONGEST_NAME} characters"
    )
    return Unresolved("False", "ErrorConfig", text)


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

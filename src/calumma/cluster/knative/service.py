"""A Knative Service: from its spec and its revisions to the next revision, traffic and status.

:func:`decide` is one pass of what Knative's service, configuration and route controllers do. Two
things keep it true to what clients see: the configuration part comes before the route part, and
``status.traffic`` changes only after the data plane has taken the new traffic over
(``programmed``), so a reported weight is a weight in effect.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from calumma.cluster import conditions, objects
from calumma.cluster.knative import revision as revision_room
from calumma.cluster.knative import route
from calumma.cluster.objects import Object

CONFIGURATIONS_READY = "ConfigurationsReady"
ROUTES_READY = "RoutesReady"
DEPENDENTS = (CONFIGURATIONS_READY, ROUTES_READY)


class Decision(NamedTuple):
    """What one pass wants.

    ``revision`` is to be created, or None; ``traffic`` is what the data plane should do, or None
    to leave it as it is; ``status`` is the Service's new status.
    """

    revision: Object | None
    traffic: list[Object] | None
    status: Object


def decide(
    service: Object,
    revisions: Sequence[Object],
    programmed: Sequence[Mapping[str, Any]] | None,
    domain: str,
    now: str,
) -> Decision:
    """One pass over a Service.

    ``revisions`` are all of this Service's with their present status, ``programmed`` is the
    traffic that the data plane has confirmed (None: nothing yet).
    """
    latest = revision_room.newest(revisions)
    created = None
    if latest is None or not revision_room.has_template(latest, service["spec"]["template"]):
        number = 1 if latest is None else revision_room.generation(latest) + 1
        latest = created = revision_room.make(service, number)
    stored = objects.dig(service, "status", default={})
    managed = conditions.Conditions(stored.get("conditions", ()), DEPENDENTS, now)
    managed.initialize()
    latest_ready = _configure(managed, latest, revisions, stored.get("latestReadyRevisionName", ""))
    by_name = {objects.name(each): each for each in revisions}
    with_conditions = {**service, "status": {"conditions": managed.as_list()}}
    resolved = route.resolve(with_conditions, by_name, latest_ready, domain)
    traffic = None if isinstance(resolved, route.Unresolved) else resolved
    reported = _report_route(managed, resolved, programmed, stored.get("traffic"))
    status: Object = {
        "observedGeneration": objects.dig(service, "metadata", "generation", default=1),
        "conditions": managed.as_list(),
        "latestCreatedRevisionName": objects.name(latest),
        "url": route.url(objects.name(service), service, domain),
        "address": {"url": internal_url(service)},
    }
    if latest_ready:
        status["latestReadyRevisionName"] = latest_ready
    if reported:
        status["traffic"] = reported
    return Decision(created, traffic, status)


def internal_url(service: Mapping[str, Any]) -> str:
    """The Service's name inside the cluster."""
    return f"http://{objects.name(service)}.{objects.namespace(service)}.svc.cluster.local"


def _configure(
    managed: conditions.Conditions,
    latest: Object,
    revisions: Sequence[Object],
    latest_ready: str,
) -> str:
    """Mark ConfigurationsReady and return the name of the latest ready revision."""
    latest_name = objects.name(latest)
    judged = objects.dig(latest, "status", "conditions", default=[])
    if latest_name != latest_ready:
        managed.mark(CONFIGURATIONS_READY, "Unknown")
    if conditions.is_false(judged):
        ready = conditions.find(judged, conditions.READY) or {}
        text = f'Revision "{latest_name}" failed with message: {ready.get("message", "")}.'
        managed.mark(CONFIGURATIONS_READY, "False", "RevisionFailed", text)
    numbers = {objects.name(each): revision_room.generation(each) for each in revisions}
    oldest = numbers.get(latest_ready, 0)
    candidates = [
        each
        for each in revisions
        if revision_room.generation(each) >= oldest and revision_room.is_ready(each)
    ]
    found = revision_room.newest(candidates)
    if found is not None:
        latest_ready = objects.name(found)
        if latest_ready == latest_name:
            managed.mark(CONFIGURATIONS_READY, "True")
    return latest_ready


def _report_route(
    managed: conditions.Conditions,
    resolved: list[Object] | route.Unresolved,
    programmed: Sequence[Mapping[str, Any]] | None,
    stored: list[Object] | None,
) -> list[Object] | None:
    """Mark RoutesReady and return the traffic that is in effect."""
    if isinstance(resolved, route.Unresolved):
        managed.mark(ROUTES_READY, resolved.status, resolved.reason, resolved.message)
        return stored
    if programmed is None or list(programmed) != resolved:
        managed.mark(
            ROUTES_READY,
            "Unknown",
            "IngressNotConfigured",
            "Ingress has not yet been reconciled.",
        )
        return stored
    managed.mark(ROUTES_READY, "True")
    return resolved

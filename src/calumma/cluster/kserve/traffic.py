"""The split of a component's traffic, and which revision counts as rolled out.

KServe keeps two names for each component: the latest rolled out revision (LRO), which is the
stable side of a canary, and the one before it (PRO), which a rollback after a promotion returns
to. There is no other history.
Sources: kserve ``reconcilers/knative/ksvc_reconciler.go`` (targets) and ``PropagateStatus`` in
``inference_service_status.go`` (bookkeeping).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

from calumma.cluster import objects
from calumma.cluster.objects import Object


class Rollout(NamedTuple):
    """The latest and the previous rolled out revision; empty when there is none."""

    latest: str
    previous: str


def targets(canary_percent: int | None, latest_rolled_out: str, *, tags: bool) -> list[Object]:
    """The Knative Service's ``spec.traffic``.

    ``tags`` gives the latest target the tag ``latest``; the previous one is always ``prev``.
    """
    if canary_percent is None or not latest_rolled_out:
        return [_latest(100, tags=tags)]
    wanted = [_latest(canary_percent, tags=tags)]
    if canary_percent < 100:
        wanted.append(
            {
                "revisionName": latest_rolled_out,
                "latestRevision": False,
                "percent": 100 - canary_percent,
                "tag": "prev",
            }
        )
    return wanted


def rolled_out(rollout: Rollout, service_status: Mapping[str, Any]) -> Rollout:
    """The bookkeeping after the data plane's traffic has been observed.

    All traffic on a new latest ready revision promotes it. A split that falls entirely on the
    revision that is rolled out already means a rollback after a promotion: the previous one
    becomes the stable side again.
    """
    ready = service_status.get("latestReadyRevisionName", "")
    created = service_status.get("latestCreatedRevisionName", "")
    traffic = objects.dig(service_status, "traffic", default=[])
    shares: Counter[str] = Counter()
    for entry in traffic:
        shares[entry["revisionName"]] += entry["percent"]
    for entry in traffic:
        if not entry["latestRevision"] or entry["revisionName"] != ready:
            continue
        if rollout.latest != ready:
            if entry["percent"] == 100:
                rollout = Rollout(ready, rollout.latest)
        elif (
            ready == created
            and entry["percent"] < 100
            and shares[ready] == 100
            and rollout.previous
        ):
            rollout = Rollout(rollout.previous, rollout.previous)
    return rollout


def _latest(percent: int, *, tags: bool) -> Object:
    target: Object = {"latestRevision": True, "percent": percent}
    if tags:
        target["tag"] = "latest"
    return target

"""A Deployment: from its template to ReplicaSets with numbers of pods, and its status.

:func:`decide` is one pass of Kubernetes' Deployment controller. An update makes a new ReplicaSet,
or finds the one that has the template already, and moves the pods over step by step
(:mod:`.strategy`); ReplicaSets that are empty stay as history.
Source: Kubernetes' ``pkg/controller/deployment`` (``sync.go``, ``progress.go``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from calumma.cluster import conditions, objects
from calumma.cluster.apps import replicaset, strategy
from calumma.cluster.objects import Object

AVAILABLE = "Available"
PROGRESSING = "Progressing"
COMPLETE = "NewReplicaSetAvailable"
TIMED_OUT = "ProgressDeadlineExceeded"

HISTORY = 10
DEADLINE = 600
"""Kubernetes' ``revisionHistoryLimit`` and ``progressDeadlineSeconds`` where none is given."""

_COUNTS = {
    "replicas": "replicas",
    "updatedReplicas": "replicas",
    "readyReplicas": "readyReplicas",
    "availableReplicas": "availableReplicas",
}


class Owned(NamedTuple):
    """A ReplicaSet of the Deployment with its present status, and all its pods, ending or not."""

    object: Object
    pods: int


class Decision(NamedTuple):
    """What one pass wants: ReplicaSets to create, to update and to delete, and the status.

    ``number`` counts the Deployment's updates; it is an annotation of the Deployment.
    """

    create: list[Object]
    update: list[Object]
    delete: list[Object]
    status: Object
    number: int


def decide(deployment: Object, owned: Sequence[Owned], now: str) -> Decision:
    """One pass; ``now`` is an RFC 3339 time."""
    template = deployment["spec"]["template"]
    by_age = sorted(owned, key=lambda each: replicaset.number(each.object))
    matching = [each for each in by_age if replicaset.has_template(each.object, template)]
    new = matching[-1] if matching else None
    old = [each for each in by_age if each is not new]
    latest = max((replicaset.number(each.object) for each in old), default=0)
    known = replicaset.number(new.object) if new else 0
    number = known if known > latest else latest + 1
    step = _step(deployment, new, old)
    created: list[Object] = []
    updated: list[Object] = []
    if new is not None:
        updated += _changed(new.object, step.new, number)
    elif not _waits(deployment, old):
        created.append(replicaset.make(deployment, step.new, number))
    for each, count in zip(old, step.old, strict=True):
        updated += _changed(each.object, count, replicaset.number(each.object))
    current = new.object if new else None
    status = _status(deployment, current, [each.object for each in owned], created, now)
    return Decision(created, updated, _history(deployment, old), status, number)


def is_complete(deployment: Mapping[str, Any]) -> bool:
    """Whether the present template runs in all pods that there should be, and no other does."""
    status = objects.dig(deployment, "status", default={})
    return _is_reached(deployment, status) and is_observed(deployment)


def is_settled(deployment: Mapping[str, Any]) -> bool:
    """Whether the present template's update came to an end, good or bad."""
    stated = objects.dig(deployment, "status", "conditions", default=())
    reason = (conditions.find(stated, PROGRESSING) or {}).get("reason")
    return is_complete(deployment) or (reason == TIMED_OUT and is_observed(deployment))


def is_observed(deployment: Mapping[str, Any]) -> bool:
    """Whether the status is about the present spec."""
    observed = objects.dig(deployment, "status", "observedGeneration", default=0)
    return bool(observed >= objects.dig(deployment, "metadata", "generation", default=1))


def available(deployment: Mapping[str, Any] | None) -> int:
    """How many pods can take requests."""
    return int(objects.dig(deployment, "status", "availableReplicas", default=0))


def _replicas(deployment: Mapping[str, Any]) -> int:
    return int(objects.dig(deployment, "spec", "replicas", default=1))


def _step(deployment: Object, new: Owned | None, old: Sequence[Owned]) -> strategy.Step:
    plan = objects.dig(deployment, "spec", "strategy", default={})
    groups = [_group(each) for each in old]
    first = strategy.Group(0, 0, 0) if new is None else _group(new)
    return strategy.step(_replicas(deployment), plan, first, groups)


def _waits(deployment: Object, old: Sequence[Owned]) -> bool:
    """Whether the strategy lets the old pods end before there is a new ReplicaSet."""
    kind = objects.dig(deployment, "spec", "strategy", "type", default="")
    return kind == "Recreate" and any(replicaset.wanted(e.object) or e.pods for e in old)


def _group(owned: Owned) -> strategy.Group:
    wanted = replicaset.wanted(owned.object)
    ready = objects.dig(owned.object, "status", "availableReplicas", default=0)
    return strategy.Group(wanted, min(wanted, ready), owned.pods)


def _changed(replica_set: Object, count: int, number: int) -> list[Object]:
    """The ReplicaSet with another count or number, if either is another."""
    annotations = {**objects.annotations_of(replica_set), replicaset.REVISION: str(number)}
    metadata = {**replica_set["metadata"], "annotations": annotations}
    changed = {
        **replica_set,
        "metadata": metadata,
        "spec": {**replica_set["spec"], "replicas": count},
    }
    return [] if changed == replica_set else [changed]


def _history(deployment: Object, old: Sequence[Owned]) -> list[Object]:
    """The oldest empty ReplicaSets beyond those that are kept."""
    limit = int(objects.dig(deployment, "spec", "revisionHistoryLimit", default=HISTORY))
    empty = [each.object for each in old if not replicaset.wanted(each.object) and not each.pods]
    return empty[: max(0, len(empty) - limit)]


def _status(
    deployment: Object,
    new: Object | None,
    sets: Sequence[Object],
    created: Sequence[Object],
    now: str,
) -> Object:
    counts = dict.fromkeys(_COUNTS, 0)
    for each in sets:
        for shown, counted in _COUNTS.items():
            if shown != "updatedReplicas" or each is new:
                counts[shown] += objects.dig(each, "status", counted, default=0)
    total = sum(replicaset.wanted(each) for each in sets)
    counts["unavailableReplicas"] = max(0, total - counts["availableReplicas"])
    stored = objects.dig(deployment, "status", default={})
    status: Object = {key: count for key, count in counts.items() if count}
    status["observedGeneration"] = objects.dig(deployment, "metadata", "generation", default=1)
    progress = _progress(deployment, counts, stored, new, created, now)
    kept = [progress] if progress is not None else []
    status["conditions"] = [_availability(deployment, counts, stored, now), *kept]
    return status


def _availability(
    deployment: Object, counts: Mapping[str, int], stored: Mapping[str, Any], now: str
) -> Object:
    replicas = _replicas(deployment)
    plan = objects.dig(deployment, "spec", "strategy", default={})
    least = replicas - strategy.bounds(plan, replicas).unavailable
    if counts["availableReplicas"] >= least:
        new = _made("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    else:
        text = "Deployment does not have minimum availability."
        new = _made("False", "MinimumReplicasUnavailable", text)
    return _kept(AVAILABLE, new, stored, now)


def _progress(
    deployment: Object,
    counts: Mapping[str, int],
    stored: Mapping[str, Any],
    new: Object | None,
    created: Sequence[Object],
    now: str,
) -> Object | None:
    """The condition Progressing: it moves with every pod that comes or goes, until the deadline."""
    before = conditions.find(stored.get("conditions", ()), PROGRESSING)
    for each in created:
        text = f'Created new replica set "{objects.name(each)}"'
        return _kept(PROGRESSING, _made("True", "NewReplicaSetCreated", text), stored, now)
    if new is None:
        return dict(before) if before is not None else None
    same = counts["replicas"] == counts["updatedReplicas"]
    if before is not None and before["reason"] == COMPLETE and same:
        return dict(before)
    subject = f'ReplicaSet "{objects.name(new)}"'
    if _is_reached(deployment, counts):
        found = _made("True", COMPLETE, f"{subject} has successfully progressed.")
        return _kept(PROGRESSING, found, stored, now)
    if _moved(counts, stored) or before is None:
        found = _made("True", "ReplicaSetUpdated", f"{subject} is progressing.")
        return {**_kept(PROGRESSING, found, stored, now), "lastUpdateTime": now}
    if _is_late(deployment, before, now):
        found = _made("False", TIMED_OUT, f"{subject} has timed out progressing.")
        return _kept(PROGRESSING, found, stored, now)
    return dict(before)


def _is_reached(deployment: Mapping[str, Any], counts: Mapping[str, Any]) -> bool:
    replicas = _replicas(deployment)
    return all(counts.get(key, 0) == replicas for key in _COUNTS if key != "readyReplicas")


def _moved(counts: Mapping[str, int], stored: Mapping[str, Any]) -> bool:
    """Whether a pod came up or an old one went since the stored status."""
    was = {key: stored.get(key, 0) for key in _COUNTS}
    rising = ("updatedReplicas", "readyReplicas", "availableReplicas")
    old_before = was["replicas"] - was["updatedReplicas"]
    old_now = counts["replicas"] - counts["updatedReplicas"]
    return any(counts[key] > was[key] for key in rising) or old_now < old_before


def _is_late(deployment: Object, before: Mapping[str, Any], now: str) -> bool:
    if before["reason"] == COMPLETE:
        return False
    deadline = int(objects.dig(deployment, "spec", "progressDeadlineSeconds", default=DEADLINE))
    since = datetime.fromisoformat(now) - datetime.fromisoformat(before["lastUpdateTime"])
    return since.total_seconds() > deadline


def _made(status: str, reason: str, message: str) -> Object:
    return {"status": status, "reason": reason, "message": message}


def _kept(kind: str, new: Object, stored: Mapping[str, Any], now: str) -> Object:
    """A condition whose times move only with it: one with its status, one with its reason."""
    old = conditions.find(stored.get("conditions", ()), kind)
    if old is not None and (old["status"], old["reason"]) == (new["status"], new["reason"]):
        return {**dict(old), "message": new["message"]}
    since = old["lastTransitionTime"] if old and old["status"] == new["status"] else now
    return {"type": kind, **new, "lastUpdateTime": now, "lastTransitionTime": since}

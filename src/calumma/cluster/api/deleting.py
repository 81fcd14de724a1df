"""Delete objects: at once, or when their finalizers allow.

An object without finalizers goes at once. One with finalizers is marked with a
``deletionTimestamp`` and goes when the last finalizer does (:mod:`.writing` sees to that); a
namespace is marked and goes when :mod:`.garbage` has emptied it.
Source: Kubernetes' ``apiserver/pkg/registry/generic/registry/store.go`` and ``rest/delete.go``.
"""

from __future__ import annotations

from typing import Final

from calumma.cluster.api import backend, kinds, options, status
from calumma.cluster.api.backend import Backend
from calumma.cluster.api.metadata import FOREGROUND, ORPHAN
from calumma.cluster.api.resources import Resource
from calumma.cluster.api.store import Stale
from calumma.cluster.objects import Object

_PROTECTED: Final = frozenset({"default", "kube-public", "kube-system"})
_ATTEMPTS: Final = 5


async def delete(
    state: Backend, resource: Resource, namespace: str, name: str, how: options.Delete
) -> Object:
    """Delete an object; returns a Status where it is gone, the object where it is not yet.

    Raises:
        errors.Refused: 403 for protected namespaces, 404, 409 for preconditions that fail.
        errors.StoreError: the database refuses.
    """
    if resource is kinds.NAMESPACES and name in _PROTECTED:
        raise status.forbidden(resource.name, name, "this namespace may not be deleted")
    key = resource.key(namespace, name)
    for _ in range(_ATTEMPTS):
        record = state.store.get(key)
        if record.value is None:
            raise status.not_found(resource.name, name)
        old = record.value
        _check_preconditions(resource, old, how)
        finalizers = _finalizers(old, how.policy)
        held = bool(finalizers) or bool(old.get("spec", {}).get("finalizers"))
        new = _marked(resource, old, finalizers) if held else old
        if how.dry_run or (held and new == old):
            return new if held else _gone(resource, old)
        try:
            stored = await state.store.write(key, record, new, deleted=not held)
        except Stale:
            continue
        return stored if held else _gone(resource, old)
    raise status.conflict(resource.name, name)


def _check_preconditions(resource: Resource, old: Object, how: options.Delete) -> None:
    """Raise where the object is not the one that the client means to delete."""
    meta = old["metadata"]
    if how.uid not in (None, meta["uid"]):
        why = (
            f"the UID in the precondition ({how.uid}) does not match the UID in record "
            f"({meta['uid']}). The object might have been deleted and then recreated"
        )
        raise status.conflict(resource.kind_name, meta["name"], why)
    if how.revision not in (None, meta["resourceVersion"]):
        why = (
            f"the ResourceVersion in the precondition ({how.revision}) does not match the "
            f"ResourceVersion in record ({meta['resourceVersion']}). The object might have been "
            "modified"
        )
        raise status.conflict(resource.kind_name, meta["name"], why)


def _finalizers(old: Object, policy: str) -> list[str]:
    """The finalizers that hold an object which is deleted with this policy."""
    others = [f for f in old["metadata"].get("finalizers", []) if f not in (FOREGROUND, ORPHAN)]
    added = {"Foreground": [FOREGROUND], "Orphan": [ORPHAN]}.get(policy, [])
    return others + added


def _marked(resource: Resource, old: Object, finalizers: list[str]) -> Object:
    """An object that goes when its finalizers allow."""
    meta = dict(old["metadata"])
    if "deletionTimestamp" not in meta:
        meta["deletionTimestamp"] = backend.now()
        if resource is not kinds.NAMESPACES:
            meta["deletionGracePeriodSeconds"] = 0
        if "generation" in meta:
            meta["generation"] += 1
    if finalizers:
        meta["finalizers"] = finalizers
    marked = old | {"metadata": meta}
    if resource is kinds.NAMESPACES:
        marked["status"] = {**old.get("status", {}), "phase": "Terminating"}
    return marked


def _gone(resource: Resource, old: Object) -> Object:
    """What is answered when an object is gone."""
    return status.success(resource.name, old["metadata"]["name"], old["metadata"]["uid"])

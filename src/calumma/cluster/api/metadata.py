"""``metadata``: what every kind has in common, and what a write may do to it.

The room judges and completes ``metadata`` for all kinds alike; :mod:`.strategies` adds what single
kinds do, :mod:`.writing` applies both. Pure: the clock and the random parts are passed in.
Source: Kubernetes' ``apimachinery/pkg/api/validation/objectmeta.go`` and
``apiserver/pkg/registry/rest``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from calumma.cluster import objects
from calumma.cluster.api import names, status
from calumma.cluster.api.status import Cause

FOREGROUND: Final = "foregroundDeletion"
ORPHAN: Final = "orphan"
_STANDARD_FINALIZERS: Final = frozenset({FOREGROUND, ORPHAN, "kubernetes"})
_ANNOTATION_LIMIT: Final = 256 * 1024
_KEPT: Final = (
    "name",
    "namespace",
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
)
"""What an update cannot change."""


def violations(meta: Mapping[str, Any], namespaced: bool, name_rule: names.Rule) -> list[Cause]:
    """What is wrong with the metadata of an object by itself."""
    found = []
    if prefix := meta.get("generateName"):
        masked = f"{prefix[:-1]}a" if len(prefix) > 1 and prefix.endswith("-") else prefix
        found += [status.invalid("metadata.generateName", prefix, m) for m in name_rule(masked)]
    if name := meta.get("name"):
        found += [status.invalid("metadata.name", name, m) for m in name_rule(name)]
    else:
        found.append(status.required("metadata.name", "name or generateName is required"))
    if not namespaced and meta.get("namespace"):
        found.append(status.forbidden_field("metadata.namespace", "not allowed on this type"))
    for key, value in meta.get("labels", {}).items():
        for message in names.qualified_name(key):
            found.append(status.invalid("metadata.labels", key, message))
        for message in names.label_value(value):
            found.append(status.invalid("metadata.labels", value, message))
    annotations = meta.get("annotations", {})
    for key in annotations:
        for message in names.qualified_name(key.lower()):
            found.append(status.invalid("metadata.annotations", key, message))
    if sum(len(k.encode()) + len(v.encode()) for k, v in annotations.items()) > _ANNOTATION_LIMIT:
        found.append(status.too_long("metadata.annotations", _ANNOTATION_LIMIT))
    return found + _owner_violations(meta) + _finalizer_violations(meta)


def _owner_violations(meta: Mapping[str, Any]) -> list[Cause]:
    """What is wrong with ``ownerReferences``."""
    found = []
    controller = ""
    owners = meta.get("ownerReferences", [])
    for owner in owners:
        if not owner.get("apiVersion"):
            field = "metadata.ownerReferences.apiVersion"
            found.append(status.invalid(field, "", "version must not be empty"))
        for key in ("kind", "name", "uid"):
            if not owner.get(key):
                field = f"metadata.ownerReferences.{key}"
                found.append(status.invalid(field, "", "must not be empty"))
        if owner.get("controller"):
            this = f"{owner.get('kind', '')}/{owner.get('name', '')}"
            if controller:
                detail = (
                    'Only one reference can have Controller set to true. Found "true" in '
                    f"references for {controller} and {this}"
                )
                found.append(status.invalid("metadata.ownerReferences", owners, detail))
            controller = controller or this
    return found


def _finalizer_violations(meta: Mapping[str, Any]) -> list[Cause]:
    """What is wrong with ``finalizers``."""
    finalizers = meta.get("finalizers", [])
    found = [
        status.invalid("metadata.finalizers", finalizer, message)
        for finalizer in finalizers
        for message in names.qualified_name(finalizer)
    ]
    if {FOREGROUND, ORPHAN} <= set(finalizers):
        detail = f"finalizer {ORPHAN} and {FOREGROUND} cannot be both set"
        found.append(status.invalid("metadata.finalizers", finalizers, detail))
    return found


def update_violations(meta: Mapping[str, Any], old: Mapping[str, Any]) -> list[Cause]:
    """What an update of metadata may not do."""
    found = []
    added = sorted(set(meta.get("finalizers", [])) - set(old.get("finalizers", [])))
    if "deletionTimestamp" in old and added:
        listed = ", ".join(map(status.quoted, added))
        detail = (
            "no new finalizers can be added if the object is being deleted, "
            f"found new finalizers []string{{{listed}}}"
        )
        found.append(status.forbidden_field("metadata.finalizers", detail))
    for field in _KEPT:
        if meta.get(field) != old.get(field):
            value = meta.get(field, "")
            found.append(status.invalid(f"metadata.{field}", value, status.IMMUTABLE))
    return found


def finalizer_warnings(meta: Mapping[str, Any], old: Iterable[str]) -> list[str]:
    """Warnings about new finalizers without a domain."""
    warnings = []
    for finalizer in sorted(set(meta.get("finalizers", [])) - set(old)):
        if "/" in finalizer or finalizer in _STANDARD_FINALIZERS:
            continue
        path = " including a path (/)" if "." in finalizer else ""
        warnings.append(
            f'metadata.finalizers: "{finalizer}": prefer a domain-qualified finalizer name{path} '
            "to avoid accidental conflicts with other finalizer writers"
        )
    return warnings


def begin(obj: objects.Object, namespace: str, name: str, uid: str, now: str) -> None:
    """Complete the metadata of a new object in place; ``name`` is used where it has none."""
    meta = obj.setdefault("metadata", {})
    for field in ("resourceVersion", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"):
        meta.pop(field, None)
    if namespace:
        meta["namespace"] = namespace
    if name and not meta.get("name"):
        meta["name"] = name
    meta |= {"uid": uid, "creationTimestamp": now}


def carry_over(obj: objects.Object, old: Mapping[str, Any]) -> None:
    """Put back, in place, what a client need not send and cannot change."""
    meta, before = obj.setdefault("metadata", {}), old["metadata"]
    meta.setdefault("uid", before["uid"])
    for field in ("creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"):
        if field in before:
            meta[field] = before[field]
    meta.pop("generation", None)
    if "generation" in before:
        meta["generation"] = before["generation"]
    for field in ("name", "namespace"):
        if field in before:
            meta.setdefault(field, before[field])

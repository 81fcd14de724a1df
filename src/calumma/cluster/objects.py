"""Kubernetes objects as plain data: how the decisions read what the API serves.

An object is the decoded JSON itself, a ``dict``; nothing is hidden behind classes, so what a
controller decides can be compared, stored and printed as it is. Pure.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

Object = dict[str, Any]

LONGEST_NAME = 63
"""Characters of a DNS label, and so of the names that become host names."""


def dig(value: Mapping[str, Any] | None, *path: str, default: Any = None) -> Any:
    """The value at a path of keys, or ``default`` where the path ends early or holds null."""
    found: Any = value
    for key in path:
        if not isinstance(found, Mapping) or found.get(key) is None:
            return default
        found = found[key]
    return found


def name(obj: Mapping[str, Any]) -> str:
    """``metadata.name``."""
    return str(obj["metadata"]["name"])


def namespace(obj: Mapping[str, Any]) -> str:
    """``metadata.namespace``, empty for cluster-scoped objects."""
    return str(dig(obj, "metadata", "namespace", default=""))


def labels_of(obj: Mapping[str, Any]) -> dict[str, str]:
    """``metadata.labels``, empty when there are none."""
    return dict(dig(obj, "metadata", "labels", default={}))


def annotations_of(obj: Mapping[str, Any]) -> dict[str, str]:
    """``metadata.annotations``, empty when there are none."""
    return dict(dig(obj, "metadata", "annotations", default={}))


def owner(obj: Mapping[str, Any]) -> Object:
    """An owner reference to this object, for the objects that a controller makes for it."""
    return {
        "apiVersion": obj["apiVersion"],
        "kind": obj["kind"],
        "name": name(obj),
        "uid": dig(obj, "metadata", "uid", default=""),
        "controller": True,
        "blockOwnerDeletion": True,
    }


def child_name(parent: str, suffix: str) -> str:
    """``parent + suffix`` in at most 63 characters, shortened as Knative does it.

    Source: knative.dev/pkg ``kmeta.ChildName``: what does not fit is replaced by an MD5 sum.
    """
    if len(parent) + len(suffix) <= LONGEST_NAME:
        return parent + suffix
    head = LONGEST_NAME - 32
    if head <= len(suffix):
        return parent[:head] + hashlib.md5((parent + suffix).encode()).hexdigest()
    return parent[: head - len(suffix)] + hashlib.md5(parent.encode()).hexdigest() + suffix

"""What the server serves, in the two forms in which clients ask.

``kubectl`` reads the aggregated form (one answer for all groups), older clients the legacy one (one
answer for each group and version). Both are made from the rows. Pure; :mod:`.handlers` negotiates.
Source: Kubernetes' ``apidiscovery.k8s.io`` and ``meta/v1`` ``APIResourceList``.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Any, Final

from calumma.cluster.api.resources import Catalog, Resource

Document = dict[str, Any]

VERSIONS: Final = ("v2", "v2beta1")
"""The versions of the aggregated form."""


def _subresource_verbs(name: str) -> list[str]:
    return ["get"] if name == "log" else ["get", "patch", "update"]


def aggregated(catalog: Catalog, core: bool, version: str) -> Document:
    """All groups (or the core group alone), in a version of the aggregated form."""
    items = []
    for group, versions in catalog.groups().items():
        if bool(group) is core:
            continue
        items.append(
            {
                "metadata": {"name": group} if group else {},
                "versions": [
                    {
                        "version": each,
                        "resources": [_entry(row) for row in catalog.in_version(group, each)],
                        "freshness": "Current",
                    }
                    for each in versions
                ],
            }
        )
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": f"apidiscovery.k8s.io/{version}",
        "metadata": {},
        "items": items,
    }


def _entry(row: Resource) -> Document:
    """One resource in the aggregated form."""
    own = row.custom
    response = {
        "group": row.group if own else "",
        "version": row.version if own else "",
        "kind": row.kind,
    }
    entry: Document = {
        "resource": row.plural,
        "responseKind": response,
        "scope": "Namespaced" if row.namespaced else "Cluster",
        "singularResource": row.singular,
        "verbs": list(row.verbs),
    }
    if row.short_names:
        entry["shortNames"] = list(row.short_names)
    if row.categories:
        entry["categories"] = list(row.categories)
    if row.subresources:
        entry["subresources"] = [
            {"subresource": name, "responseKind": response, "verbs": _subresource_verbs(name)}
            for name in row.subresources
        ]
    return entry


def versions(address: str) -> Document:
    """What ``/api`` answers to clients of the legacy form; ``address`` is host and port."""
    clients = [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}]
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": clients}


def groups(catalog: Catalog) -> Document:
    """What ``/apis`` answers to clients of the legacy form."""
    found = [_group(name, each) for name, each in catalog.groups().items() if name]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": found}


def group(catalog: Catalog, name: str) -> Document | None:
    """What ``/apis/GROUP`` answers, or None for an unknown group."""
    versions = catalog.groups().get(name) if name else None
    if versions is None:
        return None
    return {"kind": "APIGroup", "apiVersion": "v1"} | _group(name, versions)


def _group(name: str, versions: list[str]) -> Document:
    listed = [{"groupVersion": f"{name}/{each}", "version": each} for each in versions]
    return {"name": name, "versions": listed, "preferredVersion": listed[0]}


def resources(catalog: Catalog, group: str, version: str) -> Document | None:
    """What ``/api/v1`` and ``/apis/GROUP/VERSION`` answer, or None for unknown ones."""
    rows = catalog.in_version(group, version)
    if not rows:
        return None
    entries = []
    for row in rows:
        entries.append(_legacy_entry(row))
        entries += [_legacy_subresource(row, name) for name in row.subresources]
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": rows[0].api_version,
        "resources": entries,
    }


def _legacy_subresource(row: Resource, name: str) -> Document:
    """One subresource in the legacy form."""
    return {
        "name": f"{row.plural}/{name}",
        "singularName": "",
        "namespaced": row.namespaced,
        "kind": row.kind,
        "verbs": _subresource_verbs(name),
    }


def _legacy_entry(row: Resource) -> Document:
    """One resource in the legacy form."""
    entry: Document = {
        "name": row.plural,
        "singularName": row.singular,
        "namespaced": row.namespaced,
        "kind": row.kind,
        "verbs": list(row.verbs),
    }
    if row.short_names:
        entry["shortNames"] = list(row.short_names)
    if row.categories:
        entry["categories"] = list(row.categories)
    if "list" in row.verbs:
        stored = f"{row.group}/{row.stored_version or row.version}/{row.kind}"
        digest = hashlib.sha256(stored.encode()).digest()[:8]
        entry["storageVersionHash"] = base64.b64encode(digest).decode()
    return entry

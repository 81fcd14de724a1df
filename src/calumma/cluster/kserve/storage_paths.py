"""Where a component may mount what it downloads: KServe's rules for ``storageUris``.

Source: kserve ``validateMultipleStorageURIs`` in ``inference_service_validation.go``.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from calumma.cluster.kserve import vocabulary


def single_uri(component: Mapping[str, Any]) -> str | None:
    """The one ``storageUri`` of a component: of its model, or its container's STORAGE_URI."""
    for implementation in ("model", "art"):
        if isinstance(component.get(implementation), Mapping):
            uri = component[implementation].get("storageUri")
            return None if uri is None else str(uri)
    for container in component.get("containers") or []:
        if container.get("name") == vocabulary.MAIN_CONTAINER:
            for variable in container.get("env") or []:
                if variable.get("name") == "STORAGE_URI":
                    return str(variable.get("value", ""))
            return None
    return None


def objections(component: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with a component's ``storageUris``."""
    uris = component.get("storageUris")
    if uris is None:
        return
    if single_uri(component) is not None:
        yield "Setting both StorageURI and StorageURIs is not supported."
    for entry in uris:
        yield from _entry_objections(entry["uri"], entry.get("mountPath", vocabulary.MODEL_MOUNT))
    paths = [entry.get("mountPath", vocabulary.MODEL_MOUNT) for entry in uris]
    claims = [path for entry, path in zip(uris, paths, strict=True) if _is_claim(entry)]
    others = [path for entry, path in zip(uris, paths, strict=True) if not _is_claim(entry)]
    if len(others) <= 1:
        return
    if len(set(claims)) < len(claims):
        yield "PVC storage paths must be unique"
    if _common_parent(others) == "/":
        yield (
            "storage paths must have a common parent directory. Current paths: "
            f"[{' '.join(others)}] have no common parent beyond root"
        )


def _is_claim(entry: Mapping[str, Any]) -> bool:
    return str(entry["uri"]).startswith("pvc://")


def _entry_objections(uri: str, path: str) -> Iterator[str]:
    if not uri:
        yield "storage URI cannot be empty"
    if path == "/":
        yield "storage path cannot be empty"
    if not path.startswith("/"):
        yield f"storage path must be absolute: {path}"
    if ".." in path:
        yield f"storage path cannot contain '..' for security reasons: {path}"


def _common_parent(paths: Sequence[str]) -> str:
    """The longest path that begins all of these, each of which may be it."""
    return posixpath.commonpath([posixpath.join("/", path.strip("/")) for path in paths])

"""What Kubernetes does for single kinds, beyond what it does for all.

For each such kind there are three steps: what a decoded object is completed with (and its writer
owns), what the server then sets by itself, and what is wrong with it. Everything else in the room
is generic. Pure. Source: Kubernetes' ``pkg/registry/core`` and ``pkg/apis/core``.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Final, NamedTuple

from calumma.cluster.api import names, status, structure
from calumma.cluster.api.resources import Resource
from calumma.cluster.api.status import Cause
from calumma.cluster.objects import Object, dig

NAMESPACE_LABEL: Final = "kubernetes.io/metadata.name"
_LARGEST_DATA: Final = 1024 * 1024
_EVENT_FIELDS: Final[Object] = {
    "eventTime": None,
    "firstTimestamp": None,
    "lastTimestamp": None,
    "reportingComponent": "",
    "reportingInstance": "",
    "source": {},
}
"""What an Event shows even where nothing is set."""

Complete = Callable[[Object], None]
Prepare = Callable[[Object, Object | None], None]
Judge = Callable[[Object, Object | None], list[Cause]]


def _nothing(obj: Object, old: Object | None = None) -> None:
    """Most kinds need no step of their own."""


def _no_cause(obj: Object, old: Object | None) -> list[Cause]:
    """Most kinds have no rule of their own."""
    return []


class Strategy(NamedTuple):
    """The steps of one kind; they work in place."""

    complete: Complete = _nothing
    prepare: Prepare = _nothing
    judge: Judge = _no_cause


def _label_namespace(obj: Object) -> None:
    """Give a namespace the label that selects it by name."""
    meta = obj["metadata"]
    if "name" in meta:
        meta["labels"] = meta.get("labels", {}) | {NAMESPACE_LABEL: meta["name"]}


def _prepare_namespace(obj: Object, old: Object | None) -> None:
    """A namespace is active, and held by the finalizer that empties it."""
    begun = {"spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}}
    obj |= {key: (old or {}).get(key, begun[key]) for key in begun}


def _fold_string_data(obj: Object) -> None:
    """Merge ``stringData`` into ``data``, and default the type."""
    texts = obj.pop("stringData", None) or {}
    if texts:
        encoded = {key: base64.b64encode(text.encode()).decode() for key, text in texts.items()}
        obj["data"] = (obj.get("data") or {}) | encoded
    obj.setdefault("type", "Opaque")


def _drop_empty(*fields: str) -> Complete:
    """Leave empty maps out, as Go does."""

    def complete(obj: Object) -> None:
        for field in fields:
            if not obj.get(field, True):
                del obj[field]

    return complete


def _judge_data(obj: Object, old: Object | None) -> list[Cause]:
    """The rules of ConfigMaps and Secrets: keys, size, immutability."""
    found = []
    size = 0
    maps = {field: obj.get(field) or {} for field in ("data", "binaryData")}
    for field, content in maps.items():
        for key, value in content.items():
            size += len(value)
            found += [status.invalid(f"{field}[{key}]", key, m) for m in names.config_key(key)]
    for key in maps["data"].keys() & maps["binaryData"].keys():
        found.append(status.invalid(f"data[{key}]", key, "duplicate of key present in binaryData"))
    if size > _LARGEST_DATA:
        found.append(status.too_long("", _LARGEST_DATA))
    if old is not None and old.get("immutable"):
        why = "field is immutable when `immutable` is set"
        if not obj.get("immutable"):
            found.append(status.forbidden_field("immutable", why))
        for field, content in maps.items():
            if not structure.equal(content, old.get(field) or {}):
                found.append(status.forbidden_field(field, why))
    return found


def _judge_secret(obj: Object, old: Object | None) -> list[Cause]:
    """The rules of Secrets."""
    found = _judge_data(obj, old)
    if old is not None and old.get("type") != obj.get("type"):
        found.append(status.invalid("type", obj.get("type"), status.IMMUTABLE))
    return found


def _complete_event(obj: Object) -> None:
    """Show the fields that an Event always shows."""
    for field, value in _EVENT_FIELDS.items():
        obj.setdefault(field, structure.copied(value))


def _judge_event(obj: Object, old: Object | None) -> list[Cause]:
    """An event lies in the namespace of what it is about."""
    about = dig(obj, "involvedObject", "namespace", default="") or "default"
    if about != obj["metadata"].get("namespace"):
        return [status.invalid("involvedObject.namespace", about, "does not match event.namespace")]
    return []


_STRATEGIES: Final = {
    "ConfigMap": Strategy(_drop_empty("data", "binaryData"), _nothing, _judge_data),
    "Event": Strategy(_complete_event, _nothing, _judge_event),
    "Namespace": Strategy(_label_namespace, _prepare_namespace),
    "Secret": Strategy(_fold_string_data, _nothing, _judge_secret),
    "ServiceAccount": Strategy(_drop_empty("secrets", "imagePullSecrets")),
}


def of(resource: Resource) -> Strategy:
    """The steps of a kind."""
    return Strategy() if resource.group else _STRATEGIES.get(resource.kind, Strategy())

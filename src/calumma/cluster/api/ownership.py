"""Who owns which field: ``managedFields`` and server-side apply.

Every write leaves a mark: an update owns what it changed, an applied configuration owns what it
says. Applying takes fields away that the same manager no longer says, and refuses to change fields
of others unless forced. The room guarantees that the entries are those of a real API server, so
that ``kubectl apply --server-side`` and its migration from client-side apply work. Pure: the clock
is passed in. :mod:`.writing` calls it for each write.
Source: sigs.k8s.io/structured-merge-diff ``merge``, Kubernetes' ``apimachinery/managedfields``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

from calumma.cluster.api import fieldset, status, structure, typed
from calumma.cluster.api.fieldset import EMPTY, FieldSet
from calumma.cluster.api.schema import Node
from calumma.cluster.objects import Object, dig

LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
_KUBECTL: Final = "kubectl"
_MOST_UPDATERS: Final = 10
_ANCIENT: Final = "ancient-changes"
_SYSTEM_FIELDS: Final = (
    "creationTimestamp",
    "generation",
    "managedFields",
    "name",
    "namespace",
    "resourceVersion",
    "selfLink",
    "uid",
)
_NEVER: Final[FieldSet] = frozenset(
    {("f:apiVersion",), ("f:kind",), ("f:metadata",)}
    | {("f:metadata", fieldset.field(name)) for name in _SYSTEM_FIELDS}
)
"""Fields that nobody owns."""
_BEFORE_APPLY: Final = "before-first-apply"


class Manager(NamedTuple):
    """Who wrote, how, and through which subresource."""

    name: str
    operation: str
    version: str
    subresource: str

    def __str__(self) -> str:
        text = status.quoted(self.name)
        if self.subresource:
            text += f" with subresource {status.quoted(self.subresource)}"
        return text if self.operation == "Apply" else f"{text} using {self.version}"


@dataclass(frozen=True)
class Owned:
    """What a manager owns, and when it last changed that."""

    fields: FieldSet
    time: str = ""


Managers = dict[Manager, Owned]


@dataclass(frozen=True)
class Writer:
    """A write: by whom, when and through which subresource."""

    manager: str
    now: str
    subresource: str = ""

    def of(self, operation: str, version: str) -> Manager:
        """The manager that this write makes."""
        return Manager(self.manager, operation, version, self.subresource)


def decode(entries: Any) -> Managers:
    """The managers of ``metadata.managedFields``; entries that make no sense are forgotten."""
    managers: Managers = {}
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, dict) and entry.get("operation") in ("Apply", "Update"):
            manager = Manager(
                entry.get("manager", ""),
                entry["operation"],
                entry.get("apiVersion", ""),
                entry.get("subresource", ""),
            )
            fields = fieldset.decode(entry.get("fieldsV1") or {})
            managers[manager] = Owned(fields, entry.get("time") or "")
    return managers


def encode(managers: Managers) -> list[Object]:
    """``metadata.managedFields``: those who apply first, then by time and name."""

    def order(manager: Manager) -> tuple[str, ...]:
        rest = (manager.name, manager.version, manager.subresource)
        return (manager.operation, managers[manager].time, *rest)

    entries = []
    for manager in sorted(managers, key=order):
        entry: Object = {
            "manager": manager.name,
            "operation": manager.operation,
            "apiVersion": manager.version,
            "time": managers[manager].time,
            "fieldsType": "FieldsV1",
            "fieldsV1": fieldset.encode(managers[manager].fields),
            "subresource": manager.subresource,
        }
        entries.append({key: value for key, value in entry.items() if value != ""})
    return entries


def _plain(obj: Mapping[str, Any]) -> Object:
    """An object without its managed fields."""
    meta = {k: v for k, v in obj.get("metadata", {}).items() if k != "managedFields"}
    return {**obj, "metadata": meta}


def _with(obj: Object, managers: Managers) -> Object:
    """An object with these managed fields."""
    meta = {k: v for k, v in obj["metadata"].items() if k != "managedFields"}
    if managers:
        meta["managedFields"] = encode(managers)
    return obj | {"metadata": meta}


def updated(live: Object | None, new: Object, schema: Node, writer: Writer) -> Object:
    """The new object with managed fields that say who changed what.

    Args:
        live: what is replaced; None for a new object.
        new: what replaces it. Managed fields in it are taken over, as a way to edit them;
            one empty entry clears them, and cleared ones stay so until someone applies.
        schema: of both.
        writer: who writes.
    """
    managers = _kept_managers(live, new, writer)
    if live is not None and not managers:
        return _with(new, {})
    changes = typed.difference(_plain(live or {}), _plain(new), schema)
    taken = changes.added | changes.modified
    managers = _released(managers, taken | changes.removed)
    mine = taken - _NEVER
    if mine:
        me = writer.of("Update", new["apiVersion"])
        before = managers[me].fields if me in managers else EMPTY
        managers[me] = Owned(before | mine, writer.now)
    return _with(new, _capped(managers))


def _kept_managers(live: Object | None, new: Object, writer: Writer) -> Managers:
    """The managers to go on from: the request's own, or else those of the live object."""
    entries = dig(new, "metadata", "managedFields", default=[])
    if not writer.subresource:
        if entries == [{}]:
            return {}
        if managers := decode(entries):
            return managers
    return decode(dig(live, "metadata", "managedFields", default=[]))


def _released(managers: Managers, fields: FieldSet) -> Managers:
    """The managers without these fields; who has none left is gone."""
    rest = {m: replace(owned, fields=owned.fields - fields) for m, owned in managers.items()}
    return {manager: owned for manager, owned in rest.items() if owned.fields}


def _capped(managers: Managers) -> Managers:
    """At most so many updaters: the oldest are remembered as one."""
    updaters = [manager for manager in managers if manager.operation == "Update"]
    excess = len(updaters) - _MOST_UPDATERS
    if excess <= 0:
        return managers
    oldest = sorted(updaters, key=lambda m: (managers[m].time, m.name))[: excess + 1]
    rest = {manager: owned for manager, owned in managers.items() if manager not in oldest}
    for manager in oldest:
        bucket = Manager(_ANCIENT, "Update", manager.version, "")
        before = rest.get(bucket, Owned(EMPTY))
        both = before.fields | managers[manager].fields
        rest[bucket] = Owned(both, max(before.time, managers[manager].time))
    return rest


def applied(
    live: Object | None, config: Object, schema: Node, writer: Writer, force: bool
) -> Object:
    """The live object with a configuration applied to it, managed fields included.

    Args:
        live: the object as it is; None where it does not exist yet.
        config: the applied configuration.
        schema: of both.
        writer: who applies.
        force: whether to take fields from other managers.

    Raises:
        errors.Refused: 400 for a configuration with managed fields, 409 for conflicts, 500 for
            fields that the schema does not declare, as a real API server answers.
    """
    if dig(config, "metadata", "managedFields") is not None:
        raise status.bad_request("metadata.managedFields must be nil")
    if misfits := list(typed.misfits(config, schema)):
        listed = misfits[0] if len(misfits) == 1 else "errors:\n  " + "\n  ".join(misfits)
        raise status.failed(f"failed to create typed patch object ({_shown(config)}): {listed}")
    base = live or {"apiVersion": config["apiVersion"], "kind": config["kind"]}
    mine = typed.fields(config, schema) - _NEVER
    managers = decode(dig(live, "metadata", "managedFields", default=[]))
    if live is not None and not managers:
        there = typed.difference({}, _plain(live), schema).added - _NEVER
        managers[Manager(_BEFORE_APPLY, "Update", live["apiVersion"], "")] = Owned(
            there, writer.now
        )
    me, last = _applier(managers, writer, config["apiVersion"])
    managers.pop(me, None)
    merged = typed.merged(_plain(base), config, schema)
    managers[me] = Owned(mine, last.time)
    merged = _pruned(merged, schema, last.fields, managers)
    changes = typed.difference(_plain(base), merged, schema)
    taken = changes.added | changes.modified
    others = {manager: owned for manager, owned in managers.items() if manager != me}
    if not force:
        _refuse_conflicts(others, taken, live, schema, writer)
    managers = _released(others, taken | changes.removed)
    if mine:
        moved = any(changes)
        managers[me] = Owned(mine, writer.now if moved else last.time)
    return _with(_annotated(merged, config, writer), managers)


def _applier(managers: Managers, writer: Writer, version: str) -> tuple[Manager, Owned]:
    """This applier and what it owned so far, under whatever version it applied."""
    for manager, owned in managers.items():
        if manager._replace(version="") == writer.of("Apply", ""):
            return manager, owned
    return writer.of("Apply", version), Owned(EMPTY)


def _pruned(merged: Object, schema: Node, last: FieldSet, managers: Managers) -> Object:
    """The object without what its applier used to say, and nobody says any more."""
    owned = frozenset(path for o in managers.values() for path in o.fields)
    covered = {path[:length] for path in owned for length in range(1, len(path) + 1)}
    unwanted = frozenset(path for path in last if path not in covered)
    result: Object = typed.without(merged, schema, unwanted)
    return result


def _refuse_conflicts(
    others: Managers, taken: FieldSet, live: Object | None, schema: Node, writer: Writer
) -> None:
    """Raise where fields that would change belong to others.

    ``kubectl`` may take over what its own client-side apply left behind.
    """
    allowed = EMPTY
    if writer.manager == _KUBECTL and live is not None:
        allowed = _last_applied_fields(live, schema)
    conflicts = [
        (manager, path)
        for manager in sorted(others)
        for path in sorted((others[manager].fields & taken) - allowed)
    ]
    if not conflicts:
        return
    causes = [
        status.Cause("FieldManagerConflict", fieldset.text(path), f"conflict with {manager}")
        for manager, path in conflicts
    ]
    if len(conflicts) == 1:
        manager, path = conflicts[0]
        text = f"1 conflict: conflict with {manager}: {fieldset.text(path)}"
    else:
        lines = []
        for manager in dict.fromkeys(manager for manager, _ in conflicts):
            lines.append(f"conflicts with {manager}:")
            lines += [f"- {fieldset.text(path)}" for owner, path in conflicts if owner == manager]
        text = f"{len(conflicts)} conflicts: " + "\n".join(lines)
    raise status.apply_conflict(f"Apply failed with {text}", causes)


def _last_applied_fields(live: Object, schema: Node) -> FieldSet:
    """The fields that ``kubectl apply`` noted in its annotation and that are still so."""
    text = dig(live, "metadata", "annotations", LAST_APPLIED, default="")
    try:
        noted = json.loads(text)
    except ValueError:
        return EMPTY
    if not isinstance(noted, dict) or noted.get("apiVersion") != live["apiVersion"]:
        return EMPTY
    changes = typed.difference(noted, _plain(live), schema)
    return typed.fields(noted, schema) - changes.modified - changes.added - changes.removed


def _annotated(obj: Object, config: Object, writer: Writer) -> Object:
    """The object with kubectl's annotation brought up to date, where it has one."""
    noted = dig(obj, "metadata", "annotations", LAST_APPLIED)
    if writer.manager != _KUBECTL or noted is None:
        return obj
    copy = structure.copied(config)
    dig(copy, "metadata", "annotations", default={}).pop(LAST_APPLIED, None)
    text = json.dumps(copy, sort_keys=True, separators=(",", ":"), ensure_ascii=False) + "\n"
    annotations = obj["metadata"]["annotations"] | {LAST_APPLIED: text}
    return obj | {"metadata": obj["metadata"] | {"annotations": annotations}}


def _shown(config: Object) -> str:
    """An object as the texts of failed applies name it."""
    namespace = dig(config, "metadata", "namespace", default="")
    name = dig(config, "metadata", "name", default="")
    return f"{namespace}/{name}; {config['apiVersion']}, Kind={config['kind']}"

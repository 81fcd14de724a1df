"""Create, update, patch and apply, for all kinds alike.

A write goes through the same stations as in a real API server, in the same order: shape, ownership,
mutating admission, system fields, validation, validating admission, store. Whatever fails, nothing
is stored; a dry run stops before the store. A write that changes nothing keeps its
``resourceVersion``. :mod:`.deleting` ends objects, :mod:`.handlers` calls both.
Source: Kubernetes' ``apiserver/pkg/endpoints/handlers`` and ``pkg/registry``.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from calumma import errors
from calumma.cluster.api import (
    backend,
    decoding,
    kinds,
    metadata,
    objections,
    ownership,
    status,
    strategies,
    structure,
)
from calumma.cluster.api.backend import Backend, Call, Operation
from calumma.cluster.api.resources import Resource
from calumma.cluster.api.store import Record, Stale
from calumma.cluster.objects import Object, dig

Change = Callable[[Object], Object]
"""From the stored object to what shall be stored; may raise a refusal."""

_ALPHABET: Final = "bcdfghjklmnpqrstvwxz2456789"
_LONGEST_PREFIX: Final = 58
_ATTEMPTS: Final = 5
_MISTYPED: Final = "FieldValueTypeInvalid"


async def create(state: Backend, call: Call, obj: Object) -> Object:
    """Store a new object.

    Raises:
        errors.Refused: as a real API server refuses.
        errors.StoreError: the database does.
    """
    resource = call.resource
    objections.check_names(call, obj)
    objections.check_creatable(state, call, dig(obj, "metadata", "name", default=""))
    meta = obj["metadata"]
    versioned = bool(meta.get("resourceVersion"))
    if not meta.get("name") and meta.get("generateName"):
        suffix = "".join(random.choices(_ALPHABET, k=5))
        meta["name"] = meta["generateName"][:_LONGEST_PREFIX] + suffix
    metadata.begin(obj, call.namespace, call.name, backend.new_uid(), backend.now())
    _reset_status(obj, None, resource)
    strategies.of(resource).complete(obj)
    obj = ownership.updated(None, obj, state.schemas.of(resource.schema), call.writer)
    obj = _admitted(state, call, None, obj)
    if versioned:
        raise status.failed("resourceVersion should not be set on objects to be created")
    return await _insert(state, call, obj)


async def _insert(state: Backend, call: Call, obj: Object) -> Object:
    """Store a completed new object."""
    key = call.resource.key(call.namespace, obj["metadata"]["name"])
    record = state.store.get(key)
    if record.value is not None:
        raise status.already_exists(call.resource.name, obj["metadata"]["name"])
    if call.options.dry_run:
        return obj
    try:
        return await state.store.write(key, record, obj)
    except Stale as error:
        raise status.already_exists(call.resource.name, obj["metadata"]["name"]) from error


async def update(state: Backend, call: Call, change: Change) -> Object:
    """Store a changed object; ``change`` is called again where another write comes between.

    Raises:
        errors.Refused: as a real API server refuses.
        errors.StoreError: the database does.
    """
    key = call.resource.key(call.namespace, call.name)
    for _ in range(_ATTEMPTS):
        record = state.store.get(key)
        if record.value is None:
            raise status.not_found(call.resource.name, call.name)
        old = record.value
        new = change(structure.copied(old))
        objections.check_names(call, new)
        objections.check_versions(call, new, old)
        new["metadata"] |= {"resourceVersion": old["metadata"]["resourceVersion"]}
        _carry_over(call, new, old)
        new = ownership.updated(old, new, state.schemas.of(call.resource.schema), call.writer)
        try:
            return await _replace(state, call, key, record, new)
        except Stale:
            continue
    raise status.conflict(call.resource.name, call.name)


async def apply(state: Backend, call: Call, config: Object) -> tuple[Object, bool]:
    """Apply a configuration; returns the object, and whether that created it.

    Raises:
        errors.Refused: as a real API server refuses.
        errors.StoreError: the database does.
    """
    resource = call.resource
    schema = state.schemas.of(resource.schema)
    key = resource.key(call.namespace, call.name)
    wanted = dig(config, "metadata", "resourceVersion")
    config = _applicable(call, config)
    for _ in range(_ATTEMPTS):
        record = state.store.get(key)
        old = record.value
        if old is not None and wanted not in (None, old["metadata"]["resourceVersion"]):
            raise status.conflict(resource.name, call.name)
        if old is None and call.subresource:
            raise status.not_found(resource.name, call.name)
        new = ownership.applied(old, config, schema, call.writer, call.options.force)
        try:
            new = decoding.shape(structure.copied(new), resource, state.schemas).value
        except decoding.Misfit as error:
            raise status.bad_request(f"error decoding patch: {error}") from error
        objections.check_names(call, new)
        try:
            if old is None:
                return await _insert(state, call, _begun(state, call, new)), True
            _carry_over(call, new, old)
            return await _replace(state, call, key, record, new), False
        except Stale:
            continue
    raise status.conflict(resource.name, call.name)


def _applicable(call: Call, config: Object) -> Object:
    """The part of a configuration that an endpoint applies."""
    config = {**config, "metadata": dict(config.get("metadata") or {})}
    config["metadata"].pop("resourceVersion", None)
    if call.subresource:
        names = {key: config["metadata"].get(key) for key in ("name", "namespace")}
        meta = {key: value for key, value in names.items() if value}
        kept = {key: config[key] for key in ("apiVersion", "kind", "status") if key in config}
        return kept | {"metadata": meta}
    if "status" in call.resource.subresources:
        config.pop("status", None)
    return config


def _begun(state: Backend, call: Call, obj: Object) -> Object:
    """A new object that an applied configuration creates, completed."""
    objections.check_creatable(state, call, call.name)
    metadata.begin(obj, call.namespace, call.name, backend.new_uid(), backend.now())
    strategies.of(call.resource).complete(obj)
    return _admitted(state, call, None, obj)


async def _replace(state: Backend, call: Call, key: str, record: Record, new: Object) -> Object:
    """Store the successor of an object, unless it is the same."""
    old = record.value or {}
    new = _admitted(state, call, old, new)
    meta = new["metadata"]
    if structure.equal(new, old):
        return old
    if call.options.dry_run:
        return new
    ends = "deletionTimestamp" in meta and not meta.get("finalizers")
    deleted = ends and call.resource is not kinds.NAMESPACES
    return await state.store.write(key, record, new, deleted=deleted)


def _carry_over(call: Call, new: Object, old: Object) -> None:
    """Put back, in place, what the endpoint does not write."""
    resource = call.resource
    if call.subresource:
        kept = {key: value for key, value in old.items() if key != "status"}
        if "status" in new:
            kept["status"] = new["status"]
        meta = dict(old["metadata"])
        if managed := new["metadata"].get("managedFields"):
            meta["managedFields"] = managed
        new.clear()
        new |= kept | {"metadata": meta}
        return
    metadata.carry_over(new, old)
    _reset_status(new, old, resource)
    strategies.of(resource).complete(new)
    strategies.of(resource).prepare(new, old)


def _reset_status(obj: Object, old: Object | None, resource: Resource) -> None:
    """Put the status back to what it was, where only its own endpoint writes it."""
    if "status" in resource.subresources:
        obj.pop("status", None)
        if old is not None and "status" in old:
            obj["status"] = old["status"]


def _admitted(state: Backend, call: Call, old: Object | None, new: Object) -> Object:
    """The object as it may be stored, after admission and validation.

    A value of the wrong type never reaches a webhook, whose client could not decode it.
    """
    resource = call.resource
    operation: Operation = "CREATE" if old is None else "UPDATE"
    webhooks = None if call.subresource else state.admission.get(resource)
    causes = objections.causes(state, call, old, new)
    if webhooks is not None and not any(cause.reason == _MISTYPED for cause in causes):
        with _denials():
            changed = webhooks.mutate(old, structure.copied(new), operation)
        new = _shaped(state, resource, structure.copied(changed))
        left = objections.causes(state, call, old, new)
        causes = (causes or left) if left else []
    if causes:
        name = new["metadata"].get("name", "")
        raise status.invalid_object(resource.kind_name, name, causes)
    if not call.subresource:
        _count_generation(resource, new, old)
        if old is None:
            strategies.of(resource).prepare(new, None)
    if resource.custom:
        before = dig(old, "metadata", "finalizers", default=[])
        call.warnings += metadata.finalizer_warnings(new["metadata"], before)
    if webhooks is not None and "deletionTimestamp" not in new["metadata"]:
        with _denials():
            webhooks.validate(old, new, operation)
    return new


def _shaped(state: Backend, resource: Resource, obj: Object) -> Object:
    """An object of the server's own making in the shape of its kind."""
    try:
        return decoding.shape(obj, resource, state.schemas).value
    except decoding.Misfit as error:
        raise status.internal(str(error)) from error


@contextmanager
def _denials() -> Iterator[None]:
    """Answer an admission webhook's refusal as Kubernetes does."""
    try:
        yield
    except errors.AdmissionDenied as denial:
        raise status.denied(denial) from denial


def _count_generation(resource: Resource, new: Object, old: Object | None) -> None:
    """Raise ``generation`` where anything but metadata and status changed."""
    if not resource.has_generation:
        return
    if old is None:
        new["metadata"]["generation"] = 1
        return
    before = {key: value for key, value in old.items() if key != "metadata"}
    after = {key: value for key, value in new.items() if key != "metadata"}
    count = old["metadata"].get("generation", 1)
    new["metadata"]["generation"] = count + (not structure.equal(before, after))

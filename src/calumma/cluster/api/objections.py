"""What speaks against a write: wrong names, missing namespaces, stale versions, broken rules.

The functions raise what a real API server answers, or list the causes for which it would answer
422. They read the store and change nothing. :mod:`.writing` asks them at each station of a write.
Source: Kubernetes' ``apiserver/pkg/registry/rest`` and ``pkg/registry/generic``.
"""

from __future__ import annotations

from calumma import errors
from calumma.cluster.api import kinds, metadata, status, strategies, structure, validation
from calumma.cluster.api.backend import Backend, Call
from calumma.cluster.api.schema import OPEN, Node
from calumma.cluster.api.status import Cause
from calumma.cluster.objects import Object, dig


def check_names(call: Call, obj: Object) -> None:
    """Raise where an object says that it is another one than its URL says."""
    meta = obj["metadata"]
    namespace = meta.get("namespace", "")
    if namespace and namespace != call.namespace and call.resource.namespaced:
        raise status.bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )
    name = meta.get("name", "")
    if call.name and name and name != call.name:
        raise status.bad_request(
            f"the name of the object ({name}) does not match the name on the URL ({call.name})"
        )


def check_creatable(state: Backend, call: Call, name: str) -> None:
    """Raise where nothing can be created: no such namespace, or nothing runs the kind."""
    resource = call.resource
    if resource.namespaced:
        namespace = state.store.get(kinds.NAMESPACES.key("", call.namespace)).value
        if namespace is None:
            raise status.not_found(kinds.NAMESPACES.name, call.namespace)
        if "deletionTimestamp" in namespace["metadata"]:
            why = (
                f"unable to create new content in namespace {call.namespace} "
                "because it is being terminated"
            )
            text = f"namespace {call.namespace} is being terminated"
            cause = {
                "reason": "NamespaceTerminating",
                "message": text,
                "field": "metadata.namespace",
            }
            refusal = status.forbidden(resource.name, name, why)
            details = {**(refusal.details or {}), "causes": [cause]}
            raise errors.Refused(403, "Forbidden", str(refusal), details)
    if resource.refusal:
        raise status.forbidden(resource.name, name, resource.refusal)


def check_versions(call: Call, new: Object, old: Object) -> None:
    """Raise where a write was made for another state of the object, or for another object."""
    meta = new["metadata"]
    wanted = meta.get("resourceVersion", "")
    if not wanted and call.resource.custom:
        detail = "must be specified for an update"
        cause = status.invalid("metadata.resourceVersion", 0, detail)
        raise status.invalid_object(call.resource.kind_name, call.name, [cause])
    uid, stored = meta.get("uid"), old["metadata"]["uid"]
    if uid not in (None, stored):
        key = call.resource.key(call.namespace, call.name)
        raise status.conflict(
            call.resource.name,
            call.name,
            f"StorageError: invalid object, Code: 4, Key: /registry/{key}, ResourceVersion: 0, "
            "AdditionalErrorMsg: Precondition failed: "
            f"UID in precondition: {uid}, UID in object meta: {stored}",
        )
    if wanted and wanted != old["metadata"]["resourceVersion"]:
        raise status.conflict(call.resource.name, call.name)


def causes(state: Backend, call: Call, old: Object | None, new: Object) -> list[Cause]:
    """Everything that is wrong with an object."""
    resource = call.resource
    if new["kind"] != resource.kind:
        return [status.invalid("kind", new["kind"], f"must be {resource.kind}")]
    if new.get("apiVersion") != resource.api_version:
        sent = new.get("apiVersion", "")
        return [status.invalid("apiVersion", sent, f"must be {resource.api_version}")]
    meta = new["metadata"]
    found = metadata.violations(meta, resource.namespaced, resource.name_rule)
    if old is not None:
        found += metadata.update_violations(meta, old["metadata"])
    if resource.custom:
        found += _schema_causes(state.schemas.of(resource.schema), call.subresource, old, new)
    return found + strategies.of(resource).judge(new, old)


def _schema_causes(schema: Node, subresource: str, old: Object | None, new: Object) -> list[Cause]:
    """Where a custom resource, or the status that its own endpoint writes, breaks its schema."""
    if subresource:
        if subresource not in new:
            return []
        inner = structure.child(schema, subresource) or OPEN
        before = dig(old, subresource)
        found = validation.violations(new[subresource], inner, "", before)
        fields = (f"{subresource}.{cause.field}".strip(".") for cause in found)
        return [cause._replace(field=at) for cause, at in zip(found, fields, strict=True)]
    body = {key: value for key, value in new.items() if key != "metadata"}
    return validation.violations(body, schema, "", old if old is not None else {})

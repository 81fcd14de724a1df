"""The answers of the Kubernetes API other than objects: ``Status`` bodies, word for word.

Clients match on these texts, codes and reasons, so they are those of a real API server. Every
function returns an exception to raise or a cause to put into one; :mod:`.app` turns the exceptions
into responses. Source: Kubernetes' ``apimachinery/pkg/api/errors`` and ``util/validation/field``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from calumma import errors

IMMUTABLE: Final = "field is immutable"
MODIFIED: Final = (
    "the object has been modified; please apply your changes to the latest version and try again"
)


class Cause(NamedTuple):
    """One thing that is wrong with an object: a machine's reason, where, and a sentence."""

    reason: str
    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"


class Plural(NamedTuple):
    """A resource as error texts name it: ``inferenceservices.serving.kserve.io``."""

    plural: str
    group: str

    def __str__(self) -> str:
        return f"{self.plural}.{self.group}" if self.group else self.plural


def quoted(value: Any) -> str:
    """A value as Go prints it into messages."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def invalid(field: str, value: Any, detail: str) -> Cause:
    """A value that breaks a rule."""
    return Cause("FieldValueInvalid", field, f"Invalid value: {quoted(value)}: {detail}")


def invalid_type(field: str, value: Any, detail: str) -> Cause:
    """A value of another type than the schema's."""
    return Cause("FieldValueTypeInvalid", field, f"Invalid value: {quoted(value)}: {detail}")


def required(field: str, detail: str = "") -> Cause:
    """A field that has to be there."""
    return Cause("FieldValueRequired", field, "Required value" + (f": {detail}" if detail else ""))


def unsupported(field: str, value: Any, allowed: Iterable[str]) -> Cause:
    """A value outside an enumeration."""
    values = ", ".join(quoted(item) for item in allowed)
    message = f"Unsupported value: {quoted(value)}: supported values: {values}"
    return Cause("FieldValueNotSupported", field, message)


def duplicate(field: str, value: Any) -> Cause:
    """A value that another item of a list already has."""
    return Cause("FieldValueDuplicate", field, f"Duplicate value: {quoted(value)}")


def forbidden_field(field: str, detail: str) -> Cause:
    """A value that is well formed and not allowed here."""
    return Cause("FieldValueForbidden", field, f"Forbidden: {detail}")


def too_long(field: str, limit: int) -> Cause:
    """A text of too many bytes."""
    return Cause("FieldValueTooLong", field, f"Too long: may not be more than {limit} bytes")


def too_many(field: str, count: int, limit: int) -> Cause:
    """A list of too many items."""
    items = "item" if limit == 1 else "items"
    message = f"Too many: {count}: must have at most {limit} {items}"
    return Cause("FieldValueTooMany", field, message)


def _details(name: str, group: str, kind: str) -> dict[str, Any]:
    """The ``details`` of a Status, which leave empty fields out."""
    fields = {"name": name, "group": group, "kind": kind}
    return {key: value for key, value in fields.items() if value}


def bad_request(message: str) -> errors.Refused:
    """400: the request itself makes no sense."""
    return errors.Refused(400, "BadRequest", message)


def unauthorized() -> errors.Refused:
    """401: no token, or an unknown one."""
    return errors.Refused(401, "Unauthorized", "Unauthorized")


def forbidden(resource: Plural, name: str, why: str) -> errors.Refused:
    """403: the user may not do this, or nobody may."""
    subject = f"{resource} {quoted(name)}" if name else str(resource)
    details = _details(name, resource.group, resource.plural)
    return errors.Refused(403, "Forbidden", f"{subject} is forbidden: {why}", details)


def denied(denial: errors.AdmissionDenied) -> errors.Refused:
    """403: an admission webhook refuses an object."""
    text = f'admission webhook "{denial.webhook}" denied the request: {denial}'
    return errors.Refused(403, "Forbidden", text)


def not_found(resource: Plural, name: str) -> errors.Refused:
    """404: no object of that name."""
    details = _details(name, resource.group, resource.plural)
    return errors.Refused(404, "NotFound", f"{resource} {quoted(name)} not found", details)


def no_such_path() -> errors.Refused:
    """404: a path below those of Kubernetes' own kinds that leads nowhere."""
    text = "the server could not find the requested resource"
    return errors.Refused(404, "NotFound", text, {})


def method_not_supported(resource: Plural, verb: str) -> errors.Refused:
    """405: a verb that a custom resource does not have."""
    text = f"{verb} is not supported on resources of kind {quoted(str(resource))}"
    details = _details("", resource.group, resource.plural)
    return errors.Refused(405, "MethodNotAllowed", text, details)


def method_not_allowed() -> errors.Refused:
    """405: a method that a built-in resource or a path does not have."""
    text = "the server does not allow this method on the requested resource"
    return errors.Refused(405, "MethodNotAllowed", text, {})


def not_acceptable(types: Sequence[str]) -> errors.Refused:
    """406: none of the representations that the client accepts."""
    text = f"only the following media types are accepted: {', '.join(types)}"
    return errors.Refused(406, "NotAcceptable", text)


def already_exists(resource: Plural, name: str) -> errors.Refused:
    """409: the name is taken."""
    details = _details(name, resource.group, resource.plural)
    text = f"{resource} {quoted(name)} already exists"
    return errors.Refused(409, "AlreadyExists", text, details)


def conflict(resource: Plural, name: str, why: str = MODIFIED) -> errors.Refused:
    """409: the request was made for another state of the object."""
    details = _details(name, resource.group, resource.plural)
    text = f"Operation cannot be fulfilled on {resource} {quoted(name)}: {why}"
    return errors.Refused(409, "Conflict", text, details)


def apply_conflict(message: str, causes: Iterable[Cause]) -> errors.Refused:
    """409: fields of an applied configuration belong to other managers."""
    return errors.Refused(409, "Conflict", message, {"causes": _causes(causes)})


def expired(message: str) -> errors.Refused:
    """410: a resourceVersion whose history is gone."""
    return errors.Refused(410, "Expired", message)


def too_large(limit: str) -> errors.Refused:
    """413: a body beyond the limit."""
    message = f"Request entity too large: {limit}"
    return errors.Refused(413, "RequestEntityTooLarge", message)


def unsupported_media_type(types: Sequence[str]) -> errors.Refused:
    """415: a body in a format that is not accepted here."""
    text = (
        "the body of the request was in an unknown format - "
        f"accepted media types include: {', '.join(types)}"
    )
    return errors.Refused(415, "UnsupportedMediaType", text)


def invalid_object(kind: Plural, name: str, causes: Sequence[Cause]) -> errors.Refused:
    """422: an object that breaks its schema or a rule; ``kind`` names the kind, not the plural."""
    texts = list(dict.fromkeys(str(cause) for cause in causes))
    listed = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    details = _details(name, kind.group, kind.plural) | {"causes": _causes(causes)}
    text = f"{kind} {quoted(name)} is invalid: {listed}"
    return errors.Refused(422, "Invalid", text, details)


def invalid_options(options: str, causes: Sequence[Cause]) -> errors.Refused:
    """422: query parameters that break a rule; ``options`` is their kind, as ``PatchOptions``."""
    return invalid_object(Plural(options, "meta.k8s.io"), "", causes)


def patch_failed() -> errors.Refused:
    """422: a JSON patch that does not fit the object."""
    text = "the server rejected our request due to an error in our request"
    return errors.Refused(422, "Invalid", text, {})


def failed(message: str) -> errors.Refused:
    """500: an error that Kubernetes does not classify further."""
    return errors.Refused(500, "", message)


def internal(message: str) -> errors.Refused:
    """500: the server's own failure."""
    details = {"causes": [{"message": message}]}
    return errors.Refused(500, "InternalError", f"Internal error occurred: {message}", details)


def stored(failure: errors.StoreError) -> errors.Refused:
    """500 or, where the disk is full, 507: the database refuses."""
    if isinstance(failure, errors.StoreFull):
        return errors.Refused(507, "InternalError", str(failure))
    return internal(str(failure))


def not_in_time() -> errors.Refused:
    """504: a request whose body does not come."""
    text = "Timeout: request did not complete within the allotted timeout"
    return errors.Refused(504, "Timeout", text)


def too_large_version(wanted: int, current: int) -> errors.Refused:
    """504: a resourceVersion that this server has not reached."""
    text = f"Too large resource version: {wanted}, current: {current}"
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    details = {"causes": [cause], "retryAfterSeconds": 1}
    return errors.Refused(504, "Timeout", f"Timeout: {text}", details)


def _causes(causes: Iterable[Cause]) -> list[dict[str, str]]:
    """Causes as a Status carries them."""
    return [{"reason": c.reason, "message": c.message, "field": c.field} for c in causes]


def body(refusal: errors.Refused) -> dict[str, Any]:
    """The ``Status`` object of a refusal."""
    status: dict[str, Any] = {"kind": "Status", "apiVersion": "v1", "metadata": {}}
    status |= {"status": "Failure", "message": str(refusal)}
    if refusal.reason:
        status["reason"] = refusal.reason
    if refusal.details is not None:
        status["details"] = dict(refusal.details)
    return status | {"code": refusal.code}


def success(resource: Plural, name: str, uid: str) -> dict[str, Any]:
    """The ``Status`` object of a finished deletion."""
    details = _details(name, resource.group, resource.plural) | {"uid": uid}
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": details,
    }

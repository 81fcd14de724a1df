"""Read the protobuf bodies that ``kubectl`` sends for Kubernetes' own kinds.

kubectl 1.32 and later write namespaces, config maps, secrets, service accounts and access reviews
as protobuf, clients in Go also events, and give up where that is not understood. The room decodes
the wire format by tables of field numbers into the JSON form of the same objects; answers are
always JSON. Pure.
Sources: protobuf.dev "Encoding", Kubernetes' ``generated.proto`` files and ``runtime.Unknown``.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from calumma.cluster.objects import Object

MEDIA_TYPE: Final = "application/vnd.kubernetes.protobuf"
_MAGIC: Final = b"k8s\x00"
_NO_ZEROS: Final = ("Event", "ObjectMeta")
"""The messages whose JSON form leaves out numbers that are zero."""
_YEAR_ONE: Final = datetime(1, 1, 1, tzinfo=UTC)


class Malformed(Exception):
    """Bytes that are no protobuf message, or no message of a kind that is read here."""


class Field(NamedTuple):
    """A field of a message: its JSON name, its type, and whether it repeats.

    The type is ``string``, ``bytes``, ``int``, ``bool``, ``time``, ``microtime``, ``map:string``,
    ``map:bytes`` or the name of a message.
    """

    name: str
    type: str = "string"
    repeated: bool = False


Table = dict[int, Field]

_META: Final = Field("metadata", "ObjectMeta")
MESSAGES: Final[dict[str, Table]] = {
    "ObjectMeta": {
        1: Field("name"),
        2: Field("generateName"),
        3: Field("namespace"),
        5: Field("uid"),
        6: Field("resourceVersion"),
        7: Field("generation", "int"),
        8: Field("creationTimestamp", "time"),
        9: Field("deletionTimestamp", "time"),
        11: Field("labels", "map:string"),
        12: Field("annotations", "map:string"),
        13: Field("ownerReferences", "OwnerReference", repeated=True),
        14: Field("finalizers", repeated=True),
    },
    "OwnerReference": {
        1: Field("kind"),
        3: Field("name"),
        4: Field("uid"),
        5: Field("apiVersion"),
        6: Field("controller", "bool"),
        7: Field("blockOwnerDeletion", "bool"),
    },
    "Namespace": {1: _META, 2: Field("spec", "NamespaceSpec")},
    "NamespaceSpec": {1: Field("finalizers", repeated=True)},
    "ConfigMap": {
        1: _META,
        2: Field("data", "map:string"),
        3: Field("binaryData", "map:bytes"),
        4: Field("immutable", "bool"),
    },
    "Secret": {
        1: _META,
        2: Field("data", "map:bytes"),
        3: Field("type"),
        4: Field("stringData", "map:string"),
        5: Field("immutable", "bool"),
    },
    "ServiceAccount": {
        1: _META,
        2: Field("secrets", "ObjectReference", repeated=True),
        3: Field("imagePullSecrets", "LocalObjectReference", repeated=True),
        4: Field("automountServiceAccountToken", "bool"),
    },
    "Event": {
        1: _META,
        2: Field("involvedObject", "ObjectReference"),
        3: Field("reason"),
        4: Field("message"),
        5: Field("source", "EventSource"),
        6: Field("firstTimestamp", "time"),
        7: Field("lastTimestamp", "time"),
        8: Field("count", "int"),
        9: Field("type"),
        10: Field("eventTime", "microtime"),
        11: Field("series", "EventSeries"),
        12: Field("action"),
        13: Field("related", "ObjectReference"),
        14: Field("reportingComponent"),
        15: Field("reportingInstance"),
    },
    "EventSource": {1: Field("component"), 2: Field("host")},
    "EventSeries": {1: Field("count", "int"), 2: Field("lastObservedTime", "microtime")},
    "ObjectReference": {
        1: Field("kind"),
        2: Field("namespace"),
        3: Field("name"),
        4: Field("uid"),
        5: Field("apiVersion"),
        6: Field("resourceVersion"),
        7: Field("fieldPath"),
    },
    "LocalObjectReference": {1: Field("name")},
    "DeleteOptions": {
        1: Field("gracePeriodSeconds", "int"),
        2: Field("preconditions", "Preconditions"),
        3: Field("orphanDependents", "bool"),
        4: Field("propagationPolicy"),
        5: Field("dryRun", repeated=True),
    },
    "Preconditions": {1: Field("uid"), 2: Field("resourceVersion")},
    "SelfSubjectReview": {1: _META},
    "SelfSubjectAccessReview": {1: _META, 2: Field("spec", "AccessReviewSpec")},
    "AccessReviewSpec": {
        1: Field("resourceAttributes", "ResourceAttributes"),
        2: Field("nonResourceAttributes", "NonResourceAttributes"),
    },
    "ResourceAttributes": {
        1: Field("namespace"),
        2: Field("verb"),
        3: Field("group"),
        4: Field("version"),
        5: Field("resource"),
        6: Field("subresource"),
        7: Field("name"),
    },
    "NonResourceAttributes": {1: Field("path"), 2: Field("verb")},
    "SelfSubjectRulesReview": {1: _META, 2: Field("spec", "RulesReviewSpec")},
    "RulesReviewSpec": {1: Field("namespace")},
    "TypeMeta": {1: Field("apiVersion"), 2: Field("kind")},
    "Unknown": {1: Field("typeMeta", "TypeMeta"), 2: Field("raw", "bytes")},
}
"""The messages that are read, by the name of their kind; other fields are skipped."""


def decode(body: bytes) -> Object:
    """The object in a body.

    Raises:
        Malformed: the body is not protobuf as Kubernetes wraps it, or holds another kind.
    """
    if not body.startswith(_MAGIC):
        raise Malformed("the body does not begin with Kubernetes' protobuf prefix")
    envelope = _message(body[len(_MAGIC) :], "Unknown")
    kind = envelope.get("typeMeta", {})
    name = kind.get("kind", "")
    if name not in MESSAGES:
        raise Malformed(f'no protobuf decoder for kind "{name}"; send JSON')
    content = _message(base64.b64decode(envelope.get("raw", "")), name)
    return {**kind, **content}


def _message(data: bytes, name: str) -> Object:
    """The JSON form of a message; fields that hold nothing are left out, as in JSON."""
    table = MESSAGES[name]
    found: Object = {}
    for number, raw in _fields(data):
        field = table.get(number)
        if field is None:
            continue
        if field.type.startswith("map:"):
            key, value = _entry(_bytes(raw), field.type.removeprefix("map:"))
            found.setdefault(field.name, {})[key] = value
            continue
        value = _value(raw, field.type)
        if field.repeated:
            found.setdefault(field.name, []).append(value)
        elif value not in ("", None) and not (value == 0 and name in _NO_ZEROS):
            found[field.name] = value
    return found


def _entry(data: bytes, kind: str) -> tuple[str, str]:
    """The key and value of a map's entry."""
    parts = {number: _bytes(raw) for number, raw in _fields(data)}
    return _value(parts.get(1, b""), "string"), _value(parts.get(2, b""), kind)


def _value(raw: int | bytes, kind: str) -> Any:
    """A value in its JSON form."""
    match kind:
        case "int":
            number = _number(raw)
            return number - (1 << 64) if number >= 1 << 63 else number
        case "bool":
            return bool(_number(raw))
        case "bytes":
            return base64.b64encode(_bytes(raw)).decode()
        case "time" | "microtime":
            return _time(_bytes(raw), micro=kind == "microtime")
        case "string":
            try:
                return _bytes(raw).decode()
            except UnicodeDecodeError as error:
                raise Malformed("a string is not UTF-8") from error
    return _message(_bytes(raw), kind)


def _time(data: bytes, *, micro: bool) -> str | None:
    """A moment as JSON writes it; the zero time is none."""
    parts = dict(_fields(data))
    seconds = _value(parts.get(1, 0), "int")
    try:
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    except OverflowError as error:
        raise Malformed(f"{seconds} seconds is no time") from error
    if not parts or moment <= _YEAR_ONE:
        return None
    fraction = f".{_number(parts.get(2, 0)) // 1000:06d}" if micro else ""
    return moment.strftime(f"%Y-%m-%dT%H:%M:%S{fraction}Z")


def _number(raw: int | bytes) -> int:
    if isinstance(raw, bytes):
        raise Malformed("a number was expected")
    return raw


def _bytes(raw: int | bytes) -> bytes:
    if isinstance(raw, int):
        raise Malformed("bytes were expected")
    return raw


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a message as the wire has them: number, and a number or bytes."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        match tag & 7:
            case 0:
                value, at = _varint(data, at)
                yield tag >> 3, value
                continue
            case 1:
                length = 8
            case 2:
                length, at = _varint(data, at)
            case 5:
                length = 4
            case other:
                raise Malformed(f"wire type {other} is not used by Kubernetes")
        if at + length > len(data):
            raise Malformed("a message ends early")
        yield tag >> 3, data[at : at + length]
        at += length


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A variable-length number, and where it ends."""
    result = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise Malformed("a number does not end")
        byte = data[at]
        result |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return result & ((1 << 64) - 1), at
        shift += 7

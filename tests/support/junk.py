"""Requests that make no sense, made from a number: the same ones for the same number."""

from __future__ import annotations

import json
import os
from random import Random
from typing import Any

from support import wire

LONG = os.environ.get("CALUMMA_FUZZ") == "long"
"""Whether to look for hours instead of seconds."""


def effort(count: int) -> int:
    """How many examples to try."""
    return count * 100 if LONG else count


class Raw(str):
    """A piece of JSON as it is written, which Python would not write."""


NUMBERS = (
    *(0, 1, -1, 2**31, 2**53 + 1, 2**63 - 1, 2**63, -(2**63) - 1, 2**70),
    *map(Raw, ("1e400", "-1e400", "1e-400", "0.1e1", "-0", "9" * 400, "9" * 5000, "NaN")),
    *map(Raw, ("Infinity", "01", "+1", "1.", ".5", "0x10", "1E+2")),
)
TEXTS = (
    *("", "a", "A", "\0", "a\0b", "\u2028", "\ufeff", "é", "٣", "\U0010ffff", "../../etc/passwd"),
    *("/", "//", "~", "~0", "~1", "-", "$patch", "{{.}}", "%2e%2e", "%00", "null", "true", "1"),
    *("x" * 64, "x" * 300, "a.b/c", "a/b/c", "default", "\r\nx: y", '"', "\\", "2001-01-01"),
    *("1Gi", "1e3", "-5m", "pvc://..", "int32", "Foreground", "nosuch", "kubernetes"),
    *map(Raw, (r'"\ud800"', r'"\udc00\ud800"', r'"\u0000"', r'"\x"', '"a\tb"', '"open')),
)
KEYS = (
    *("", "a", "name", "namespace", "labels", "annotations", "finalizers", "ownerReferences"),
    *("managedFields", "uid", "resourceVersion", "generation", "creationTimestamp", "spec"),
    *("deletionTimestamp", "status", "data", "metadata", "kind", "apiVersion", "$patch"),
    *("$retainKeys", "$setElementOrder/a", "$deleteFromPrimitiveList/finalizers", "f:spec"),
    *("predictor", "model", "containers", "env", "\0", "../x", "a/b", "x" * 300),
)


def value(chance: Random, depth: int = 3) -> Any:
    """Any JSON value."""
    kind = chance.randrange(7 if depth else 5)
    if kind == 0:
        return chance.choice((None, True, False))
    if kind in (1, 2):
        return chance.choice(NUMBERS)
    if kind in (3, 4):
        return chance.choice(TEXTS)
    size = chance.randrange(4)
    if kind == 5:
        return [value(chance, depth - 1) for _ in range(size)]
    return {chance.choice(KEYS): value(chance, depth - 1) for _ in range(size)}


def mutated(chance: Random, document: Any, times: int = 0) -> Any:
    """A document with some of its parts replaced, removed, added or doubled."""
    document = json.loads(json.dumps(document))
    for _ in range(times or chance.randrange(1, 4)):
        parent = chance.choice(list(_holders(document)))
        if isinstance(parent, list):
            at: Any = chance.randrange(len(parent)) if parent else None
            if at is None or chance.random() < 0.3:
                parent.append(value(chance))
                continue
        else:
            if not parent or chance.random() < 0.3:
                parent[chance.choice(KEYS)] = value(chance)
                continue
            at = chance.choice(list(parent))
        if chance.random() < 0.2:
            del parent[at]
        else:
            parent[at] = value(chance)
    return document


def _holders(document: Any) -> list[Any]:
    """The objects and lists in a document."""
    if isinstance(document, dict):
        return [document, *(found for each in document.values() for found in _holders(each))]
    if isinstance(document, list):
        return [document, *(found for each in document for found in _holders(each))]
    return []


def written(chance: Random, document: Any) -> bytes:
    """A document in JSON, sometimes with fields given twice."""

    def text(part: Any) -> str:
        if isinstance(part, Raw):
            return str(part)
        if isinstance(part, dict):
            pairs = [f"{json.dumps(key)}:{text(item)}" for key, item in part.items()]
            if pairs and chance.random() < 0.05:
                pairs.append(chance.choice(pairs))
            return "{" + ",".join(pairs) + "}"
        if isinstance(part, list):
            return "[" + ",".join(map(text, part)) + "]"
        return json.dumps(part, ensure_ascii=chance.random() < 0.5)

    return text(document).encode("utf-8", "surrogatepass")


def damaged(chance: Random, body: bytes) -> bytes:
    """Bytes of which some are cut away, changed or doubled."""
    if not body:
        return b"\xff"
    at = chance.randrange(len(body))
    length = chance.randrange(1, 9)
    match chance.randrange(4):
        case 0:
            return body[:at]
        case 1:
            return body[:at] + chance.randbytes(length) + body[at + length :]
        case 2:
            return body[:at] + body[at + length :]
    return body[: at + length] + body[at:]


def protobuf(chance: Random) -> bytes:
    """A body as kubectl sends it for Kubernetes' own kinds, with something wrong."""
    meta = wire.text(1, str(chance.choice(("a", *TEXTS)))) + wire.entry(11, "k", "v")
    meta += wire.count(7, chance.choice((0, 1, 2**64 - 1))) + wire.text(8, wire.count(1, 2**62))
    message = wire.text(1, meta) + wire.entry(2, "key", "value")
    for _ in range(chance.randrange(3)):
        number, form = chance.randrange(1, 20), chance.randrange(8)
        lengths = (0, 1, 5, 127, 2**31, 2**63, 2**64 - 1)
        message += wire.varint(number << 3 | form) + wire.varint(chance.choice(lengths))
        message += chance.randbytes(chance.randrange(12))
    nested = message
    for _ in range(chance.choice((0, 0, 0, 5000))):
        nested = wire.text(1, nested[-60_000:])
    kind = chance.choice(("ConfigMap", "Namespace", "Secret", "Pod", "DeleteOptions", "", "\0"))
    body = wire.wrapped(kind, nested, chance.choice(("v1", "v2", "")))
    return damaged(chance, body) if chance.random() < 0.5 else body


def operations(chance: Random) -> Any:
    """A JSON patch, of which some operations may even fit."""
    paths = ["", "/", "/data", "/data/x", "/data/-", "/metadata/finalizers/-", "/metadata/labels"]
    paths += ["/metadata/name", "/spec/predictor/model", "/a/../b", "/data/~", "/~2", "data"]
    paths += [f"/metadata/finalizers/{'9' * 5000}", "/metadata/finalizers/٣", "/\0", "/kind"]
    paths += ["/metadata/resourceVersion", "/metadata/managedFields", "/metadata", "/apiVersion"]
    names = ("add", "remove", "replace", "move", "copy", "test", "bogus", None)
    found: list[Any] = []
    for _ in range(chance.randrange(5)):
        each = {"op": chance.choice(names), "path": chance.choice(paths)}
        each |= {"from": chance.choice(paths), "value": value(chance)}
        if chance.random() < 0.2:
            each.pop(chance.choice(list(each)))
        found.append(each)
    return found if chance.random() < 0.9 else value(chance)


def query(chance: Random) -> dict[str, str]:
    """Parameters of a request."""
    names = "limit continue resourceVersion resourceVersionMatch labelSelector fieldSelector "
    names += "timeoutSeconds fieldManager fieldValidation dryRun force propagationPolicy pretty "
    names += "gracePeriodSeconds orphanDependents tailLines sinceTime sinceSeconds limitBytes "
    names += "container previous timestamps sendInitialEvents includeObject hash"
    values = ["1", "-1", "0", "9" * 18, "9" * 5000, "true", "maybe", "All", "Strict", "Warn"]
    values += ["a=b", "a in (b", "a in (b,c),!d", "x>" + "9" * 5000, "metadata.name=a", "=", ","]
    values += ["!!", "a!=", "metadata.name", "((((", "eyJydiI6MX0", "W" * 4000, "Exact", "1e9"]
    values += ["NotOlderThan", "2001-01-01T00:00:00Z", "99999-01-01T00:00:00Z", "Foreground"]
    values += [str(each) for each in TEXTS if not isinstance(each, Raw)]
    return {chance.choice(names.split()): chance.choice(values) for _ in range(chance.randrange(4))}

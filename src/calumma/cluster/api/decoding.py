"""From a document to an object of a kind: check the type, prune, default.

The room guarantees that what comes out has the shape of its schema, and it notes what a strict
client must hear of: fields that no schema declares and fields that are given twice.
:mod:`.parsing` reads the document, :mod:`.writing` takes the object from there.
"""

from __future__ import annotations

import json
from typing import Any, Final, NamedTuple

from calumma.cluster.api import gostructs, options, parsing, status, structure
from calumma.cluster.api.parsing import JSON, YAML
from calumma.cluster.api.resources import Resource
from calumma.cluster.api.schema import Schemas
from calumma.cluster.objects import Object

_EMPTY: Final[tuple[Any, ...]] = ({}, [], "")
"""What metadata leaves out, being a Go struct."""


class Misfit(Exception):
    """A document that no object of its kind can be decoded from, in the words of Go's decoders."""


class Decoded(NamedTuple):
    """An object in the shape of its schema, and what a strict client must hear of."""

    value: Object
    problems: list[str]


def decode(body: bytes, media_type: str, resource: Resource, schemas: Schemas) -> Decoded:
    """The object of a kind in a request's body.

    Raises:
        errors.Refused: 400 where it is not an object of that kind, 415 for other media types.
    """
    if resource.custom and media_type not in (JSON, YAML):
        raise status.unsupported_media_type((JSON, YAML))
    try:
        parsed = parsing.parse_any(body, media_type)
    except parsing.Unreadable as error:
        raise _unrecognized(resource, f"json parse error: {error}", body) from error
    if not isinstance(parsed.value, dict):
        why = "json parse error: json: cannot unmarshal into Go value of type struct"
        raise _unrecognized(resource, why, body)
    try:
        shaped = shape(parsed.value, resource, schemas)
    except Misfit as error:
        raise status.bad_request(_unhandled(resource, str(error))) from error
    duplicates = [f'duplicate field "{path}"' for path in parsed.duplicates]
    return Decoded(shaped.value, duplicates + shaped.problems)


def delete_options(body: bytes, media_type: str, schemas: Schemas) -> Object:
    """The ``DeleteOptions`` in the body of a deletion; empty where it has none.

    Raises:
        errors.Refused: 400 where the body is something else, 415 for other media types.
    """
    if not body:
        return {}
    try:
        sent = parsing.parse_any(body, media_type).value
    except parsing.Unreadable as error:
        raise status.bad_request(f"error decoding delete options: {error}") from error
    if problem := gostructs.mismatch(sent, schemas.of("V1DeleteOptions")):
        raise status.bad_request(f"error decoding delete options: {problem}")
    found: Object = sent
    return found


def _unrecognized(resource: Resource, why: str, body: bytes) -> Exception:
    """A body of which not even the kind can be read."""
    shown = body[:30].decode("utf-8", "replace") if body.startswith(b"{") else body[:30].hex()
    summary = (shown or "<empty>") + (" ..." if len(body) > 30 else "")
    return status.bad_request(
        f"the object provided is unrecognized (must be of type {resource.kind}): "
        f"couldn't get version/kind; {why} ({summary})"
    )


def shape(value: Object, resource: Resource, schemas: Schemas) -> Decoded:
    """An object brought into the shape of its kind; the one that is passed in is used up.

    Raises:
        Misfit: it cannot be decoded.
        errors.Refused: 400 where it is of another kind or version.
    """
    _check_kind(value, resource)
    schema = schemas.of(resource.schema)
    meta = value.setdefault("metadata", {})
    if meta is None:
        meta = value["metadata"] = {}
    meta_schema = schemas.of("V1ObjectMeta")
    problem = gostructs.mismatch(meta, meta_schema)
    if not problem and not resource.custom:
        problem = gostructs.mismatch(value, schema)
    if problem:
        raise Misfit(problem)
    unknown = structure.prune(meta, meta_schema, "metadata")
    gostructs.fill(meta, meta_schema)
    rest = {key: item for key, item in value.items() if key != "metadata"}
    found = structure.prune(rest, schema)
    if resource.custom:
        structure.drop_nulls(rest, schema)
    else:
        gostructs.fill(rest, schema)
    structure.default(rest, schema)
    unknown += sorted(found) if resource.custom else found
    shaped = {**rest, "metadata": {key: item for key, item in meta.items() if item not in _EMPTY}}
    return Decoded(shaped, [f'unknown field "{path}"' for path in unknown])


def _check_kind(value: Object, resource: Resource) -> None:
    """Raise where an object says that it is of another kind or version than its URL."""
    if problem := gostructs.type_mismatch(value):
        raise Misfit(problem)
    if not resource.custom:
        value["apiVersion"] = value.get("apiVersion") or resource.api_version
        value["kind"] = value.get("kind") or resource.kind
    kind, version = value.get("kind"), value.get("apiVersion") or ""
    if not kind:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        raise Misfit(f"Object 'Kind' is missing in '{text}'")
    if version != resource.api_version:
        raise status.bad_request(
            f"the API version in the data ({version}) does not match the expected API version "
            f"({resource.api_version})"
        )
    if kind != resource.kind and not resource.custom:
        raise status.bad_request(
            f'{kind} in version "{resource.version}" cannot be handled as a {resource.kind}: '
            f"converting (v1.{kind}) to (v1.{resource.kind}): unknown conversion"
        )


def _unhandled(resource: Resource, why: str) -> str:
    kind = resource.kind
    return f'{kind} in version "{resource.version}" cannot be handled as a {kind}: {why}'


def judge(resource: Resource, problems: list[str], directive: options.Validation) -> list[str]:
    """The warnings that unknown and repeated fields are worth.

    Raises:
        errors.Refused: 400 where the client asked for strictness.
    """
    if not problems or directive == "Ignore":
        return []
    if directive == "Strict":
        why = f"strict decoding error: {', '.join(problems)}"
        raise status.bad_request(_unhandled(resource, why))
    return problems

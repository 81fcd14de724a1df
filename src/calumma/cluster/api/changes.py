"""From the bytes of a patch to the change of an object.

Each kind of patch becomes a function from the stored object to the new one, which :mod:`.writing`
calls until it could store the result. What a strict client must hear of is refused, what others
should know is noted as warnings. Source: Kubernetes' ``apiserver/pkg/endpoints/handlers/patch.go``.
"""

from __future__ import annotations

import json
from typing import Any

from calumma import errors
from calumma.cluster.api import decoding, operations, parsing, patching, status, structure
from calumma.cluster.api.backend import Backend, Call
from calumma.cluster.api.decoding import Misfit
from calumma.cluster.api.parsing import Parsed, Unreadable
from calumma.cluster.api.status import Cause, Plural
from calumma.cluster.api.writing import Change
from calumma.cluster.objects import Object

JSON_PATCH, MERGE_PATCH, APPLY_PATCH = operations.PATCH_TYPES


def by_patch(state: Backend, call: Call, media_type: str, body: bytes) -> Change:
    """The change that a JSON, merge or strategic merge patch makes.

    Raises:
        errors.Refused: 400 where the body is no such patch, 413 where it is too long.
    """
    parsed = _parsed(call, media_type, body)
    schema = state.schemas.of(call.resource.schema)

    def change(old: Object) -> Object:
        if media_type == JSON_PATCH:
            try:
                new = patching.json_patch(old, parsed.value)
                parsing.check_size(new)
            except (patching.PatchFailed, Unreadable, RecursionError) as error:
                raise status.patch_failed() from error
        elif media_type == MERGE_PATCH:
            new = patching.merge(old, parsed.value)
        else:
            new = patching.strategic_merge(old, parsed.value, schema)
        return _shaped(state, call, new, parsed.duplicates)

    return change


def _parsed(call: Call, media_type: str, body: bytes) -> Parsed:
    """A patch, whose type is what its media type says."""
    lenient = call.options.validation == "Ignore"
    try:
        parsed = parsing.parse_json(body)
    except Unreadable as error:
        raise status.bad_request(f"error decoding patch: {error}") from error
    if media_type == JSON_PATCH:
        if not isinstance(parsed.value, list):
            wanted = "jsonpatch.Patch" if lenient else "[]handlers.jsonPatchOp"
            raise _mistyped(parsed.value, wanted, lenient)
        if len(parsed.value) > patching.MOST_OPERATIONS:
            raise status.too_large(
                "The allowed maximum operations in a JSON patch is "
                f"{patching.MOST_OPERATIONS}, got {len(parsed.value)}"
            )
        return Parsed(parsed.value, [])
    if not isinstance(parsed.value, dict):
        raise _mistyped(parsed.value, "map[string]interface {}", False)
    return parsed


def _mistyped(value: Any, wanted: str, bare: bool) -> errors.Refused:
    """A patch that is a JSON value of another type."""
    kinds = {dict: "object", list: "array", str: "string", bool: "bool", type(None): "null"}
    kind = kinds.get(type(value), "number")
    text = f"json: cannot unmarshal {kind} into Go value of type {wanted}"
    return status.bad_request(text if bare else f"error decoding patch: {text}")


def _shaped(state: Backend, call: Call, new: Any, duplicates: list[str]) -> Object:
    """A patched object in the shape of its kind."""
    shown = structure.copied(new)
    if not isinstance(new, dict):
        raise _invalid_patch(shown, "the patched object is no object")
    try:
        shaped = decoding.shape(new, call.resource, state.schemas)
    except Misfit as error:
        raise _invalid_patch(shown, str(error)) from error
    problems = [f'duplicate field "{path}"' for path in duplicates] + shaped.problems
    if problems and call.options.validation == "Strict":
        raise _invalid_patch(shown, f"strict decoding error: {', '.join(problems)}")
    if call.options.validation == "Warn":
        call.warnings += [problem for problem in problems if problem not in call.warnings]
    return shaped.value


def _invalid_patch(new: Any, why: str) -> errors.Refused:
    """A patch whose result is no object of the kind."""
    text = json.dumps(new, ensure_ascii=False, separators=(",", ":"))
    cause: Cause = status.invalid("patch", text, why)
    return status.invalid_object(Plural("", ""), "", [cause])


def configuration(call: Call, body: bytes) -> Object:
    """The configuration that a server-side apply sends, as YAML or JSON.

    Raises:
        errors.Refused: 400 where it is none, or for another version.
    """
    try:
        parsed = parsing.parse_json(body) if body.startswith(b"{") else parsing.parse_yaml(body)
    except Unreadable as error:
        raise status.bad_request(f"error decoding YAML: {error}") from error
    config = parsed.value
    if not isinstance(config, dict) or not config.get("kind") or not config.get("apiVersion"):
        raise status.bad_request(
            "error decoding patch: an applied configuration names its apiVersion and kind"
        )
    if not isinstance(config.get("metadata", {}), dict):
        raise status.bad_request("error decoding patch: metadata is not an object")
    if config["apiVersion"] != call.resource.api_version:
        raise status.bad_request(
            "Incorrect version specified in apply patch. Specified patch version: "
            f"{config['apiVersion']}, expected: {call.resource.api_version}"
        )
    if parsed.duplicates and call.options.validation == "Strict":
        listed = ", ".join(f'key "{path}" already set in map' for path in parsed.duplicates)
        raise status.bad_request(f"error strict decoding patch: {listed}")
    return config

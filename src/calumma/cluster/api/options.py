"""What the query of a request asks for, checked as a real API server checks it.

One function for each kind of request turns a query into a frozen value; a wrong one is refused with
422, an unreadable one with 400. Pure. Source: Kubernetes' ``apimachinery/pkg/apis/meta`` options
and their validation.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, cast

from calumma.cluster.api import parsing, status
from calumma.cluster.api.status import Cause
from calumma.cluster.objects import Object

Query = Mapping[str, str]
Validation = Literal["Strict", "Warn", "Ignore"]

_LONGEST_MANAGER: Final = 128
_TRUE: Final = ("1", "t", "T", "TRUE", "true", "True")
_FALSE: Final = ("0", "f", "F", "FALSE", "false", "False", "")
_POLICIES: Final = ("Foreground", "Background", "Orphan")


@dataclass(frozen=True)
class Write:
    """How to create, update or patch."""

    manager: str
    dry_run: bool
    validation: Validation
    force: bool = False


@dataclass(frozen=True)
class Delete:
    """How to delete."""

    dry_run: bool = False
    policy: str = "Background"
    uid: str | None = None
    revision: str | None = None


@dataclass(frozen=True)
class List:
    """What to list or watch."""

    labels: str
    fields: str
    revision: str
    """As sent: empty, ``0`` or a number."""
    match: str
    limit: int
    continuation: str
    watch: bool
    bookmarks: bool
    initial: bool | None
    seconds: float


def _flag(query: Query, name: str) -> bool:
    """A boolean, as Go reads one."""
    value = query.get(name, "")
    if value in _TRUE:
        return True
    if value in _FALSE:
        return False
    raise status.bad_request(f'strconv.ParseBool: parsing "{value}": invalid syntax')


def _count(query: Query, name: str) -> int:
    """A number that is not negative; nothing counts as 0."""
    value = query.get(name) or "0"
    if not re.fullmatch(r"-?\d{1,18}", value):
        raise status.bad_request(f'strconv.ParseInt: parsing "{value}": invalid syntax')
    return max(int(value), 0)


def _dry_run(values: list[str]) -> tuple[bool, list[Cause]]:
    """Whether a dry run is asked for, and what is wrong with the way it is."""
    listed = [value for value in values if value]
    wrong = [value for value in listed if value != "All"]
    return bool(listed), [status.unsupported("dryRun", listed, ["All"])] if wrong else []


def write(query: Query, kind: str, user_agent: str, patch_type: str = "") -> Write:
    """How a request wants to write.

    Args:
        query: of the request.
        kind: of the options, as refusals name it: ``CreateOptions``, ``PatchOptions``, ...
        user_agent: names the manager where the query does not.
        patch_type: ``apply`` for an applied configuration.
    """
    causes: list[Cause] = []
    manager = query.get("fieldManager", "")
    if patch_type == "apply":
        if not manager:
            causes.append(status.required("fieldManager", "is required for apply patch"))
    elif "force" in query:
        causes.append(status.forbidden_field("force", "may not be specified for non-apply patch"))
    if len(manager.encode()) > _LONGEST_MANAGER:
        causes.append(status.too_long("fieldManager", _LONGEST_MANAGER))
    for at, character in enumerate(manager):
        if not character.isprintable():
            detail = f"invalid character U+{ord(character):04X} (at position {at})"
            causes.append(status.invalid("fieldManager", manager, detail))
    dry_run, wrong = _dry_run([query.get("dryRun", "")])
    causes += wrong
    validation = query.get("fieldValidation") or "Warn"
    if validation not in ("Strict", "Warn", "Ignore"):
        allowed = ["", "Ignore", "Strict", "Warn"]
        causes.append(status.unsupported("fieldValidation", validation, allowed))
    if causes:
        raise status.invalid_options(kind, causes)
    agent = "".join(filter(str.isprintable, user_agent.split("/")[0]))[:_LONGEST_MANAGER]
    force = patch_type == "apply" and _flag(query, "force")
    return Write(manager or agent or "unknown", dry_run, cast(Validation, validation), force)


def delete(query: Query, sent: Object) -> Delete:
    """How a request wants to delete; the ``DeleteOptions`` that it sent go before its query."""
    dry_run, causes = _dry_run(sent.get("dryRun") or [query.get("dryRun", "")])
    policy = sent.get("propagationPolicy") or query.get("propagationPolicy")
    orphan = sent.get("orphanDependents", _flag(query, "orphanDependents"))
    if policy and orphan:
        detail = "orphanDependents and deletionPropagation cannot be both set"
        causes.append(status.invalid("propagationPolicy", policy, detail))
    elif policy and policy not in _POLICIES:
        causes.append(status.unsupported("propagationPolicy", policy, [*_POLICIES, "nil"]))
    if causes:
        raise status.invalid_options("DeleteOptions", causes)
    preconditions = sent.get("preconditions") or {}
    return Delete(
        dry_run,
        policy or ("Orphan" if orphan else "Background"),
        preconditions.get("uid"),
        preconditions.get("resourceVersion"),
    )


def listing(query: Query) -> List:
    """What a request wants to list or watch."""
    initial = _flag(query, "sendInitialEvents") if "sendInitialEvents" in query else None
    asked = List(
        labels=query.get("labelSelector", ""),
        fields=query.get("fieldSelector", ""),
        revision=query.get("resourceVersion", ""),
        match=query.get("resourceVersionMatch", ""),
        limit=_count(query, "limit"),
        continuation=query.get("continue", ""),
        watch=_flag(query, "watch"),
        bookmarks=_flag(query, "allowWatchBookmarks"),
        initial=initial,
        seconds=float(_count(query, "timeoutSeconds")),
    )
    if causes := _list_causes(asked):
        raise status.invalid_options("ListOptions", causes)
    return asked


def _list_causes(asked: List) -> list[Cause]:
    """What is wrong with list options."""
    match = "resourceVersionMatch"
    if asked.initial is not None and not asked.watch:
        return [status.forbidden_field("sendInitialEvents", "forbidden for list")]
    if asked.watch:
        if asked.initial is None:
            if asked.match:
                text = f"{match} is forbidden for watch unless sendInitialEvents is provided"
                return [status.forbidden_field(match, text)]
            return []
        if not asked.match:
            text = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
            return [status.forbidden_field(match, text)]
        if asked.match != "NotOlderThan":
            return [status.unsupported(match, asked.match, ["NotOlderThan"])]
        return []
    if not asked.match:
        return []
    if asked.continuation:
        text = f"{match} is forbidden when continue is provided"
        return [status.forbidden_field(match, text)]
    if not asked.revision:
        text = f"{match} is forbidden unless resourceVersion is provided"
        return [status.forbidden_field(match, text)]
    if asked.match not in ("Exact", "NotOlderThan"):
        return [status.unsupported(match, asked.match, ["Exact", "NotOlderThan", ""])]
    if asked.match == "Exact" and asked.revision == "0":
        text = f'{match} "Exact" is forbidden for resourceVersion "0"'
        return [status.forbidden_field(match, text)]
    return []


def revision(text: str) -> int:
    """A ``resourceVersion`` as a number; empty is 0.

    Raises:
        ValueError: it is none of this server's.
    """
    if not re.fullmatch(r"\d{0,18}", text):
        raise ValueError(f'strconv.ParseUint: parsing "{text}": invalid syntax')
    return int(text or "0")


def continue_token(at: int, start: str) -> str:
    """The token with which a client asks for the rest of a list."""
    text = json.dumps({"v": "meta.k8s.io/v1", "rv": at, "start": start}, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def continued(token: str) -> tuple[int, str]:
    """The revision and the start that a token names.

    Raises:
        errors.Refused: 400 where the token is none of this server's.
    """
    try:
        text = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        content = parsing.parse_json(text).value
        at, start = content["rv"], content["start"]
    except (binascii.Error, parsing.Unreadable, ValueError, KeyError, TypeError) as error:
        raise status.bad_request(f"continue key is not valid: {error}") from error
    if not isinstance(at, int) or at <= 0 or not isinstance(start, str):
        raise status.bad_request("continue key is not valid: it has no revision and start")
    return at, start

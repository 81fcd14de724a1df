"""Get and list, for all kinds alike, and what a watch has to know.

Lists are consistent: all of their pages show one revision, which is also where a watch goes on.
Source: Kubernetes' *API concepts*, "Resource versions" and "Retrieving large results sets in
chunks".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from calumma.cluster.api import definitions, kinds, options, selectors, status, watch
from calumma.cluster.api.backend import Backend
from calumma.cluster.api.resources import Resource
from calumma.cluster.api.store import Compacted
from calumma.cluster.objects import Object

_TOO_OLD = (
    "The provided continue parameter is too old to display a consistent list result. You can start "
    "a new list without the continue parameter."
)


class Listing(NamedTuple):
    """Objects, and the metadata of their list."""

    items: list[Object]
    metadata: dict[str, Any]


def get(
    state: Backend, resource: Resource, namespace: str, name: str, revision: str = ""
) -> Object:
    """One object, in a state that is not older than ``revision``, as sent.

    Raises:
        errors.Refused: 404 where there is none, 422 for a revision that is no number, 504 for one
            that is not reached yet.
    """
    _reached(state, resource, revision)
    if resource is kinds.DEFINITIONS:
        found = definitions.find(state, name)
    else:
        found = state.store.get(resource.key(namespace, name)).value
    if found is None:
        raise status.not_found(resource.name, name)
    return found


def listed(state: Backend, resource: Resource, namespace: str, asked: options.List) -> Listing:
    """The objects that a client asks for.

    Raises:
        errors.Refused: 400 for selectors and tokens that make no sense, 410 for history that is
            gone, 504 for revisions that are not reached yet.
    """
    matches = _predicate(resource, asked)
    if resource is kinds.DEFINITIONS:
        found = [item for item in definitions.everything(state) if matches(item)]
        return Listing(found, {"resourceVersion": str(state.store.revision)})
    prefix = _prefix(resource, namespace)
    revision, start = _from(state, resource, asked, prefix)
    selective = bool(asked.labels or asked.fields)
    items: list[Object] = []
    while True:
        limit = asked.limit - len(items) if asked.limit else 0
        try:
            page = state.store.page(prefix, revision, start, limit)
        except Compacted as error:
            raise status.expired(_TOO_OLD) from error
        items += [item for item in page.items if matches(item)]
        start, revision = page.next_key, page.revision
        if not start or len(items) >= asked.limit:
            break
    meta: dict[str, Any] = {"resourceVersion": str(page.revision)}
    if start:
        meta["continue"] = options.continue_token(revision, start)
        if not selective:
            meta["remainingItemCount"] = page.remaining
    return Listing(items, meta)


def question(
    state: Backend, resource: Resource, namespace: str, asked: options.List
) -> watch.Question:
    """What a watch of these objects asks the hub.

    Raises:
        errors.Refused: 400 and 422 for what makes no sense.
    """
    return watch.Question(
        _prefix(resource, namespace),
        _predicate(resource, asked),
        _revision(resource, asked.revision),
        asked.initial,
        asked.bookmarks or bool(asked.initial),
        asked.seconds,
    )


def _prefix(resource: Resource, namespace: str) -> str:
    """What the keys of these objects begin with."""
    return resource.key(namespace, "") if namespace else resource.prefix


def _predicate(resource: Resource, asked: options.List) -> selectors.Predicate:
    """Whether an object is asked for."""
    by_labels = selectors.by_labels(asked.labels)
    by_fields = selectors.by_fields(asked.fields, resource.selectable, resource.custom)

    def matches(obj: Mapping[str, Any]) -> bool:
        return by_labels(obj) and by_fields(obj)

    return matches


def _from(state: Backend, resource: Resource, asked: options.List, prefix: str) -> tuple[int, str]:
    """The revision and the key at which a list begins; 0 for the newest revision."""
    if asked.continuation:
        if asked.revision not in ("", "0"):
            text = "specifying resource version is not allowed when using continue"
            raise status.bad_request(text)
        revision, start = options.continued(asked.continuation)
        if not start.startswith(prefix):
            raise status.bad_request("continue key is not valid: it belongs to another list")
        if revision > state.store.revision:
            raise status.bad_request("continue key is not valid: its revision is none of this list")
        return revision, start
    revision = _reached(state, resource, asked.revision)
    exact = asked.match == "Exact" or (not asked.match and asked.limit and revision)
    return (revision if exact else 0), ""


def _reached(state: Backend, resource: Resource, sent: str) -> int:
    """A ``resourceVersion`` as a number, which the store must have reached."""
    revision = _revision(resource, sent)
    if revision > state.store.revision:
        raise status.too_large_version(revision, state.store.revision)
    return revision


def _revision(resource: Resource, sent: str) -> int:
    """A ``resourceVersion`` as a number; 0 where none was sent."""
    try:
        return options.revision(sent)
    except ValueError as error:
        cause = status.invalid("resourceVersion", sent, str(error))
        raise status.invalid_object(resource.name, "", [cause]) from error

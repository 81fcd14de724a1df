"""Watches: every change of a list of objects, in order, without gap or repetition.

A watch subscribes first, then replays what was written before, then sends what arrives and drops
what it has sent already, so that nothing falls between a list and its watch. A watcher that does
not keep up is closed rather than served from a growing queue; one that asks for history that is
gone is told ``410 Expired``, and lists again. :mod:`.store` is where changes come from,
:mod:`.handlers` writes the events to the wire.
Source: Kubernetes' *API concepts*, "Efficient detection of changes", and kine's watch.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from calumma.cluster.api import selectors, status
from calumma.cluster.api.store import Change, Compacted, Store
from calumma.cluster.objects import Object

QUEUE: Final = 250
"""Changes that a watcher may be behind before it is closed."""
BOOKMARK_SECONDS: Final = 60.0
_DEFAULT_SECONDS: Final = (1800.0, 3600.0)

Kind = Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"]


class Event(NamedTuple):
    """One line of a watch; a bookmark's object has no more than a ``resourceVersion``."""

    kind: Kind
    value: Object


@dataclass(frozen=True)
class Question:
    """What a client wants to watch."""

    prefix: str
    matches: selectors.Predicate
    after: int
    """The revision to go on from; 0 begins with the objects that there are."""
    initial: bool | None = None
    """``sendInitialEvents``: send them, and a bookmark behind them, or do not."""
    bookmarks: bool = False
    seconds: float = 0.0
    """When to end; 0 leaves it to the server."""


class Hub:
    """Hands the changes of a store to all that watch it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._queues: dict[asyncio.Queue[Change | None], str] = {}
        self._closed = False
        store.listen(self._publish)

    def _publish(self, change: Change) -> None:
        for queue, prefix in list(self._queues.items()):
            if change.key.startswith(prefix):
                if queue.full():
                    self._end(queue)
                else:
                    queue.put_nowait(change)

    def _end(self, queue: asyncio.Queue[Change | None]) -> None:
        """Let a watch end; what it has not sent yet is dropped."""
        self._queues.pop(queue, None)
        while not queue.empty():
            queue.get_nowait()
        queue.put_nowait(None)

    def close(self) -> None:
        """End every watch, now and from now on."""
        self._closed = True
        for queue in list(self._queues):
            self._end(queue)

    @contextmanager
    def _subscription(self, prefix: str) -> Iterator[asyncio.Queue[Change | None]]:
        queue: asyncio.Queue[Change | None] = asyncio.Queue(QUEUE)
        if self._closed:
            queue.put_nowait(None)
        self._queues[queue] = prefix
        try:
            yield queue
        finally:
            self._queues.pop(queue, None)

    async def events(self, question: Question) -> AsyncIterator[Event]:
        """The events of a watch until it times out, falls behind or the server stops."""
        deadline = time.monotonic() + (question.seconds or random.uniform(*_DEFAULT_SECONDS))
        with self._subscription(question.prefix) as queue:
            sent = max(self._store.revision, question.after)
            try:
                for event in self._before(question):
                    yield event
            except Compacted as gone:
                text = f"too old resource version: {question.after} ({gone.oldest})"
                yield Event("ERROR", status.body(status.expired(text)))
                return
            while (left := deadline - time.monotonic()) > 0:
                try:
                    async with asyncio.timeout(min(left, BOOKMARK_SECONDS)):
                        change = await queue.get()
                except TimeoutError:
                    if question.bookmarks:
                        yield _bookmark(max(self._store.revision, question.after))
                    continue
                if change is None:
                    return
                if change.revision > sent and (seen := _seen(change, question.matches)):
                    yield seen

    def _before(self, question: Question) -> list[Event]:
        """What a watch says first: what there is, or what happened since."""
        revision = self._store.revision
        if question.after and not question.initial:
            changes = self._store.changes(question.prefix, question.after)
            return [event for change in changes if (event := _seen(change, question.matches))]
        if question.initial is False:
            return []
        items = self._store.page(question.prefix).items
        events = [Event("ADDED", item) for item in items if question.matches(item)]
        if question.initial:
            end = {"k8s.io/initial-events-end": "true"}
            events.append(_bookmark(revision, end))
        return events


def _bookmark(revision: int, annotations: dict[str, str] | None = None) -> Event:
    """An event that says no more than how far the watch has come."""
    meta: Object = {"resourceVersion": str(revision)}
    if annotations:
        meta["annotations"] = annotations
    return Event("BOOKMARK", {"metadata": meta})


def _seen(change: Change, matches: selectors.Predicate) -> Event | None:
    """A change as someone sees it who looks at matching objects only."""
    after = change.kind != "DELETED" and matches(change.value)
    before = change.previous is not None and matches(change.previous)
    if change.kind == "DELETED":
        return Event("DELETED", change.value) if before or matches(change.value) else None
    if after:
        return Event("MODIFIED" if before else "ADDED", change.value)
    if before and change.previous is not None:
        version = {"resourceVersion": str(change.revision)}
        meta = change.previous["metadata"] | version
        return Event("DELETED", change.previous | {"metadata": meta})
    return None

"""What tidies up behind the writes: orphans, ending namespaces, old events, old history.

One task does it all, in the background and in the order in which things happen: when an object ends
it deletes what that object owned, when a namespace ends it empties it, and once a minute it drops
expired events and forgets superseded revisions. It acts through :mod:`.deleting` and the store like
any client, so that watchers see what it does.
Source: Kubernetes' garbage collector and namespace controller.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from typing import Any, Final

from calumma import errors
from calumma.cluster import objects
from calumma.cluster.api import deleting, kinds, options
from calumma.cluster.api.backend import Backend
from calumma.cluster.api.metadata import FOREGROUND, ORPHAN
from calumma.cluster.api.resources import Resource
from calumma.cluster.api.store import Change, Stale
from calumma.cluster.objects import Object, dig

_EVENT_SECONDS: Final = 3600.0
_HISTORY_SECONDS: Final = 300.0
_HISTORY_BYTES: Final = 256 << 20
_SWEEP_SECONDS: Final = 60.0
_BACKGROUND: Final = options.Delete()
_log = logging.getLogger(__name__)


class Collector:
    """The tidying task of one backend."""

    def __init__(self, state: Backend) -> None:
        self._state = state
        self._ended: asyncio.Queue[Object] = asyncio.Queue()
        self._swollen = False
        state.store.listen(self._notice)

    def _notice(self, change: Change) -> None:
        """Remember what has ended or is about to."""
        meta = change.value["metadata"]
        if change.kind == "DELETED" or "deletionTimestamp" in meta:
            self._ended.put_nowait(change.value)

    async def run(self) -> None:
        """Tidy up until cancelled, beginning with what ended while no server ran."""
        for obj in self._state.store.page("").items:
            if "deletionTimestamp" in obj["metadata"] or "ownerReferences" in obj["metadata"]:
                self._ended.put_nowait(obj)
        due = time.monotonic()
        while True:
            try:
                async with asyncio.timeout(max(due - time.monotonic(), 0)):
                    ended = await self._ended.get()
                await self._settle(ended)
            except TimeoutError:
                await self._sweep()
                due = time.monotonic() + _SWEEP_SECONDS
            except (errors.Refused, errors.StoreError, Stale) as error:
                _log.warning("tidying up: %s", error)
            except Exception:
                _log.exception("tidying up failed; it goes on with the next object")

    async def _settle(self, obj: Object) -> None:
        """Do what the end of an object asks for."""
        meta = obj["metadata"]
        namespace = objects.namespace(obj)
        await self._drop_if_orphaned(obj)
        for dependent in self._dependents(meta["uid"]):
            if ORPHAN in _finalizers(obj):
                await self._release(dependent, {meta["uid"]})
            else:
                await self._drop_if_orphaned(dependent, foreground=FOREGROUND in _finalizers(obj))
        await self._finish(obj)
        for reference in _owners(obj):
            if owner := self._owner(reference, namespace):
                await self._finish(owner)
        if namespace:
            await self._empty(namespace)
        elif obj["kind"] == kinds.NAMESPACES.kind:
            await self._empty(meta["name"])

    def _resource(self, api_version: str, kind: str) -> Resource | None:
        return self._state.catalog.of(api_version, kind)

    def _dependents(self, uid: str) -> list[Object]:
        """The objects that name a uid as their owner."""
        found = self._state.store.mentioning(f'"{uid}"')
        return [obj for obj in found if any(owner["uid"] == uid for owner in _owners(obj))]

    def _owner(self, reference: Object, namespace: str) -> Object | None:
        """The object that a dependent in a namespace refers to, if it is there."""
        resource = self._resource(reference.get("apiVersion", ""), reference.get("kind", ""))
        if resource is None:
            return None
        key = resource.key(namespace if resource.namespaced else "", reference.get("name", ""))
        found = self._state.store.get(key).value
        return found if found and found["metadata"]["uid"] == reference["uid"] else None

    def _is_gone(self, reference: Object, namespace: str) -> bool:
        """Whether an owner is gone, or goes once its dependents have; unknown kinds stay."""
        if self._resource(reference.get("apiVersion", ""), reference.get("kind", "")) is None:
            return False
        owner = self._owner(reference, namespace)
        return owner is None or FOREGROUND in _finalizers(owner)

    async def _drop_if_orphaned(self, obj: Object, foreground: bool = False) -> None:
        """Delete an object whose owners are all gone; release it from those of them that are.

        With ``foreground``, what it owns itself goes before it.
        """
        owners = _owners(obj)
        namespace = objects.namespace(obj)
        gone = {owner["uid"] for owner in owners if self._is_gone(owner, namespace)}
        if not gone:
            return
        if len(gone) < len(owners):
            await self._release(obj, gone)
            return
        resource = self._resource(obj["apiVersion"], obj["kind"])
        if resource is not None:
            uid = obj["metadata"]["uid"]
            waits = foreground and bool(self._dependents(uid))
            how = options.Delete(policy="Foreground" if waits else "Background", uid=uid)
            with suppress(errors.Refused):
                await deleting.delete(self._state, resource, namespace, objects.name(obj), how)

    async def _release(self, obj: Object, owners: set[str]) -> None:
        """Take owners from an object."""

        def without(meta: dict[str, Any]) -> None:
            kept = [
                owner for owner in meta.get("ownerReferences", []) if owner["uid"] not in owners
            ]
            meta["ownerReferences"] = kept
            if not kept:
                del meta["ownerReferences"]

        await self._edit(obj, without)

    async def _finish(self, obj: Object) -> None:
        """Let go of an object that waited for its dependents."""
        meta = obj["metadata"]
        held = {FOREGROUND, ORPHAN} & set(_finalizers(obj))
        if not held or "deletionTimestamp" not in meta:
            return
        waiting = [
            dependent
            for dependent in self._dependents(meta["uid"])
            if FOREGROUND in held
            and any(
                owner["uid"] == meta["uid"] and owner.get("blockOwnerDeletion")
                for owner in _owners(dependent)
            )
        ]
        if waiting:
            return

        def without(changed: dict[str, Any]) -> None:
            changed["finalizers"] = [f for f in changed.get("finalizers", []) if f not in held]
            if not changed["finalizers"]:
                del changed["finalizers"]

        await self._edit(obj, without)

    async def _edit(self, obj: Object, edit: Any) -> None:
        """Change the metadata of an object; without finalizers, an ending one ends."""
        resource = self._resource(obj["apiVersion"], obj["kind"])
        if resource is None:
            return
        key = resource.key(objects.namespace(obj), objects.name(obj))
        record = self._state.store.get(key)
        if record.value is None or record.value["metadata"]["uid"] != obj["metadata"]["uid"]:
            return
        meta = dict(record.value["metadata"])
        edit(meta)
        if meta == record.value["metadata"]:
            return
        ends = "deletionTimestamp" in meta and not meta.get("finalizers")
        await self._state.store.write(key, record, record.value | {"metadata": meta}, deleted=ends)

    async def _empty(self, name: str) -> None:
        """Delete what an ending namespace contains, and then the namespace."""
        key = kinds.NAMESPACES.key("", name)
        record = self._state.store.get(key)
        if record.value is None or "deletionTimestamp" not in record.value["metadata"]:
            return
        left = False
        for resource in self._state.catalog.stored():
            if not resource.namespaced:
                continue
            for item in self._state.store.page(resource.key(name, "")).items:
                left = True
                if "deletionTimestamp" not in item["metadata"]:
                    with suppress(errors.Refused):
                        await deleting.delete(
                            self._state, resource, name, objects.name(item), _BACKGROUND
                        )
        if not left and not dig(record.value, "metadata", "finalizers"):
            with suppress(Stale):
                await self._state.store.write(key, record, record.value, deleted=True)

    async def _sweep(self) -> None:
        """Drop what is old."""
        store = self._state.store
        moment = time.time()
        for event in store.idle_since(kinds.EVENTS.prefix, moment - _EVENT_SECONDS):
            namespace, name = objects.namespace(event), objects.name(event)
            with suppress(errors.Refused):
                await deleting.delete(self._state, kinds.EVENTS, namespace, name, _BACKGROUND)
        await store.compact(moment - _HISTORY_SECONDS)


def _owners(obj: Object) -> list[Object]:
    owners: list[Object] = obj["metadata"].get("ownerReferences", [])
    return owners


def _finalizers(obj: Object) -> list[str]:
    finalizers: list[str] = obj["metadata"].get("finalizers", [])
    return finalizers

"""What the node knows of the API's objects: listed once, then kept current by a watch.

A cache never invents: an object is what the server last said, either over the watch or in the
answer to our own write, whichever is newer. When a watch breaks or is too old the cache lists
again and reports what changed meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from typing import NamedTuple

import httpx

from calumma import errors
from calumma.cluster import objects
from calumma.cluster.node import client
from calumma.cluster.objects import Object

log = logging.getLogger(__name__)

_PAUSE = 0.3


class Key(NamedTuple):
    """An object's namespace (empty when it is cluster-scoped) and name."""

    namespace: str
    name: str


class Cache:
    """All objects of one kind; ``changed`` gets each object that came, changed or left."""

    def __init__(self, resource: client.Resource, changed: Callable[[Object], None]) -> None:
        self.resource = resource
        self._changed = changed
        self._objects: dict[Key, Object] = {}
        self._deleted: dict[Key, int] = {}
        self.synced = asyncio.Event()

    def __iter__(self) -> Iterator[Object]:
        return iter(list(self._objects.values()))

    def get(self, namespace: str, name: str) -> Object | None:
        """The object, or None."""
        return self._objects.get(Key(namespace, name))

    def put(self, obj: Object) -> None:
        """Take an object that the server sent, unless a newer one is known."""
        obj.setdefault("apiVersion", self.resource.api_version)
        obj.setdefault("kind", self.resource.kind)
        key, version = _key(obj), _version(obj)
        if version <= self._deleted.get(key, 0):
            return
        present = self._objects.get(key)
        if present is None or _version(present) < version:
            self._objects[key] = obj
            self._changed(obj)

    def discard(self, obj: Object) -> None:
        """Forget an object that the server deleted."""
        key = _key(obj)
        self._deleted[key] = max(self._deleted.get(key, 0), _version(obj))
        present = self._objects.get(key)
        if present is not None and _version(present) <= self._deleted[key]:
            del self._objects[key]
            self._changed(obj)

    async def run(self, api: client.Client) -> None:
        """List and watch until cancelled."""
        while True:
            try:
                await self._follow(api)
            except (httpx.HTTPError, errors.ApiError) as error:
                log.info("watching %s: %s", self.resource.plural, error or type(error).__name__)
                await asyncio.sleep(_PAUSE)

    async def _follow(self, api: client.Client) -> None:
        listing = await api.list(self.resource)
        present = {_key(item) for item in listing.items}
        for item in listing.items:
            self.put(item)
        for key in set(self._objects) - present:
            if _version(self._objects[key]) <= int(listing.resource_version):
                self._changed(self._objects.pop(key))
        self._deleted.clear()
        self.synced.set()
        async for kind, obj in api.watch(self.resource, listing.resource_version):
            if kind == "ERROR":
                raise errors.ApiError(obj.get("code", 500), obj.get("reason", ""), obj["message"])
            if kind == "DELETED":
                self.discard(obj)
            elif kind != "BOOKMARK":
                self.put(obj)


def _key(obj: Object) -> Key:
    return Key(objects.namespace(obj), objects.name(obj))


def _version(obj: Object) -> int:
    return int(objects.dig(obj, "metadata", "resourceVersion", default="0"))

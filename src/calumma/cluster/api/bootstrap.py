"""What a cluster has before anyone has written to it.

:func:`create_missing` brings objects into being that a start finds absent, and leaves those alone
that are there. :class:`Accounts` gives every namespace the service account ``default``, as
Kubernetes' controller manager does.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from calumma import errors
from calumma.cluster import objects
from calumma.cluster.api import decoding, kinds, options, structure, writing
from calumma.cluster.api.backend import Backend, Call
from calumma.cluster.api.store import Change
from calumma.cluster.objects import Object

MANAGER: Final = "calumma"
NAMESPACES: Final = ("default", "kserve", "kube-public", "kube-system")
_log = logging.getLogger(__name__)


def namespace(name: str) -> Object:
    """The manifest of a namespace."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def kubernetes() -> Object:
    """The Service by which pods of a cluster find its API, where clients expect one.

    Nobody answers at its address: there is no service network here.
    """
    address = "10.96.0.1"
    labels = {"component": "apiserver", "provider": "kubernetes"}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "kubernetes", "namespace": "default", "labels": labels},
        "spec": {
            "type": "ClusterIP",
            "clusterIP": address,
            "clusterIPs": [address],
            "ipFamilies": ["IPv4"],
            "ipFamilyPolicy": "SingleStack",
            "sessionAffinity": "None",
            "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": 6443}],
        },
    }


def _account(namespace: str) -> Object:
    meta = {"name": "default", "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta}


async def create_missing(state: Backend, manifests: Iterable[Object]) -> None:
    """Create the objects that are not there yet.

    Raises:
        errors.ConfigurationError: a manifest is of a kind that is not served, or refused.
        errors.StoreError: the database refuses.
    """
    for manifest in manifests:
        kind, version = manifest.get("kind", ""), manifest.get("apiVersion", "")
        resource = state.catalog.of(version, kind)
        if resource is None:
            raise errors.ConfigurationError(
                f"A bundled manifest is of kind {kind!r} in {version!r}, which is not served."
            )
        name, where = objects.name(manifest), objects.namespace(manifest)
        if state.store.get(resource.key(where, name)).value is not None:
            continue
        how = options.Write(MANAGER, dry_run=False, validation="Strict")
        call = Call(resource, where, "", how)
        try:
            shaped = decoding.shape(structure.copied(manifest), resource, state.schemas)
            decoding.judge(resource, shaped.problems, "Strict")
            await writing.create(state, call, shaped.value)
        except (errors.Refused, decoding.Misfit) as error:
            raise errors.ConfigurationError(
                f"The bundled {kind} {name!r} cannot be created: {error}"
            ) from error


class Accounts:
    """The task that keeps a service account in every namespace."""

    def __init__(self, state: Backend) -> None:
        self._state = state
        self._changed: asyncio.Queue[str] = asyncio.Queue()
        state.store.listen(self._notice)

    def _notice(self, change: Change) -> None:
        """Remember namespaces that begin."""
        if change.kind == "ADDED" and change.key.startswith(kinds.NAMESPACES.prefix):
            self._changed.put_nowait(objects.name(change.value))

    async def run(self) -> None:
        """Create what is missing until cancelled."""
        for found in self._state.store.page(kinds.NAMESPACES.prefix).items:
            self._changed.put_nowait(objects.name(found))
        while True:
            name = await self._changed.get()
            try:
                with suppress(errors.ConfigurationError):
                    await create_missing(self._state, [_account(name)])
            except errors.StoreError as error:
                _log.warning("service account of namespace %s: %s", name, error)

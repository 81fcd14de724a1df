"""What every verb shares: the store, the watchers, the schemas, the kinds, admission, a call.

Admission is what a cluster's webhooks do: per kind, one callable completes an object and another
refuses it. The composition root gives them; this room knows nothing of KServe.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from calumma.cluster.api import options, ownership
from calumma.cluster.api.resources import Catalog, Resource
from calumma.cluster.api.schema import Schemas
from calumma.cluster.api.store import Store
from calumma.cluster.api.watch import Hub
from calumma.cluster.objects import Object

Operation = Literal["CREATE", "UPDATE"]
Mutate = Callable[[Object | None, Object, Operation], Object]
"""Old object (None on creation), new object and operation to the completed object."""
Validate = Callable[[Object | None, Object, Operation], None]
"""Raises :class:`calumma.errors.AdmissionDenied` for an object that may not be written."""


class Admission(NamedTuple):
    """The webhooks of one kind."""

    mutate: Mutate
    validate: Validate


@dataclass(frozen=True)
class Backend:
    """One server's state."""

    store: Store
    hub: Hub
    schemas: Schemas
    catalog: Catalog
    admission: Mapping[Resource, Admission] = field(default_factory=dict)


@dataclass
class Call:
    """One request to write: to what, how, and the warnings that it earns."""

    resource: Resource
    namespace: str
    name: str
    options: options.Write
    subresource: str = ""
    warnings: list[str] = field(default_factory=list)

    @property
    def writer(self) -> ownership.Writer:
        """As managed fields note it."""
        return ownership.Writer(self.options.manager, now(), self.subresource)


def now() -> str:
    """This moment, as objects write it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def new_uid() -> str:
    """A uid that no other object has."""
    return str(uuid.uuid4())

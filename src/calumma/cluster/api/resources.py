"""What a served kind is: one row of data, so that every verb is written once for all kinds.

:mod:`.kinds` lists the rows; nothing else in the room asks which kind it has before it, except
:mod:`.strategies` for the few things that Kubernetes does for single kinds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from calumma.cluster.api import names, status

CRUD: Final = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
CUSTOM: Final = ("delete", "deletecollection", "get", "list", "patch", "create", "update", "watch")
"""The verbs of a custom resource, in the order in which Kubernetes lists them."""
NODE: Final = "system:node:calumma"
"""The user that writes what runs; people only read it."""

_NAMES: Final = {
    "metadata.name": ("metadata", "name"),
    "metadata.namespace": ("metadata", "namespace"),
}


@dataclass(frozen=True)
class Column:
    """A printer column: where its cells come from, and ``priority`` 1 where only ``-o wide``."""

    name: str
    type: str
    path: str
    priority: int = 0


AGE: Final = Column("Age", "date", ".metadata.creationTimestamp")


@dataclass(frozen=True, eq=False)
class Resource:
    """One kind in one version; each row is equal to itself only."""

    group: str
    version: str
    plural: str
    singular: str
    kind: str
    namespaced: bool = True
    custom: bool = False
    """Whether the kind comes from a CustomResourceDefinition; Kubernetes answers differently."""
    schema: str = ""
    """The definition of its schema; empty where any field goes."""
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = CRUD
    subresources: tuple[str, ...] = ()
    columns: tuple[Column, ...] = (AGE,)
    name_rule: names.Rule = names.dns_subdomain
    fields: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Fields beyond the names that a field selector may use."""
    writer: str = ""
    """The only user that may write objects of this kind; empty where everyone may."""
    refusal: str = ""
    """Why no object of this kind can be created; empty where it can."""
    refused_parts: Mapping[str, str] = field(default_factory=dict)
    """Subresources that cannot be had here, and why."""
    stored_version: str = ""
    """The version that Kubernetes stores, where it is not this one."""

    @property
    def api_version(self) -> str:
        """As objects say it: ``v1``, ``serving.kserve.io/v1beta1``."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def path(self) -> str:
        """The path of its group and version below the root: ``api/v1``, ``apis/apps/v1``."""
        return f"apis/{self.api_version}" if self.group else f"api/{self.version}"

    @property
    def name(self) -> status.Plural:
        """As error texts say it: ``inferenceservices.serving.kserve.io``."""
        return status.Plural(self.plural, self.group)

    @property
    def kind_name(self) -> status.Plural:
        """As texts about invalid objects say it: ``InferenceService.serving.kserve.io``."""
        return status.Plural(self.kind, self.group)

    @property
    def has_generation(self) -> bool:
        """Whether ``metadata.generation`` counts the changes of its objects' specs."""
        return self.custom or self.group == "apps"

    @cached_property
    def selectable(self) -> Mapping[str, tuple[str, ...]]:
        """The fields that a field selector may use, and where they lie."""
        return {**_NAMES, **self.fields}

    @property
    def prefix(self) -> str:
        """What the keys of all objects of this kind begin with."""
        return f"{self.group}/{self.plural}/"

    def key(self, namespace: str, name: str) -> str:
        """The key of an object in the store."""
        return f"{self.prefix}{namespace}/{name}"


class Catalog:
    """The served kinds, looked up the ways that requests name them."""

    def __init__(self, rows: Iterable[Resource]) -> None:
        self.rows = tuple(rows)
        self._by_path = {(row.path, row.plural): row for row in self.rows}
        self._by_kind = {(row.api_version, row.kind): row for row in self.rows}

    def at(self, path: str, plural: str) -> Resource | None:
        """The row that a URL names by ``api/v1`` or ``apis/GROUP/VERSION``, and the plural."""
        return self._by_path.get((path, plural))

    def built_in(self, path: str) -> bool:
        """Whether a path such as ``api/v1`` is that of Kubernetes' own kinds."""
        return any(row.path == path and not row.custom for row in self.rows)

    def of(self, api_version: str, kind: str) -> Resource | None:
        """The row that an object names by ``apiVersion`` and ``kind``."""
        return self._by_kind.get((api_version, kind))

    def groups(self) -> dict[str, list[str]]:
        """The versions of each group, most preferred first; the core group's name is empty."""
        found: dict[str, list[str]] = {}
        for row in self.rows:
            versions = found.setdefault(row.group, [])
            if row.version not in versions:
                versions.append(row.version)
        return found

    def in_version(self, group: str, version: str) -> list[Resource]:
        """The rows of one group and version, by plural."""
        rows = [row for row in self.rows if (row.group, row.version) == (group, version)]
        return sorted(rows, key=lambda row: row.plural)

    def stored(self) -> list[Resource]:
        """One row for each kind that can have objects."""
        return [row for row in self.rows if "list" in row.verbs and not row.stored_version]

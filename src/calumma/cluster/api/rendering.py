"""What a client sees of objects: the whole, their metadata or a table, in JSON or YAML.

:mod:`.negotiation` finds out what the client wants, :mod:`.tables` makes tables, and this module
applies both to single objects, lists and watch events. The clock is the only thing outside that it
looks at, for ages. :mod:`.handlers` sends the result.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from calumma.cluster.api import parsing, reading, tables, watch
from calumma.cluster.api.negotiation import Form
from calumma.cluster.api.resources import Resource
from calumma.cluster.objects import Object


@dataclass(frozen=True)
class Renderer:
    """How one client sees the objects of one kind."""

    resource: Resource
    form: Form
    include: str
    """How much of each object the rows of a table carry."""

    def one(self, obj: Object) -> Object:
        """A single object."""
        if self.form.view == "table":
            return self._table([obj], obj["metadata"])
        return obj if self.form.view == "object" else tables.partial(obj)

    def many(self, listing: reading.Listing) -> Object:
        """A list."""
        if self.form.view == "table":
            return self._table(listing.items, listing.metadata)
        if self.form.view == "object":
            return self._list(listing)
        return {
            "kind": "PartialObjectMetadataList",
            "apiVersion": f"meta.k8s.io/{self.form.version}",
            "metadata": listing.metadata,
            "items": [tables.partial(item) for item in listing.items],
        }

    def event(self, event: watch.Event, headings: bool) -> Object:
        """The object of a watch event; ``headings`` says whether a table defines its columns."""
        if event.kind == "ERROR":
            return event.value
        if event.kind != "BOOKMARK":
            if self.form.view == "table":
                return self._table([event.value], event.value["metadata"], headings)
            return self.one(event.value)
        if self.form.view == "table":
            return self._table([], event.value["metadata"], headings)
        kind = {"kind": self.resource.kind, "apiVersion": self.resource.api_version}
        return self.one(kind | event.value)

    def _list(self, listing: reading.Listing) -> Object:
        """A list of whole objects; those of Kubernetes' own kinds do not repeat their kind."""
        resource = self.resource
        envelope: Object = {"kind": f"{resource.kind}List", "apiVersion": resource.api_version}
        if resource.custom:
            meta = {"continue": ""} | listing.metadata
            return envelope | {"metadata": meta, "items": listing.items}
        bare = [
            {key: value for key, value in item.items() if key not in ("kind", "apiVersion")}
            for item in listing.items
        ]
        return envelope | {"metadata": listing.metadata, "items": bare}

    def _table(self, items: list[Object], meta: Mapping[str, Any], headings: bool = True) -> Object:
        view = tables.table(self.resource, items, meta, self.include, time.time(), headings)
        return view | {"apiVersion": f"meta.k8s.io/{self.form.version}"}


def written(content: Any, media_type: str = parsing.JSON) -> bytes:
    """A document in a media type."""
    if media_type == parsing.YAML:
        text = parsing.to_yaml(content)
    else:
        text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "replace")

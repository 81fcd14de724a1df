"""In which form a client wants its answer: JSON or YAML, whole objects, metadata or tables.

Pure. Source: Kubernetes' *API concepts*, "Alternate representations of resources" and "Receiving
resources as Tables".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

from calumma.cluster.api import status
from calumma.cluster.api.parsing import JSON, YAML

_SERVED: Final = (JSON, YAML)
_GROUP: Final = "meta.k8s.io"
View = Literal["object", "table", "metadata"]

_VIEWS: Final[Mapping[str, View]] = {
    "Table": "table",
    "PartialObjectMetadata": "metadata",
    "PartialObjectMetadataList": "metadata",
}


class Form(NamedTuple):
    """A form of an answer."""

    media_type: str
    view: View = "object"
    version: str = "v1"
    """Of ``meta.k8s.io``, for tables and metadata."""


def ranges(accept: str) -> list[tuple[str, dict[str, str]]]:
    """The media types that a client accepts, most wanted first, with their parameters."""
    found = []
    for part in accept.split(","):
        media_type, *parameters = (piece.strip() for piece in part.split(";"))
        if media_type:
            pairs = (parameter.partition("=") for parameter in parameters)
            found.append((media_type.lower(), {key: value for key, _, value in pairs}))
    return found or [("*/*", {})]


def form(accept: str) -> Form:
    """The first form that a client accepts and that is served.

    Raises:
        errors.Refused: 406 where there is none.
    """
    for media_type, parameters in ranges(accept):
        if media_type in ("*/*", "application/*"):
            media_type = JSON
        if media_type not in _SERVED:
            continue
        if "as" not in parameters:
            return Form(media_type)
        view = _VIEWS.get(parameters["as"])
        version = parameters.get("v", "v1")
        if view and parameters.get("g") == _GROUP and version in ("v1", "v1beta1"):
            return Form(media_type, view, version)
    raise status.not_acceptable(_SERVED)

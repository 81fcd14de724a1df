"""What a rollout asks of the gateway: the key ``routing.json`` of its ConfigMap.

On the one-machine cluster the node follows these ConfigMaps and programs Envoy. A real cluster has
no such thing: KServe can neither mirror requests nor tell users apart, and nobody reads the key
there. :data:`MISSING` is what a rollout says then; :mod:`~calumma.rollout.assignment` is what
clients can do themselves, and paired replay takes the place of mirrored requests.

The node imports this module, so it must stay light.
"""

from __future__ import annotations

import json
from typing import Annotated, Self

import pydantic

from calumma import errors
from calumma.evaluation import document

KEY = "routing.json"
OWN = "x-calumma-"
"""How the gateway's own headers begin, which nobody else can use."""

MISSING = (
    "this cluster's gateway is not Calumma's: KServe has neither mirrored requests nor sticky "
    "assignment, so the canary gets pairs instead, and each request is split by chance unless "
    "clients choose by calumma.rollout.assignment"
)

_Name = Annotated[str, pydantic.Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=253)]
_Token = Annotated[str, pydantic.Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", max_length=100)]


class Mirror(document.Part):
    """Requests of users that a canary gets as well, and whose answers nobody sees."""

    percent: Annotated[int, pydantic.Field(ge=1, le=100)]
    """Of all requests that the canary does not get itself."""
    revisions: Annotated[tuple[_Name, ...], pydantic.Field(min_length=1)]
    """The canary: its revision or Deployment of each component. One that has a share of the traffic
    is not mirrored to."""


class Assignment(document.Part):
    """What tells users apart: each one always gets the same revision."""

    header: _Token | None = None
    cookie: _Token | None = None

    @pydantic.model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.header is None) == (self.cookie is None):
            raise ValueError("an assignment needs either header or cookie")
        if self.header is not None and self.header.lower().startswith(OWN):
            raise ValueError(f"headers that begin with {OWN} are the gateway's own")
        return self


class Routing(document.Part):
    """The content of ``routing.json``; what is not there is not done."""

    mirror: Mirror | None = None
    assignment: Assignment | None = None

    def text(self) -> str:
        """The content as it is written into the ConfigMap."""
        return self.model_dump_json(exclude_none=True)


def read(text: str) -> Routing:
    """The content of the key; raises :class:`~calumma.errors.DocumentInvalid`."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise errors.DocumentInvalid(f"{KEY} is not JSON: {error}") from error
    return document.check(content, Routing, KEY)

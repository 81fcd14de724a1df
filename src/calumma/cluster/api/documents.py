"""The documents that do not depend on objects: discovery, OpenAPI, version and health.

They change only with the program, so each has an ETag and clients keep it. :mod:`.discovery` and
:mod:`.openapi` make the contents.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from calumma import __version__
from calumma.cluster.api import discovery, negotiation, openapi, rendering, status
from calumma.cluster.api.backend import Backend
from calumma.cluster.api.parsing import JSON

_AGGREGATED: Final = "APIGroupDiscoveryList"
_SWAGGER: Final = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
_SWAGGER_ASKED: Final = (_SWAGGER, _SWAGGER.replace("v2.v1.0", "v2@v1.0"))
_PLAIN: Final = "text/plain; charset=utf-8"
_HEALTH: Final = ("/healthz", "/livez", "/readyz")


class Document(NamedTuple):
    """An answer that is the same for everyone."""

    body: bytes
    media_type: str
    headers: Mapping[str, str]


def find(
    state: Backend, path: str, query: Mapping[str, str], accept: str, host: str
) -> Document | None:
    """The document of a path, or None where there is none.

    Raises:
        errors.Refused: 406 for a form that it does not have.
    """
    if path in _HEALTH:
        return Document(b"ok", _PLAIN, {})
    if path == "/version":
        return _json(version())
    if path == "/":
        return _json({"paths": _paths(state)})
    if path == "/openapi/v3":
        return _json(openapi.root(state.catalog, state.schemas))
    if path == "/openapi/v2":
        return _swagger(accept)
    if path.startswith("/openapi/v3/"):
        return _openapi(state, path.removeprefix("/openapi/v3/"), query, accept)
    return _discovery(state, path, accept, host)


def version() -> dict[str, str]:
    """Which version of Kubernetes' API this is, and of which program."""
    major, minor = openapi.SERVED_VERSION.split(".")
    return {
        "major": major,
        "minor": minor,
        "emulationMajor": major,
        "emulationMinor": minor,
        "minCompatibilityMajor": major,
        "minCompatibilityMinor": str(int(minor) - 1),
        "gitVersion": f"v{openapi.SERVED_VERSION}.0+calumma-{__version__}",
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": f"python{platform.python_version()}",
        "compiler": platform.python_implementation().lower(),
        "platform": f"{platform.system().lower()}/{platform.machine()}",
    }


def _paths(state: Backend) -> list[str]:
    """The paths that a person may want to look at."""
    versions = {f"/{row.path}" for row in state.catalog.rows}
    groups = {f"/apis/{group}" for group in state.catalog.groups() if group}
    return sorted({"/api", "/apis", "/openapi/v3", "/version", *_HEALTH, *versions, *groups})


def _json(
    content: Any, media_type: str = JSON, headers: Mapping[str, str] | None = None
) -> Document:
    return Document(rendering.written(content), media_type, headers or {})


def _swagger(accept: str) -> Document:
    """An OpenAPI v2 document without definitions, for clients that look into it after v3.

    kubectl does so before it says that a kind is unknown, and only reads protobuf.
    """
    info = {"title": "Kubernetes", "version": f"v{openapi.SERVED_VERSION}"}
    if any(media_type in _SWAGGER_ASKED for media_type, _ in negotiation.ranges(accept)):
        title, served = (text.encode() for text in info.values())
        inner = b"\x0a%c%b\x12%c%b" % (len(title), title, len(served), served)
        body = b"\x0a\x032.0\x12%c%b\x42\x00" % (len(inner), inner)
        return _kept(Document(body, _SWAGGER, {}))
    return _kept(_json({"swagger": "2.0", "info": info, "paths": {}}))


def _openapi(state: Backend, path: str, query: Mapping[str, str], accept: str) -> Document | None:
    """One OpenAPI document."""
    negotiation.form(accept)
    content = openapi.document(state.catalog, state.schemas, path)
    if content is None:
        return None
    digest = openapi.digest(state.schemas, path)
    headers = {"ETag": f'"{digest}"', "Vary": "Accept"}
    if query.get("hash") == digest:
        headers["Cache-Control"] = "public, immutable, max-age=31536000"
    return _json(content, JSON, headers)


def _discovery(state: Backend, path: str, accept: str, host: str) -> Document | None:
    """What is served, in the form that the client prefers."""
    catalog = state.catalog
    root, *parts = path.strip("/").split("/")
    if path in ("/api", "/apis"):
        wanted = _aggregated_version(accept)
        if wanted:
            content = discovery.aggregated(catalog, root == "api", wanted)
            form = f"{JSON};g=apidiscovery.k8s.io;v={wanted};as={_AGGREGATED}"
            return _kept(_json(content, form))
        legacy = discovery.versions(host) if root == "api" else discovery.groups(catalog)
        return _kept(_json(legacy))
    found = None
    if root == "api" and len(parts) == 1:
        found = discovery.resources(catalog, "", parts[0])
    elif root == "apis" and len(parts) == 1:
        found = discovery.group(catalog, parts[0])
    elif root == "apis" and len(parts) == 2:
        found = discovery.resources(catalog, parts[0], parts[1])
    return _json(found) if found is not None else None


def _aggregated_version(accept: str) -> str:
    """The version of the aggregated form that a client prefers; empty for the legacy form.

    Raises:
        errors.Refused: 406 where it accepts neither.
    """
    for media_type, parameters in negotiation.ranges(accept):
        if media_type not in (JSON, "application/*", "*/*"):
            continue
        if parameters.get("as") == _AGGREGATED and parameters.get("v") in discovery.VERSIONS:
            return parameters["v"]
        if "as" not in parameters:
            return ""
    raise status.not_acceptable((JSON,))


def _kept(document: Document) -> Document:
    """A document that clients keep by its hash."""
    digest = hashlib.sha512(document.body).hexdigest().upper()
    headers = {"ETag": f'"{digest}"', "Vary": "Accept", "Cache-Control": "public"}
    return document._replace(headers=headers)

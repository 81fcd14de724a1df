"""What a request names: a kind, a namespace, an object, a part of it, and what to do with it.

Two routers stand behind a real API server, and they refuse in different words: one for Kubernetes'
own kinds, one for custom resources. Pure. Sources: Kubernetes'
``apiserver/pkg/endpoints/request/requestinfo.go`` and
``apiextensions-apiserver/pkg/apiserver/customresource_handler.go``.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from calumma.cluster.api import status
from calumma.cluster.api.resources import Catalog, Resource

_NAMESPACE_PARTS: Final = ("status", "finalize")
OF_LIST: Final = {"GET": "list", "POST": "create", "DELETE": "deletecollection"}
OF_OBJECT: Final = {"GET": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_OF_SUBRESOURCE: Final = {"log": ("get",), "status": ("get", "update", "patch")}


class Target(NamedTuple):
    """What a request is about; what its path does not name is empty."""

    resource: Resource
    namespace: str
    name: str
    subresource: str
    verb: str


def target(path: str, method: str, catalog: Catalog) -> Target | None:
    """The target of a request, or None where its path names no kind that is served.

    Raises:
        errors.Refused: 404 and 405 for paths and methods that a served kind does not have.
    """
    root, *parts = path.strip("/").split("/")
    length = {"api": 1, "apis": 2}.get(root, 0)
    if not length or len(parts) <= length:
        return None
    base, rest = "/".join([root, *parts[:length]]), parts[length:]
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in _NAMESPACE_PARTS:
        namespace, rest = rest[1], rest[2:]
    plural, name, subresource, *more = (*rest, "", "")
    resource = catalog.at(base, plural)
    if resource is not None and resource.custom:
        return None if any(more) else _custom(resource, namespace, name, subresource, method)
    if resource is None or any(more):
        if catalog.built_in(base):
            raise status.no_such_path()
        return None
    return _built_in(resource, namespace, name, subresource, method)


def _custom(
    resource: Resource, namespace: str, name: str, subresource: str, method: str
) -> Target | None:
    """The target of a request about custom resources."""
    if name:
        verb = {"POST": "create", **OF_OBJECT}.get(method, "")
    else:
        verb = {"PUT": "update", "PATCH": "patch", **OF_LIST}.get(method, "")
    if bool(namespace) != resource.namespaced and (namespace or verb != "list"):
        return None
    if subresource and subresource not in resource.subresources:
        raise status.not_found(resource.name, name)
    if verb not in (_OF_SUBRESOURCE[subresource] if subresource else resource.verbs):
        raise status.method_not_supported(resource.name, verb or method.lower())
    if verb in ("update", "patch") and not name:
        raise status.bad_request("name must be provided")
    return Target(resource, namespace, name, subresource, verb)


def _built_in(
    resource: Resource, namespace: str, name: str, subresource: str, method: str
) -> Target:
    """The target of a request about Kubernetes' own kinds; raises Refused for what is none."""
    if name and subresource in resource.refused_parts:
        raise status.forbidden(resource.name, name, resource.refused_parts[subresource])
    across = resource.namespaced and not namespace
    served: tuple[str, ...] = ()
    if bool(namespace) == resource.namespaced or (across and not name):
        if subresource:
            offered = _OF_SUBRESOURCE[subresource] if subresource in resource.subresources else ()
        else:
            offered = resource.verbs
        allowed = ("list",) if across else (OF_OBJECT if name else OF_LIST).values()
        served = tuple(verb for verb in offered if verb in allowed)
    if not served:
        raise status.no_such_path()
    verb = (OF_OBJECT if name else OF_LIST).get(method, "")
    if verb not in served:
        raise status.method_not_allowed()
    return Target(resource, namespace, name, subresource, verb)

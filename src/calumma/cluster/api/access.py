"""Who is asking, and what they may do.

Two users exist: the person, who may do everything but write what runs, and the node, which may do
everything. Both prove themselves by a bearer token; nobody may speak to the server under a name
that is not this machine's, so that no web page can. :mod:`calumma.cluster.credentials` makes the
tokens, :mod:`.reviews` lets clients ask. Source of the texts: Kubernetes' authorization filter.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from calumma import errors
from calumma.cluster.api import status
from calumma.cluster.api.resources import NODE, Resource

OPEN_PATHS: Final = frozenset({"/version", "/healthz", "/livez", "/readyz"})
"""What answers without a token, and says nothing that matters."""
_WRITES: Final = frozenset({"create", "update", "patch", "delete", "deletecollection"})
_LOOPBACK: Final = ("127.0.0.1", "[::1]", "localhost")
_HOST: Final = re.compile(r"(127\.0\.0\.1|\[::1\]|localhost)(:\d{1,5})?", re.ASCII)


@dataclass(frozen=True)
class User:
    """Someone whom the server knows."""

    name: str
    groups: tuple[str, ...]


def check_host(hosts: Sequence[str]) -> None:
    """Refuse a request that was meant for another host, which is how rebinding DNS attacks.

    ``hosts`` are the request's Host headers; a request has one, and nothing but a name of the
    loopback interface and a port may stand in it, so that it cannot pass for a path either.

    Raises:
        errors.Refused: 400 where there is not one header, 403 where it names another host.
    """
    if len(hosts) != 1:
        raise status.bad_request(f"a request has one Host header; this one has {len(hosts)}")
    if not _HOST.fullmatch(hosts[0].lower()):
        raise errors.Refused(
            403,
            "Forbidden",
            f"this API server answers to {', '.join(_LOOPBACK)}, not to {hosts[0]!r}",
        )


@dataclass(frozen=True)
class Doorkeeper:
    """The tokens that the server accepts."""

    tokens: Mapping[str, User]

    def user(self, authorization: str) -> User:
        """The user whose token a request carries; takes the same time for every wrong one.

        Raises:
            errors.Refused: 401.
        """
        scheme, _, token = authorization.partition(" ")
        sent = token.strip().encode("utf-8", "replace")
        found = None
        for known, user in self.tokens.items():
            if hmac.compare_digest(known.encode(), sent):
                found = user
        if found is None or scheme.lower() != "bearer":
            raise status.unauthorized()
        return found


def may(user: User, verb: str, resource: Resource | None) -> bool:
    """Whether a user may do something with a kind; None stands for what is not served."""
    if resource is None or verb not in _WRITES or not resource.writer:
        return True
    return user.name in (resource.writer, NODE)


def check(user: User, verb: str, resource: Resource, namespace: str, name: str) -> None:
    """Refuse what a user may not do.

    Raises:
        errors.Refused: 403, in Kubernetes' words.
    """
    if may(user, verb, resource):
        return
    where = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
    why = (
        f'User "{user.name}" cannot {verb} resource "{resource.plural}" '
        f'in API group "{resource.group}" {where}'
    )
    raise status.forbidden(resource.name, name, why)

"""Where a pod's request for a URL goes: a host of this cluster through its gateway, else out. Pure.

A pod of a real cluster finds ``http://message-dumper.default`` by its DNS, which tries the cluster
before the world. Here the gateway knows the cluster's hosts by their name, and says so when it does
not know one (:data:`UNKNOWN`); a name that could be of both is then tried in the world.
"""

from __future__ import annotations

import ipaddress
from typing import Final, NamedTuple
from urllib.parse import urlsplit

UNKNOWN: Final = "x-calumma-unknown-host"
"""The response header by which the gateway says that no service of the cluster has that name."""

_CLUSTER = (".svc", ".svc.cluster.local")


class Attempt(NamedTuple):
    """A URL to connect to, and the Host to ask it for; None for the URL's own."""

    url: str
    host: str | None = None


def attempts(url: str, namespace: str, gateway: str | None) -> tuple[Attempt, ...]:
    """Where to send what is for ``url``, in the order to try.

    ``namespace`` completes a name without one; ``gateway`` is the ``host:port`` of the cluster's
    gateway. The gateway speaks HTTP only, so what is for ``https`` goes out unchanged.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme != "http" or gateway is None or parts.port not in (None, 80):
        return (_outside(url),)
    if host.endswith(_CLUSTER):
        return (Attempt(parts._replace(netloc=gateway).geturl(), host),)
    labels = host.split(".")
    if len(labels) > 2 or host == "localhost" or labels[-1] == "localhost" or _is_address(host):
        return (_outside(url),)
    name = host if len(labels) == 2 else f"{host}.{namespace}"
    return Attempt(parts._replace(netloc=gateway).geturl(), name), Attempt(url)


def _outside(url: str) -> Attempt:
    """As it is; names below ``localhost`` are this machine's, whatever its resolver says."""
    parts = urlsplit(url)
    if not (parts.hostname or "").endswith(".localhost"):
        return Attempt(url)
    port = "" if parts.port is None else f":{parts.port}"
    return Attempt(parts._replace(netloc=f"127.0.0.1{port}").geturl(), parts.netloc)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True

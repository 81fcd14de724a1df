"""Asking a graph's services over HTTP, on connections that are kept.

A name of the cluster, such as ``digits.default.svc.cluster.local``, leads to the gateway, which
routes by Host; any other to where it says. Which request headers a service gets is said by
patterns, as in KServe. A step changes nothing in a service, so a request whose kept connection
turns out to be closed is sent again, once.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager

import aiohttp
from yarl import URL

from calumma import errors
from calumma.graph import evaluation

log = logging.getLogger(__name__)

Headers = Iterable[tuple[bytes, bytes]]
"""A request's headers as ASGI has them: names in small letters."""

JSON = "application/json"
_CLUSTER = (".svc.cluster.local", ".svc")
_NEVER = frozenset(
    {"connection", "content-length", "host", "keep-alive", "te", "trailer", "transfer-encoding"}
)
"""Headers of one connection or one body, which are never passed on."""


class Propagation:
    """Which headers of a request go on to the services: those whose name a pattern finds."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self._patterns = []
        for pattern in patterns:
            try:
                self._patterns.append(re.compile(pattern))
            except re.error as error:  # KServe's router logs it too, and goes on
                log.error("The header pattern %r is left out: %s", pattern, error)

    def of(self, headers: Headers) -> list[tuple[str, str]]:
        """The headers to send; the content is JSON unless the request's type goes on."""
        passed = []
        for raw, value in headers if self._patterns else ():
            name = canonical(raw.decode("latin-1"))
            if name.lower() not in _NEVER and any(p.search(name) for p in self._patterns):
                passed.append((name, value.decode("latin-1")))
        if not any(name == "Content-Type" for name, _ in passed):
            passed.append(("Content-Type", JSON))
        return passed


def canonical(name: str) -> str:
    """A header's name as Go writes it, which is what patterns are written for."""
    return "-".join(part.capitalize() for part in name.split("-"))


class Services:
    """A client of all services of a graph.

    ``gateway`` is the address that answers to the cluster's names, ``namespace`` the graph's own,
    ``patience`` the seconds that one step may take, None for any.
    """

    def __init__(
        self, session: aiohttp.ClientSession, gateway: str, namespace: str, patience: float | None
    ) -> None:
        self._session = session
        self._gateway = URL(f"http://{gateway}")
        self._namespace = namespace
        self._patience = patience

    async def ask(self, url: str, body: bytes, headers: list[tuple[str, str]]) -> evaluation.Answer:
        """What a service answers; raises GraphFailed when it gives no answer."""
        try:
            target, host = self.target(url)
            sent = [*headers, ("Host", host)] if host else headers
            async with asyncio.timeout(self._patience):
                try:
                    return await self._post(target, body, sent)
                except aiohttp.ServerDisconnectedError:
                    return await self._post(target, body, sent)
        except TimeoutError as error:
            within = f"{self._patience} s, routerTimeouts.serviceClient"
            raise errors.GraphFailed(f'Post "{url}": no answer within {within}') from error
        except (aiohttp.ClientError, ValueError) as error:
            raise errors.GraphFailed(f'Post "{url}": {error}') from error

    def target(self, url: str) -> tuple[URL, str]:
        """Where to send a request for an URL, and the Host to ask for, empty for the URL's own.

        As in a pod, a name without a dot is a service of the graph's namespace, and one of two
        labels of which the second is that namespace as well. Names below ``localhost`` are this
        machine, whatever the resolver says.
        """
        asked = URL(url)
        host = asked.host or ""
        if host.endswith(".localhost"):
            return asked.with_host("127.0.0.1"), asked.authority
        if "." not in host and host not in ("", "localhost") and ":" not in host:
            host = f"{host}.{self._namespace}"
        own = host.endswith(f".{self._namespace}") and host.count(".") == 1
        if not own and not host.endswith(_CLUSTER):
            return asked, ""
        return self._gateway.join(asked.relative()), host

    async def _post(
        self, target: URL, body: bytes, headers: list[tuple[str, str]]
    ) -> evaluation.Answer:
        async with self._session.post(target, data=body, headers=headers) as response:
            content = await response.read()
            is_json = response.content_type == JSON
            return evaluation.Answer(response.status, content, is_json)


@asynccontextmanager
async def connect(gateway: str, namespace: str, patience: float | None) -> AsyncIterator[Services]:
    """The services, with connections that stay open; each request in flight has one of its own."""
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(
        connector=connector,
        timeout=aiohttp.ClientTimeout(total=None),
        skip_auto_headers=("Accept", "Accept-Encoding", "User-Agent"),
        cookie_jar=aiohttp.DummyCookieJar(),
    ) as session:
        yield Services(session, gateway, namespace, patience)

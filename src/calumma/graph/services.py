"""Asking a graph's services over HTTP, on connections that are kept.

A name of the cluster leads to the gateway, which routes by Host, any other to where it says
(:mod:`calumma.destination`). Which request headers a service gets is said by
patterns, as in KServe. A step changes nothing in a service, so a request whose kept connection
turns out to be closed is sent again, once.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple

import aiohttp

from calumma import destination, errors
from calumma.graph import evaluation

log = logging.getLogger(__name__)

Headers = Iterable[tuple[bytes, bytes]]
"""A request's headers as ASGI has them: names in small letters."""

JSON = "application/json"
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
        self._gateway = gateway
        self._namespace = namespace
        self._patience = patience

    async def ask(self, url: str, body: bytes, headers: list[tuple[str, str]]) -> evaluation.Answer:
        """What a service answers; raises GraphFailed when it gives no answer."""
        try:
            async with asyncio.timeout(self._patience):
                return await self._first(
                    destination.attempts(url, self._namespace, self._gateway), body, headers
                )
        except TimeoutError as error:
            within = f"{self._patience} s, routerTimeouts.serviceClient"
            raise errors.GraphFailed(f'Post "{url}": no answer within {within}') from error
        except (aiohttp.ClientError, ValueError) as error:
            raise errors.GraphFailed(f'Post "{url}": {error}') from error

    async def _first(
        self,
        attempts: Sequence[destination.Attempt],
        body: bytes,
        headers: list[tuple[str, str]],
    ) -> evaluation.Answer:
        """The answer of the first attempt whose host somebody knows, else of the last one."""
        *others, last = attempts
        for attempt in others:
            reply = await self._post(attempt, body, headers)
            if reply.known:
                return reply.answer
        return (await self._post(last, body, headers)).answer

    async def _post(
        self, attempt: destination.Attempt, body: bytes, headers: list[tuple[str, str]]
    ) -> _Reply:
        sent = [*headers, ("Host", attempt.host)] if attempt.host else headers
        try:
            return await self._send(attempt.url, body, sent)
        except aiohttp.ServerDisconnectedError:
            return await self._send(attempt.url, body, sent)

    async def _send(self, url: str, body: bytes, headers: list[tuple[str, str]]) -> _Reply:
        async with self._session.post(url, data=body, headers=headers) as response:
            content = await response.read()
            is_json = response.content_type == JSON
            answer = evaluation.Answer(response.status, content, is_json)
            return _Reply(answer, destination.UNKNOWN not in response.headers)


class _Reply(NamedTuple):
    """What came back, and whether its host was known to who sent it."""

    answer: evaluation.Answer
    known: bool


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

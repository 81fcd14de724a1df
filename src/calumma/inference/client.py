"""The asynchronous client and its replies."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, Self, TypeVar

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from numpy.typing import NDArray

from calumma import errors
from calumma.inference import classification, tensors

Content = TypeVar("Content")
Decoder = Callable[[bytes, Mapping[str, str]], Content]

PREDICTOR_REVISION = "x-calumma-predictor-revision"
TRANSFORMER_REVISION = "x-calumma-transformer-revision"


class Revisions(NamedTuple):
    """The revisions that answered, by the data plane's headers; None where it does not say."""

    predictor: str | None = None
    transformer: str | None = None


class Failure(NamedTuple):
    """Why there is no content.

    ``kind`` is for counting: ``timeout``, ``refused`` (nobody listens), ``disconnected``,
    ``status 503`` and the like, or ``unreadable``. ``message`` is a sentence.
    """

    kind: str
    message: str


@dataclass(frozen=True)
class Reply(Generic[Content]):
    """What came back: content or a failure, and in any case how long it took.

    ``status`` is the HTTP status, None when no answer arrived; ``seconds`` runs from sending to
    the last byte or the failure.
    """

    status: int | None
    seconds: float
    revisions: Revisions
    content: Content | None = None
    failure: Failure | None = None


class Client:
    """Asks one model of one service; use it as an asynchronous context manager.

    ``url`` is a service's ``status.url`` and ``model`` the name it serves. ``timeout`` bounds one
    request in seconds. The client keeps connections open and opens as many as are asked for at
    once: who calls it bounds that.
    """

    def __init__(self, url: str, model: str, *, timeout: float = 30.0) -> None:
        self.url = url.rstrip("/")
        self.model = model
        self._timeout = timeout
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(resolver=_Resolver(), limit=0),
            timeout=aiohttp.ClientTimeout(total=self._timeout),
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def classify(
        self, images: Sequence[bytes]
    ) -> Reply[tuple[classification.Prediction, ...]]:
        """Send encoded images to ``/v1/models/<model>:predict``; one prediction for each."""
        return await self._ask(
            f"/v1/models/{self.model}:predict",
            classification.encode(images),
            {"Content-Type": "application/json"},
            lambda body, _: classification.decode(body, len(images)),
        )

    async def infer(
        self, inputs: Mapping[str, NDArray[Any]], outputs: Sequence[str] = ()
    ) -> Reply[tensors.Tensors]:
        """Send tensors to ``/v2/models/<model>/infer``; the outputs come back by name.

        Without ``outputs`` the model gives all of them. Raises
        :class:`~calumma.errors.InferenceError` for an input that the protocol cannot carry.
        """
        body, headers = tensors.encode(inputs, outputs)
        return await self._ask(
            f"/v2/models/{self.model}/infer",
            body,
            headers,
            lambda body, headers: tensors.decode(body, headers.get(tensors.LENGTH_HEADER)),
        )

    async def _ask(
        self, path: str, body: bytes, headers: dict[str, str], decode: Decoder[Content]
    ) -> Reply[Content]:
        if self._session is None:
            raise errors.InferenceError("the client is not open; use it in `async with`")
        start = time.perf_counter()
        try:
            async with self._session.post(self.url + path, data=body, headers=headers) as response:
                answer = await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            seconds = time.perf_counter() - start
            return Reply(None, seconds, Revisions(), failure=self._no_answer(error))
        seconds = time.perf_counter() - start
        revisions = Revisions(
            response.headers.get(PREDICTOR_REVISION), response.headers.get(TRANSFORMER_REVISION)
        )
        if response.status != 200:
            kind = f"status {response.status}"
            message = f"{self.url} answered {response.status}: {_reason(answer)}"
            return Reply(response.status, seconds, revisions, failure=Failure(kind, message))
        try:
            content = decode(answer, response.headers)
        except errors.InferenceError as error:
            failure = Failure("unreadable", f"{self.url}: {error}")
            return Reply(response.status, seconds, revisions, failure=failure)
        return Reply(response.status, seconds, revisions, content)

    def _no_answer(self, error: Exception) -> Failure:
        if isinstance(error, TimeoutError):
            return Failure("timeout", f"{self.url} gave no answer within {self._timeout:g} s")
        if isinstance(error, aiohttp.ClientConnectorError):
            return Failure("refused", f"{self.url} cannot be connected to: {error}")
        return Failure("disconnected", f"{self.url} closed the connection: {error}")


class _Resolver(AbstractResolver):
    """Names under ``.localhost`` are this machine; others are the system's to resolve."""

    def __init__(self) -> None:
        self._system = aiohttp.DefaultResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        if not host.endswith(".localhost"):
            return await self._system.resolve(host, port, family)
        return [
            ResolveResult(
                hostname=host, host="127.0.0.1", port=port, family=socket.AF_INET, proto=0, flags=0
            )
        ]

    async def close(self) -> None:
        await self._system.close()


def _reason(body: bytes, limit: int = 300) -> str:
    """What an error body says: KServe's ``{"error": ...}``, else the text as it is."""
    text = body.decode(errors="replace").strip()
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if isinstance(found, dict) and isinstance(found.get("error"), str):
        text = found["error"]
    return text[:limit] or "no reason given"

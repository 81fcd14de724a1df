"""Asking Triton: pixels out as they are, logits back as they are.

The Open Inference Protocol's binary tensor extension over HTTP/1.1, on connections that are kept;
JSON tensors cost sixteen times as much. NVIDIA's asyncio client costs the same as this one, but
keeps the reply's status and headers to itself. A prediction changes nothing in the predictor, so a
request whose connection broke before an answer came is sent again. Whatever the predictor does
wrong is :class:`~calumma.errors.PredictorFailed` with the status that the client gets: 503 where
it cannot be reached or is not ready, 504 where it took too long, 502 for the rest.
:mod:`calumma.serving.transformer` is the one caller.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import aiohttp
import numpy as np
import orjson
from numpy.typing import NDArray

from calumma import errors
from calumma.serving import requests

# Which revision answered; the gateway adds it where it splits the predictor's traffic.
REVISION = "x-calumma-predictor-revision"

# What a request carries on to the predictor: identity, trace and authority, and what its gateway
# says of it: who the user is, by which one revision is chosen, and that it is a mirrored request.
FORWARDED = (
    "authorization",
    "b3",
    "baggage",
    "traceparent",
    "tracestate",
    "x-b3-flags",
    "x-b3-parentspanid",
    "x-b3-sampled",
    "x-b3-spanid",
    "x-b3-traceid",
    "x-calumma-mirrored",
    "x-calumma-user",
    "x-request-id",
)

_TYPES = {"FP16": np.float16, "FP32": np.float32, "FP64": np.float64}


class Target(NamedTuple):
    """A model at a predictor: its address, and the tensors to send and to ask for."""

    url: str
    model: str
    input: str
    output: str


class Answer(NamedTuple):
    """Logits, floats [batch, classes], and the headers to pass on."""

    logits: NDArray[Any]
    headers: Mapping[str, str]


class Predictor:
    """A client of one model at one predictor; :meth:`connected` must be entered to use it."""

    def __init__(self, target: Target, *, timeout: float, retries: int) -> None:
        self._target = target
        self._url = f"{target.url}/v2/models/{target.model}/infer"
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._attempts = 1 + max(1, retries)
        self._session: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        """Keep connections open; each request in flight has one of its own."""
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(
            connector=connector,
            timeout=self._timeout,
            skip_auto_headers=("Accept", "Accept-Encoding", "User-Agent"),
            cookie_jar=aiohttp.DummyCookieJar(),
        ) as session:
            self._session = session
            try:
                yield
            finally:
                self._session = None

    async def infer(self, pixels: NDArray[np.uint8], headers: Mapping[str, str]) -> Answer:
        """The logits of a batch of images, uint8 [batch, ...].

        Raises :class:`~calumma.errors.PredictorFailed`.
        """
        document = _document(self._target.input, self._target.output, pixels.shape)
        sent = {name: headers[name] for name in FORWARDED if name in headers}
        sent["Inference-Header-Content-Length"] = str(len(document))
        sent["Content-Type"] = "application/octet-stream"
        status, received, body = await self._post(b"".join((document, pixels.data)), sent)
        passed = {REVISION: received[REVISION]} if REVISION in received else {}
        if status != 200:
            meaning = {503: 503, 504: 504, 408: 504, 429: 503}.get(status, 502)
            raise self._failed(f"answered {status}: {_said(body)}", meaning, passed)
        return Answer(self._logits(received, body, len(pixels)), passed)

    async def _post(
        self, body: bytes, headers: Mapping[str, str]
    ) -> tuple[int, Mapping[str, str], bytes]:
        if self._session is None:
            raise errors.PredictorFailed("The transformer is starting or stopping.", 503)
        attempts = self._attempts
        while True:
            attempts -= 1
            try:
                async with self._session.post(self._url, data=body, headers=headers) as response:
                    return response.status, response.headers, await response.read()
            except TimeoutError as error:
                raise self._failed(
                    f"did not answer within {self._timeout.total:g} s", 504
                ) from error
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
                if not attempts:
                    raise self._failed(f"cannot be reached: {error}", 503) from error
            except aiohttp.ClientError as error:
                raise self._failed(f"broke off its answer: {error}", 502) from error

    def _logits(self, headers: Mapping[str, str], body: bytes, rows: int) -> NDArray[Any]:
        """The output tensor of a binary reply, checked against what was asked for."""
        try:
            length = int(headers[requests.HEADER_LENGTH])
            (output,) = orjson.loads(body[:length])["outputs"]
            values = np.frombuffer(body, _TYPES[output["datatype"]], offset=length)
            logits = values.reshape(output["shape"])
        except (KeyError, TypeError, ValueError) as error:
            raise self._failed(
                f"sent no tensor '{self._target.output}' of floats in binary form: {error!r}", 502
            ) from error
        if logits.ndim != 2 or len(logits) != rows:
            raise self._failed(
                f"sent '{self._target.output}' with shape {list(logits.shape)} for {rows} images; "
                f"expected is [{rows}, classes]",
                502,
            )
        return logits

    def _failed(
        self, what: str, status: int, headers: Mapping[str, str] | None = None
    ) -> errors.PredictorFailed:
        return errors.PredictorFailed(
            f"The predictor at {self._target.url} {what}.", status, headers
        )


@functools.lru_cache(maxsize=256)
def _document(input: str, output: str, shape: tuple[int, ...]) -> bytes:
    """The JSON document in front of the pixels, which is the same for every batch of a shape."""
    size = {"binary_data_size": int(np.prod(shape))}
    tensor = {"name": input, "shape": shape, "datatype": "UINT8", "parameters": size}
    wanted = {"name": output, "parameters": {"binary_data": True}}
    return orjson.dumps({"inputs": [tensor], "outputs": [wanted]})


def _said(body: bytes) -> str:
    """What an error's body says: Triton's JSON, or the gateway's text."""
    try:
        text = orjson.loads(body)["error"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        text = body.decode(errors="replace")
    return str(text)[:300].strip().rstrip(".") or "nothing"

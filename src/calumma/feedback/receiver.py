"""The server that takes logged events and labels, and writes them into a feedback folder.

``POST /`` takes what KServe's logger sends; ``POST /labels`` takes ``{"id", "label", "by"}`` from
whoever has the token, with ``"kind": "user"`` from the one who got the answer, who may leave out
``label`` to flag it. What is neither is refused with a sentence and leaves nothing behind. It
answers an event before the event is on disk, because a logger must never wait, and a label after.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pydantic
from aiohttp import web

from calumma import errors
from calumma.feedback import exchange, folder, records

log = logging.getLogger(__name__)

LARGEST_EVENT = 32 << 20
LARGEST_LABEL = 64 << 10


class Receiver:
    """What the requests share: the folder's writer, and exchanges that are not complete."""

    def __init__(
        self, writer: folder.Writer, exchanges: exchange.Exchanges, token: str, *, images: bool
    ) -> None:
        self._writer = writer
        self._exchanges = exchanges
        self._token = token
        self._images = images
        self._counts = {"events": 0, "predictions": 0, "labels": 0, "refused": 0}

    def app(self) -> web.Application:
        """The web application."""
        app = web.Application(client_max_size=LARGEST_EVENT, middlewares=[self._refusing])
        app.router.add_post("/", self._event)
        app.router.add_post("/labels", self._label)
        app.router.add_get("/healthz", self._health)
        app.cleanup_ctx.append(self._keeping)
        return app

    @web.middleware
    async def _refusing(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Answer 400 with a sentence to what is no feedback."""
        try:
            return await handler(request)
        except errors.FeedbackError as error:
            self._counts["refused"] += 1
            return web.json_response({"error": str(error)}, status=400)
        except OSError as error:
            log.error("nothing can be kept: %s", error)
            return web.json_response({"error": f"it cannot be kept: {error}"}, status=503)
        except web.HTTPException as error:
            self._counts["refused"] += 1
            return web.json_response({"error": error.text or error.reason}, status=error.status)

    async def _event(self, request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        event = exchange.parse(headers, await request.read())
        self._counts["events"] += 1
        self._write(self._exchanges.take(event, time.monotonic()))
        return web.Response(status=202)

    async def _label(self, request: web.Request) -> web.Response:
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(given.encode(errors="replace"), self._token.encode()):
            raise web.HTTPUnauthorized(
                text="a label needs the header `Authorization: Bearer <token>` with the token of "
                "this receiver"
            )
        if (request.content_length or 0) > LARGEST_LABEL:
            raise web.HTTPRequestEntityTooLarge(LARGEST_LABEL, request.content_length or 0)
        self._writer.label(_label(await request.read()))
        self._counts["labels"] += 1
        return web.Response(status=201)

    async def _health(self, _: web.Request) -> web.Response:
        return web.json_response({**self._counts, "dropped": self._exchanges.dropped})

    async def _keeping(self, _: web.Application) -> AsyncIterator[None]:
        """Settle and put on disk once a second while the server runs, and once at its end."""
        keeping = asyncio.create_task(self._keep())
        yield
        keeping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await keeping
        self._write(self._exchanges.settle(time.monotonic(), all=True))
        self._writer.sync()

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(folder.PAUSE)
            try:
                self._write(self._exchanges.settle(time.monotonic()))
                self._writer.sync()
            except OSError as error:  # the disk may have room again later
                log.error("predictions were lost: %s", error)

    def _write(self, made: list[exchange.Made]) -> None:
        predictions = []
        for prediction, image in made:
            kept = self._writer.image(image) if self._images and image else None
            predictions.append(prediction.model_copy(update={"image": kept}))
        if predictions:
            self._writer.predictions(predictions)
            self._counts["predictions"] += len(predictions)


def _label(body: bytes) -> records.Label:
    """The label in a request's body, given now."""
    try:
        found = json.loads(body)
        if isinstance(found, dict) and "time" not in found:
            return records.Label.model_validate({**found, "time": time.time()})
        raise ValueError("a JSON object with id, label and by is expected; the time is now")
    except pydantic.ValidationError as error:
        what = error.errors()[0]
        place = ".".join(map(str, what["loc"])) or "the label"
        raise errors.FeedbackError(f"no label: {place}: {what['msg']}") from error
    except (ValueError, RecursionError) as error:
        raise errors.FeedbackError(f"no label: {error}") from error

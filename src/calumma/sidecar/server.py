"""The program put together: one listener, the steps of a request, and what runs beside them."""

from __future__ import annotations

import contextlib
import logging
import signal

import uvicorn

from calumma import destination
from calumma.sidecar import asgi, batches, batching, delivery, health, proxy, recording
from calumma.sidecar import options as options_room

log = logging.getLogger(__name__)

_KEEP_ALIVE = 75
"""Seconds; longer than the gateway keeps an idle connection."""
_GRACE = 3


async def serve(options: options_room.Options) -> None:
    """Serve until SIGTERM, then finish what is under way."""
    async with contextlib.AsyncExitStack() as stack:
        client = await stack.enter_async_context(proxy.session())
        app: asgi.App
        app = component = proxy.Proxy(client, options.component_port)
        if options.batcher is not None:
            app = batcher = batching.Batching(app, component.ask, options.batcher)
            stack.push_async_callback(batcher.close)
            log.info("batching up to %d for %g s", *_numbers(options.batcher))
        offer = None
        if options.logger is not None:
            logger = options.logger
            attempts = destination.attempts(logger.url, logger.namespace, options.gateway)
            sender = delivery.Delivery(client, logger, attempts, options.workers)
            offer = (await stack.enter_async_context(sender)).offer
            unseen = batches.applies if options.batcher is not None else _none
            app = recording.Recording(app, logger, offer, unseen)
            log.info("logging %s to %s", logger.mode, logger.url)
        app = health.Health(app, client, options.component_port, options.probe)
        if options.grpc_ports is not None:
            # Imported here: it costs 15 MB that a component without gRPC need not pay.
            from calumma.sidecar import calls

            await stack.enter_async_context(calls.served(options.grpc_ports, options.logger, offer))
        await _listen(app, options)


async def _listen(app: asgi.App, options: options_room.Options) -> None:
    # uvicorn raises the signal that ended it once more, which would skip what is still to do.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=options.port,
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=_GRACE,
    )
    log.info("passing on from port %d to port %d", options.port, options.component_port)
    await uvicorn.Server(config).serve()


def _numbers(batcher: options_room.Batcher) -> tuple[int, float]:
    return batcher.size, batcher.latency


def _none(path: bytes) -> bool:
    return False

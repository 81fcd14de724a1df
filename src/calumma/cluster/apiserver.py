"""The API server as a program: ``python -m calumma.cluster.apiserver --home DIR --port N``.

The composition root of :mod:`calumma.cluster.api`: it gives the generic room KServe's admission,
the credentials and the objects that a cluster begins with, and runs it over TLS on the loopback
interface. It stops within two seconds of SIGTERM, also with watches open, and may be killed at any
time: whatever it acknowledged is there when it starts again.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import logging
import resource
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import uvicorn
import uvloop
import yaml

from calumma import errors
from calumma.cluster import connection, credentials, layout, memory
from calumma.cluster.api import access, app, bootstrap, garbage, kinds, schema, status
from calumma.cluster.api.backend import Admission, Backend, Operation
from calumma.cluster.api.store import Store
from calumma.cluster.api.watch import Hub
from calumma.cluster.kserve import admission, configuration, graph_admission
from calumma.cluster.objects import Object

_BUNDLE: Final = Path(__file__).parent / "kserve" / "bundle.yaml"
_GRACE_SECONDS: Final = 1
_KEEP_ALIVE_SECONDS: Final = 75
_MOST_FILES: Final = 65_536
_TRIM_SECONDS: Final = 10.0
_SLACK: Final = 16 << 20
"""Bytes by which the server may grow before it looks for memory to give back."""
_log = logging.getLogger(__name__)


class _Server(uvicorn.Server):
    """uvicorn, sleeping until it is told to stop instead of looking ten times a second."""

    def __init__(
        self, config: uvicorn.Config, stop: asyncio.Event, stopping: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._stop = stop
        self._stopping = stopping

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the composition root."""
        yield

    async def main_loop(self) -> None:
        """Wait for the end."""
        await self._stop.wait()
        self._stopping()


async def _give_memory_back(server: _Server) -> None:
    """Return memory to the machine where the server has grown and been asked things, for ever."""
    begun, seen = memory.resident(), (0, 0)
    while True:
        await asyncio.sleep(_TRIM_SECONDS)
        now = (server.server_state.total_requests, len(server.server_state.connections))
        if now != seen and memory.resident() > begun + _SLACK and memory.give_back() < _SLACK:
            seen = now


def _kserve_admission(store: Store) -> Admission:
    """KServe's webhooks, with the settings that the cluster has at the time."""
    settings_key = kinds.CONFIG_MAPS.key(configuration.NAMESPACE, configuration.NAME)

    def settings() -> configuration.Configuration:
        try:
            return configuration.parse(store.get(settings_key).value)
        except errors.ConfigurationError as error:
            raise status.internal(str(error)) from error

    def mutate(old: Object | None, new: Object, operation: Operation) -> Object:
        return admission.mutate(old, new, operation, settings())

    def validate(old: Object | None, new: Object, operation: Operation) -> None:
        admission.validate(old, new, operation, settings())

    return Admission(mutate, validate)


def _beginning() -> list[Object]:
    """The objects that a cluster begins with."""
    manifests = [bootstrap.namespace(name) for name in bootstrap.NAMESPACES]
    manifests.append(bootstrap.kubernetes())
    with _BUNDLE.open() as file:
        manifests += [each for each in yaml.load_all(file, yaml.CSafeLoader) if each]
    return manifests


def _listen(host: str, port: int) -> socket.socket:
    """The socket to serve on.

    Raises:
        errors.PortInUse: another program has the port.
    """
    try:
        return socket.create_server((host, port), backlog=128)
    except OSError as error:
        raise errors.PortInUse(
            f"The API server cannot listen on {host} port {port}: {error.strerror}. "
            "Stop the program that does, or choose another port."
        ) from error


def _allow_many_files() -> None:
    """Raise the number of open files, one for each client, as far as the machine lets this user.

    The usual limit of 1,024 is one that a thousand watches reach.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft not in (resource.RLIM_INFINITY, wanted) and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


async def _serve(home: layout.Home, host: str, listener: socket.socket) -> None:
    """Run the server until a signal ends it."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    store = Store(home.database)
    with contextlib.closing(store):
        hub = Hub(store)
        schemas = schema.load(schema.ensure())
        webhooks = {
            kinds.INFERENCE_SERVICES: _kserve_admission(store),
            kinds.INFERENCE_GRAPHS: Admission(graph_admission.mutate, graph_admission.validate),
        }
        state = Backend(store, hub, schemas, kinds.CATALOG, webhooks)
        await bootstrap.create_missing(state, _beginning())
        users = {
            token: access.User(name, groups)
            for token, (name, groups) in credentials.tokens(home).items()
        }
        files = credentials.Files.of(home)
        config = uvicorn.Config(
            app.App(state, access.Doorkeeper(users), home.pod_log),
            http=connection.Connection,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            ssl_certfile=files.certificate,
            ssl_keyfile=files.key,
            timeout_graceful_shutdown=_GRACE_SECONDS,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        )
        server = _Server(config, stop, hub.close)
        tidying = (garbage.Collector(state).run(), bootstrap.Accounts(state).run())
        background = [asyncio.create_task(task) for task in (*tidying, _give_memory_back(server))]
        gc.collect()
        gc.freeze()
        _log.info("serving %s on https://%s:%d", home.path, host, listener.getsockname()[1])
        await server.serve([listener])
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)


def main(arguments: list[str] | None = None) -> int:
    """Run the API server; returns the exit status."""
    parser = argparse.ArgumentParser(prog="calumma.cluster.apiserver", description=__doc__)
    parser.add_argument("--home", type=Path, required=True, help="the folder of the cluster")
    loopback = ("127.0.0.1", "localhost")
    parser.add_argument("--host", default=loopback[0], choices=loopback, help="as clients say it")
    parser.add_argument("--port", type=int, required=True, help="the port; 0 takes a free one")
    asked = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    home = layout.Home(asked.home.absolute())
    _allow_many_files()
    try:
        with _listen(asked.host, asked.port) as listener:
            server = f"https://{asked.host}:{listener.getsockname()[1]}"
            credentials.ensure(home, server)
            uvloop.run(_serve(home, asked.host, listener))
    except errors.CalummaError as error:
        _log.error("%s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

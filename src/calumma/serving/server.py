"""Starting a transformer: its arguments, kserve's server, and what makes both lean.

A program in ``transformers/`` calls :func:`serve`. It takes kserve's own arguments, of which
KServe gives a transformer's container ``--model_name``, ``--predictor_host`` and ``--http_port``,
the address to listen on, and limits of what a request may cost. :mod:`calumma.serving.admission`
and :mod:`calumma.serving.transformer` do the work.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import logging
import logging.config
import os
import sys
import warnings
from typing import Any

import httpx
import kserve
import uvloop
from kserve import model_server
from kserve.protocol.dataplane import DataPlane

from calumma import errors
from calumma.serving import admission, predictor, requests, transformer

_LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "loggers": {
        name: {"level": level, "handlers": handlers, "propagate": False}
        for name, level, handlers in (
            ("kserve", "WARNING", ["stderr"]),
            ("kserve.trace", "WARNING", ["stderr"]),  # a line for each request, and a slow one
            ("uvicorn", "INFO", ["stderr"]),
            ("uvicorn.access", "WARNING", []),  # without a handler uvicorn does not even format
        )
    },
}


class Server(kserve.ModelServer):  # type: ignore[misc]
    """kserve's server, on the address asked for."""

    def __init__(self, host: str, **settings: Any) -> None:
        super().__init__(**settings)
        self._host = host
        self.dataplane = _DataPlane(model_registry=self.registered_models)

    def setup_event_loop(self) -> None:
        """Do nothing: kserve would set up a loop here that it then does not run."""

    async def _serve(self) -> None:
        # kserve has no setting for the address: it is 0.0.0.0, which is right in a container only.
        self._rest_server.config.host = self._host
        await super()._serve()


class _DataPlane(DataPlane):  # type: ignore[misc]
    """kserve's data plane, which can also carry images as they are.

    Where readiness includes the predictor's, one that cannot be reached is not ready: kserve
    would answer 500.
    """

    def decode(self, body: Any, headers: dict[str, str], *version: str, **model: str) -> Any:
        v1 = not version and not model
        if v1 and requests.is_file(body) and "ce-specversion" not in headers:
            return body, {}
        return super().decode(body, headers, *version, **model)

    async def ready(self) -> bool:
        with contextlib.suppress(httpx.HTTPError):
            return bool(await super().ready())
        return False

    def decode_inference_request(self, body: Any, headers: dict[str, str], model_name: str) -> Any:
        if isinstance(body, bytes):
            return requests.from_body(body, headers, model_name)
        return super().decode_inference_request(body, headers, model_name)


def serve(application: transformer.Application) -> None:
    """Serve ``application`` as the command line says, until the process is told to stop.

    Exits with a sentence where the arguments cannot work.
    """
    # FastAPI's, for what kserve 0.21 uses; it would come with every reply.
    warnings.filterwarnings("ignore", "ORJSONResponse is deprecated")
    options = _parser(application).parse_args()
    if options.log_config_file is None:
        logging.config.dictConfig(_LOGGING)
    try:
        classifier = _classifier(application, options)
    except errors.ConfigurationError as error:
        sys.exit(str(error))
    if options.workers > 1:
        logging.getLogger("kserve").warning(
            "--workers %d is not followed: one process serves, with %d threads for images.",
            options.workers,
            options.preprocess_threads,
        )
    server = Server(
        options.http_host,
        workers=1,
        enable_latency_logging=options.enable_latency_logging,
        predictor_config=kserve.PredictorConfig(
            options.predictor_host,
            "v2",
            options.predictor_use_ssl,
            options.predictor_request_timeout_seconds,
            options.predictor_request_retries,
            options.enable_predictor_health_check,
        ),
    )
    admission.install(model_server.app, max_body_bytes=options.max_body_bytes)
    if options.event_loop != "asyncio":
        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    classifier.load()
    # What is loaded now stays: the collector need not walk it again and again.
    gc.collect()
    gc.freeze()
    server.start([classifier])


def _classifier(
    application: transformer.Application, options: argparse.Namespace
) -> transformer.ImageClassifier:
    if not options.predictor_host:
        raise errors.ConfigurationError(
            "The transformer needs --predictor_host, the host, or host:port, of its predictor."
        )
    if options.predictor_protocol == "grpc-v2":
        raise errors.ConfigurationError(
            "The transformer asks its predictor over HTTP; --predictor_protocol is v1 or v2, not "
            "grpc-v2."
        )
    scheme = "https" if options.predictor_use_ssl else "http"
    target = predictor.Target(
        f"{scheme}://{options.predictor_host}",
        options.model_name,
        application.input,
        application.output,
    )
    client = predictor.Predictor(
        target,
        timeout=options.predictor_request_timeout_seconds,
        retries=options.predictor_request_retries,
    )
    return transformer.ImageClassifier(
        options.model_name,
        application,
        client,
        limits=transformer.Limits(options.max_instances, options.max_pixels),
        threads=options.preprocess_threads,
    )


def _parser(application: transformer.Application) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        parents=[model_server.parser], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.set_defaults(enable_latency_logging=False)
    parser.add_argument(
        "--http_host",
        default=os.environ.get("CALUMMA_HTTP_HOST", "0.0.0.0"),
        help="The address to listen on; CALUMMA_HTTP_HOST in the environment sets it as well.",
    )
    parser.add_argument(
        "--max_body_bytes", type=int, default=20_000_000, help="The largest body of a request."
    )
    parser.add_argument(
        "--max_pixels", type=int, default=40_000_000, help="The largest image, in pixels."
    )
    parser.add_argument(
        "--max_instances",
        type=int,
        default=application.max_instances,
        help="The most images of a request.",
    )
    parser.add_argument(
        "--preprocess_threads",
        type=int,
        default=max(2, len(os.sched_getaffinity(0))),
        help="How many images are decoded at a time.",
    )
    return parser

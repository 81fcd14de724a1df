"""The chain of the digits: a client's transformer, a gateway's stand-in, and Triton."""

from __future__ import annotations

import contextlib
import functools
import http.client
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

from calumma.models import digits, repository
from support import pods

REVISION = "digits-predictor-00007"


class Forwarder(BaseHTTPRequestHandler):
    """Forwards to Triton and names the revision, as the gateway does.

    A request whose ``x-request-id`` names a failure meets it instead.
    """

    protocol_version = "HTTP/1.1"

    def __init__(self, predictor: str, received: list[dict[str, str]], *request: Any) -> None:
        self.predictor = predictor
        self.received = received
        super().__init__(*request)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.received.append({name.lower(): value for name, value in self.headers.items()})
        failure = self.headers.get("x-request-id", "")
        if failure.startswith("status-"):
            self.reply(int(failure.removeprefix("status-")), {}, b"no healthy upstream")
        elif failure == "slow":
            time.sleep(3)
            self.reply(200, {}, b"")
        elif failure == "broken":
            self.close_connection = True
        elif failure == "garbage":
            self.reply(200, {"Inference-Header-Content-Length": "7"}, b"garbage")
        else:
            self.forward(body)

    def forward(self, body: bytes) -> None:
        connection = http.client.HTTPConnection(self.predictor)
        try:
            connection.request("POST", self.path, body, dict(self.headers))
            reply = connection.getresponse()
            names = ("Content-Type", "Inference-Header-Content-Length")
            headers = {name: reply.headers[name] for name in names if name in reply.headers}
            self.reply(reply.status, headers, reply.read())
        finally:
            connection.close()

    def reply(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("x-calumma-predictor-revision", REVISION)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *values: object) -> None:
        """Keep quiet."""


class Gateway(ThreadingHTTPServer):
    """A server whose clients may all come at once."""

    request_queue_size = 128


class Chain(NamedTuple):
    """The running chain: where to send images, what the predictor got, and its ONNX file."""

    transformer: pods.Server
    grpc: str
    received: list[dict[str, str]]
    onnx: Path

    def predict(self, instances: object, **headers: str) -> pods.Reply:
        """Ask with a V1 document."""
        url = f"{self.transformer.url}/v1/models/digits:predict"
        body = json.dumps({"instances": instances}).encode()
        return pods.post(url, body, content_type="application/json", **headers)


@contextlib.contextmanager
def start(scratch: Path) -> Iterator[Chain]:
    """The chain, with its files in ``scratch``."""
    config = pods.ROOT / "inferenceservices" / "digits" / "config.pbtxt"
    (trained,) = digits.train(scratch, config=config, versions=["v2"])
    (model,) = repository.read(trained.folder)
    with pods.start_triton(trained.folder, scratch) as predictor:
        received: list[dict[str, str]] = []
        handler = functools.partial(Forwarder, predictor.url.removeprefix("http://"), received)
        with Gateway(("127.0.0.1", 0), handler) as gateway:
            thread = threading.Thread(target=gateway.serve_forever)
            thread.start()
            address = f"127.0.0.1:{gateway.server_port}"
            grpc = pods.free_port()
            arguments = (
                *("--grpc_port", str(grpc)),
                *("--predictor_request_timeout_seconds", "1"),
                *("--max_pixels", "1000000"),
            )
            try:
                with pods.start_transformer("digits", address, scratch, arguments) as transformer:
                    yield Chain(
                        transformer,
                        f"127.0.0.1:{grpc}",
                        received,
                        model.versions[1],
                    )
            finally:
                gateway.shutdown()
                thread.join()

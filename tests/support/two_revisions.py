"""Two revisions of a classifier behind one port, with a host each, and what Envoy would count."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import prometheus_client

STABLE, CANARY = "digits-predictor-00001", "digits-predictor-00002"
HOSTS = {
    "prev-digits-predictor": STABLE,
    "latest-digits-predictor": CANARY,
    "digits-predictor": "digits-predictor",
    "digits-v2-predictor": "digits-v2-predictor",
}
"""Who answers by which host: revisions in Knative mode, Deployments in Standard mode."""

Answer = Callable[[str, bytes], str | None]
"""What a revision says of an image; None: it fails."""

_namespaces = itertools.count(1)


class Revisions(ThreadingHTTPServer):
    """The service ``digits`` in a namespace of its own.

    ``answer`` is what it says, and ``asked`` how often each revision was asked about each image by
    its own host.
    """

    daemon_threads = True

    def __init__(self, answer: Answer) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer = answer
        self.namespace = f"sources-{next(_namespaces)}"
        self.asked: Counter[tuple[str, str]] = Counter()
        self.lock = threading.Lock()
        self.registry = prometheus_client.CollectorRegistry()
        name = "envoy_cluster_upstream_rq"
        labels = ["namespace", "service", "component", "revision"]
        self.total = prometheus_client.Counter(name, "-", labels, registry=self.registry)
        self.by_class = prometheus_client.Gauge(
            f"{name}_xx", "-", [*labels, "envoy_response_code_class"], registry=self.registry
        )
        self.time = prometheus_client.Histogram(
            f"{name}_time", "-", labels, buckets=(5, 50, 1000), registry=self.registry
        )
        for revision in (STABLE, CANARY):
            self.total.labels(*self._labels(revision))

    def isvc(self, weight: int, **hosts: str) -> dict[str, Any]:
        """The ready InferenceService with a share for the canary."""
        where = f"digits-predictor.{self.namespace}.localhost:{self.server_port}"
        urls = {STABLE: f"http://prev-{where}", CANARY: f"http://latest-{where}"} | hosts
        traffic = [
            {
                "revisionName": CANARY,
                "percent": weight,
                "latestRevision": True,
                "url": urls[CANARY],
            },
            {"revisionName": STABLE, "percent": 100 - weight, "url": urls[STABLE]},
        ]
        return {
            "metadata": {"name": "digits", "namespace": self.namespace},
            "spec": {"predictor": {"model": {"modelFormat": {"name": "triton"}}}},
            "status": {
                "url": f"http://digits.{self.namespace}.localhost:{self.server_port}",
                "conditions": [{"type": "Ready", "status": "True"}],
                "components": {"predictor": {"traffic": traffic}},
            },
        }

    def users(self, revision: str, number: int, failed: int = 0, milliseconds: float = 1) -> None:
        """Requests of users that the gateway has sent to a revision."""
        for place in range(number):
            self.count(revision, 503 if place < failed else 200, milliseconds)

    def count(self, revision: str, status: int, milliseconds: float) -> None:
        with self.lock:
            labels = self._labels(revision)
            self.total.labels(*labels).inc()
            self.by_class.labels(*labels, str(status // 100)).inc()
            self.time.labels(*labels).observe(milliseconds)

    def _labels(self, revision: str) -> tuple[str, str, str, str]:
        return self.namespace, "digits", "predictor", revision


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16
    server: Revisions

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        revision = HOSTS[self.headers["Host"].partition(".")[0]]
        image = base64.b64decode(json.loads(body)["instances"][0]["image"]["b64"])
        with self.server.lock:
            self.server.asked[revision, hashlib.sha256(image).hexdigest()] += 1
        label = self.server.answer(revision, image)
        status = 503 if label is None else 200
        self.server.count(revision, status, 1)
        found = {"label": label, "class": 0, "probability": 0.9, "probabilities": [0.9, 0.1]}
        self._reply(status, json.dumps({"predictions": [found]}).encode(), revision)

    def do_GET(self) -> None:
        self._reply(200, prometheus_client.generate_latest(self.server.registry), None)

    def _reply(self, status: int, body: bytes, revision: str | None) -> None:
        self.send_response(status)
        if revision is not None:
            self.send_header("x-calumma-predictor-revision", revision)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(answer: Answer) -> Iterator[Revisions]:
    """The two revisions while the block runs."""
    with Revisions(answer) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()

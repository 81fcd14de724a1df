"""A service of two revisions that classifies real digits, and a real cluster and Prometheus.

The service plays the gateway, the transformer and Triton at once: it speaks the V1 protocol, splits
requests between two trained classifiers by weight, names the revision in each reply, and counts
what the gateway would count, under the gateway's names.
"""

from __future__ import annotations

import base64
import contextlib
import io
import itertools
import json
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import kserve
import kubernetes
import numpy as np
import prometheus_client
import pytest
import urllib3
from PIL import Image
from sklearn.linear_model import LogisticRegression

from calumma.models import digits
from support import prometheus

STABLE, CANARY = "digits-predictor-00001", "digits-predictor-00002"


class Metrics:
    """The gateway's metrics, for all services."""

    def __init__(self) -> None:
        labels = ["namespace", "service", "component", "revision"]
        name = "envoy_cluster_upstream_rq"
        self.registry = prometheus_client.CollectorRegistry()
        self.total = prometheus_client.Counter(name, "-", labels, registry=self.registry)
        self.by_class = prometheus_client.Gauge(
            f"{name}_xx", "-", [*labels, "envoy_response_code_class"], registry=self.registry
        )
        self.time = prometheus_client.Histogram(
            f"{name}_time", "-", labels, buckets=(1, 2, 5, 10, 50, 1000), registry=self.registry
        )


@dataclass
class Service:
    """``digits`` in a namespace of its own.

    ``weights`` are the split in percent, ``classifiers`` what each revision answers with unless it
    is the good one, ``failing`` the revisions that answer 503.
    """

    namespace: str
    good: LogisticRegression
    bad: LogisticRegression
    metrics: Metrics
    port: int = 0
    weights: dict[str, int] = field(default_factory=lambda: {STABLE: 100})
    classifiers: dict[str, LogisticRegression] = field(default_factory=dict)
    failing: set[str] = field(default_factory=set)
    asked: int = 0

    def __post_init__(self) -> None:
        self.choice = random.Random(0)
        self.lock = threading.Lock()
        for revision in (STABLE, CANARY):  # the gateway's counters start with the revision, at zero
            self.metrics.total.labels(*self.labels(revision))

    def labels(self, revision: str) -> tuple[str, str, str, str]:
        return self.namespace, "digits", "predictor", revision

    @property
    def url(self) -> str:
        return f"http://digits.{self.namespace}.localhost:{self.port}"

    def answer(self, body: bytes, host: str) -> tuple[int, str, bytes]:
        """Status, revision and body of a reply; a tag's host leads to its revision alone."""
        begin = time.perf_counter()
        with self.lock:
            self.asked += 1
            (revision,) = self.choice.choices(list(self.weights), list(self.weights.values()))
        revision = {"prev": STABLE, "latest": CANARY}.get(host.partition("-")[0], revision)
        status, reply = 503, b"no healthy upstream"
        if revision not in self.failing:
            status, reply = 200, self.classify(self.classifiers.get(revision, self.good), body)
        labels = self.labels(revision)
        self.metrics.total.labels(*labels).inc()
        self.metrics.by_class.labels(*labels, str(status // 100)).inc()
        self.metrics.time.labels(*labels).observe(1000 * (time.perf_counter() - begin))
        return status, revision, reply

    def classify(self, classifier: LogisticRegression, body: bytes) -> bytes:
        predictions = []
        for instance in json.loads(body)["instances"]:
            with Image.open(io.BytesIO(base64.b64decode(instance["image"]["b64"]))) as image:
                pixels = np.asarray(image).reshape(1, -1) / 255
            (probabilities,) = classifier.predict_proba(pixels)
            index = int(probabilities.argmax())
            predictions.append(
                {
                    "label": str(index),
                    "class": index,
                    "probability": float(probabilities[index]),
                    "probabilities": probabilities.tolist(),
                }
            )
        return json.dumps({"predictions": predictions}).encode()


class Server(ThreadingHTTPServer):
    """Serves a service, and all services' metrics."""

    daemon_threads = True
    metrics: Metrics
    service: Service


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # headers and body in one packet
    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status, revision, reply = self.server.service.answer(body, self.headers["Host"])
        self.reply(status, reply, revision)

    def do_GET(self) -> None:
        self.reply(200, prometheus_client.generate_latest(self.server.metrics.registry))

    def reply(self, status: int, body: bytes, revision: str | None = None) -> None:
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
def serving(metrics: Metrics) -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as server:
        server.metrics = metrics
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def classifiers() -> tuple[LogisticRegression, LogisticRegression]:
    """One that is good, and one that learned four digits under other names."""
    images, labels = digits.training()
    pixels = images.reshape(len(images), -1) / 255
    wrong = np.array([digits.MIXED_UP.get(int(label), int(label)) for label in labels])
    good = LogisticRegression(max_iter=200).fit(pixels, labels)
    return good, LogisticRegression(max_iter=200).fit(pixels, wrong)


@pytest.fixture(scope="session")
def metrics() -> Metrics:
    return Metrics()


numbers = itertools.count(1)


@pytest.fixture
def service(
    classifiers: tuple[LogisticRegression, LogisticRegression], metrics: Metrics
) -> Iterator[Service]:
    played = Service(f"evaluation-{next(numbers)}", *classifiers, metrics)
    with serving(metrics) as server:
        server.service = played
        played.port = server.server_port
        yield played


@pytest.fixture(scope="session")
def watching(metrics: Metrics, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Prometheus that scrapes the metrics four times a second.

    One for all tests: it takes five seconds to begin.
    """
    folder = tmp_path_factory.mktemp("prometheus")
    with (
        serving(metrics) as server,
        prometheus.running(folder, f"127.0.0.1:{server.server_port}") as address,
    ):
        yield address


def free_port() -> int:
    """A port that nobody has, for a program that cannot take one of the kernel's choice."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def kubeconfig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A Kubernetes API server of our own; nothing reconciles what is stored in it."""
    home = tmp_path_factory.mktemp("home")
    arguments = ["--home", str(home), "--port", str(free_port())]
    command = [sys.executable, "-m", "calumma.cluster.apiserver", *arguments]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + 30
            while not answers(home / "kubeconfig"):
                assert process.poll() is None and time.monotonic() < deadline
                time.sleep(0.1)
            yield home / "kubeconfig"
        finally:
            process.terminate()


@pytest.fixture
def cluster(kubeconfig: Path, monkeypatch: pytest.MonkeyPatch) -> kserve.KServeClient:
    """The cluster that ``KUBECONFIG`` leads to; a notebook's kernel inherits the variable."""
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    return kserve.KServeClient(config_file=str(kubeconfig))


def answers(kubeconfig: Path) -> bool:
    if not kubeconfig.exists():
        return False
    try:
        kserve.KServeClient(config_file=str(kubeconfig)).core_api.list_namespace()
    except (kubernetes.client.ApiException, urllib3.exceptions.HTTPError):
        return False
    return True


def declare(cluster: Any, service: Service, prometheus: str | None = None) -> None:
    """Store the service, ready and split as it is, and where Prometheus is."""
    declare_at(cluster, "digits", service.namespace, service.url, service.weights)
    if prometheus is not None:
        told = {"metadata": {"name": "calumma"}, "data": {"prometheus": prometheus}}
        with contextlib.suppress(kubernetes.client.ApiException):  # told by an earlier test
            cluster.core_api.create_namespaced_config_map("kserve", told)


def declare_at(
    cluster: Any, name: str, namespace: str, url: str, weights: Mapping[str, int] | None = None
) -> None:
    """Store a service that is ready at an address, in a namespace of its own."""
    weights = weights or {f"{name}-predictor-00001": 100}
    latest = max(weights)
    host = f"{name}-predictor.{namespace}.localhost:{url.rsplit(':', 1)[1]}"
    traffic = [
        {
            "revisionName": revision,
            "percent": percent,
            "latestRevision": revision == latest,
            "url": f"http://{'latest' if revision == latest else 'prev'}-{host}",
        }
        for revision, percent in weights.items()
    ]
    status = {
        "url": url,
        "conditions": [{"type": "Ready", "status": "True"}],
        "components": {"predictor": {"traffic": traffic}},
    }
    model = {"modelFormat": {"name": "triton"}, "storageUri": f"pvc://models/{name}/v1"}
    isvc = {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"predictor": {"model": model}},
    }
    kind = ("serving.kserve.io", "v1beta1", namespace, "inferenceservices")
    cluster.core_api.create_namespace({"metadata": {"name": namespace}})
    cluster.api_instance.create_namespaced_custom_object(*kind, isvc)
    cluster.api_instance.patch_namespaced_custom_object_status(*kind, name, {"status": status})

"""A real API server in a process of its own, and the clients that people and the node use."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from calumma.cluster import layout, logfile

KUBECTL = shutil.which("kubectl")
ISVC = "apis/serving.kserve.io/v1beta1"
MERGE = "application/merge-patch+json"
Object = dict[str, Any]
SocketOption = tuple[int, int, int]


class Answer(NamedTuple):
    """What a command did."""

    code: int
    output: str
    error: str


class ApiServer:
    """One home and the server on it, which can be killed and started again."""

    def __init__(self, folder: Path, cache: Path) -> None:
        self.home = layout.Home(folder)
        self.log = folder.with_suffix(".log")
        self.environment = {**os.environ, "XDG_CACHE_HOME": str(cache)}
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The server's address, as the kubeconfig has it."""
        return str(self._config(self.home.kubeconfig)["clusters"][0]["cluster"]["server"])

    def launch(self, port: int = 0) -> subprocess.Popen[bytes]:
        """Start a process on this home, ready or not."""
        command = [sys.executable, "-m", "calumma.cluster.apiserver"]
        command += ["--home", str(self.home.path), "--port", str(port)]
        with self.log.open("wb") as log:
            return subprocess.Popen(
                command, env=self.environment, stdout=log, stderr=subprocess.STDOUT
            )

    def start(self, port: int = 0) -> None:
        """Start the server and wait until it serves."""
        self.process = self.launch(port)
        deadline = time.monotonic() + 60
        while b" serving " not in self.log.read_bytes():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(self.log.read_text())
            time.sleep(0.02)

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send the server a signal and wait for its end; returns the exit status."""
        process = self.process
        if process is None:
            return 0
        self.process = None
        process.send_signal(number)
        return process.wait(20)

    def restart(self) -> None:
        """Start an ended server again where its clients look for it."""
        self.start(int(self.url.rsplit(":", 1)[1]))

    def client(
        self, path: Path | None = None, socket_options: Sequence[SocketOption] = ()
    ) -> httpx.Client:
        """A person's client, or that of another kubeconfig."""
        config = self._config(path or self.home.kubeconfig)
        cluster = config["clusters"][0]["cluster"]
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        return httpx.Client(
            base_url=cluster["server"],
            headers={"Authorization": f"Bearer {config['users'][0]['user']['token']}"},
            transport=httpx.HTTPTransport(
                verify=ssl.create_default_context(cadata=authority),
                socket_options=socket_options,
            ),
            timeout=20,
        )

    def node_client(self) -> httpx.Client:
        """The node's client."""
        return self.client(self.home.node_kubeconfig)

    def run(self, *command: str, text: str | None = None) -> Answer:
        """Run a program with this server's kubeconfig."""
        folders = {"KUBECONFIG": str(self.home.kubeconfig), "HOME": f"{self.home.path}.user"}
        done = subprocess.run(
            command,
            env=self.environment | folders,
            input=text,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    def kubectl(self, *words: str, document: Object | None = None) -> Answer:
        """Run kubectl, with a manifest as its input when one is given."""
        return self.run(str(KUBECTL), *words, text=json.dumps(document) if document else None)

    @staticmethod
    def _config(path: Path) -> Object:
        config: Object = json.loads(path.read_text())
        return config


@contextlib.contextmanager
def running(folder: Path, cache: Path) -> Iterator[ApiServer]:
    """A server that serves, and ends with the block."""
    server = ApiServer(folder, cache)
    server.start()
    try:
        yield server
    finally:
        server.end(signal.SIGKILL)


def config_map(name: str, data: dict[str, str] | None = None, **meta: Any) -> Object:
    """The manifest of a ConfigMap."""
    metadata = {"name": name, **meta} if name else meta
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data or {}}


def isvc(name: str, **predictor: Any) -> Object:
    """The manifest of an InferenceService."""
    model = {"modelFormat": {"name": "onnx"}, "storageUri": "pvc://models/digits/v1"}
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": name},
        "spec": {"predictor": {"model": model, **predictor}},
    }


def pod(name: str, *containers: str) -> Object:
    """The manifest of a Pod."""
    spec = {"containers": [{"name": each, "image": "calumma/x"} for each in containers]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def write_log(folder: Path, *lines: str, run: int = 0, at: str = "") -> None:
    """Append lines to the log of a container's run, as the node does."""
    moment = at.encode() or logfile.moment(time.time_ns())
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{run}.log").open("ab") as log:
        log.writelines(logfile.stamped(line.encode(), moment) for line in lines)


def events(response: httpx.Response) -> Iterator[Object]:
    """The events of an open watch."""
    for line in response.iter_lines():
        yield json.loads(line)


def until(what: str, true: Any, seconds: float = 15) -> None:
    """Wait until something is true."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise AssertionError(f"not {what} within {seconds} s")
        time.sleep(0.02)

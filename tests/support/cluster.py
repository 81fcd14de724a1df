"""A whole cluster, started and used as a person does: by ``calumma`` and kubectl."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import yaml

from calumma.cluster import layout
from calumma.models import digits

ROOT = Path(__file__).resolve().parents[2]
KUBECTL = shutil.which("kubectl")
MANIFEST = ROOT / "inferenceservices/digits/base/inferenceservice.yaml"
Object = dict[str, Any]


class Answer(NamedTuple):
    """What a command did."""

    code: int
    output: str
    error: str


class Cluster:
    """One home, and the commands that use it."""

    def __init__(self, folder: Path) -> None:
        self.home = layout.Home(folder)
        self.environment = {
            **os.environ,
            "CALUMMA_HOME": str(folder),
            "KUBECONFIG": str(self.home.kubeconfig),
        }

    def calumma(self, *words: str) -> Answer:
        """Run ``calumma``."""
        return self._run([str(Path(sys.prefix) / "bin/calumma"), *words])

    def papermill(self, *words: str) -> Answer:
        """Run ``papermill``, as a person or a script does."""
        return self._run([str(Path(sys.prefix) / "bin/papermill"), "--no-progress-bar", *words])

    def up(self, *words: str) -> Answer:
        """``calumma up`` on free ports."""
        ports = ("--port", "0", "--api-port", "0", "--prometheus-port", "0")
        return self.calumma("up", *ports, "--project", str(ROOT), *words)

    def kubectl(self, *words: str, document: Object | None = None) -> Answer:
        """Run ``kubectl``, with a manifest as its input when one is given."""
        return self._run(
            [str(KUBECTL), *words], None if document is None else yaml.safe_dump(document)
        )

    def patch(self, spec: Object, name: str = "digits") -> None:
        """Merge something into an InferenceService's spec."""
        document = json.dumps({"spec": spec})
        answer = self.kubectl("patch", "isvc", name, "--type=merge", "-p", document)
        if answer.code:
            raise AssertionError(answer.error)

    def canary(self, version: str, percent: int | None) -> None:
        """What a person does for a canary, and wait until it is in effect."""
        model = {"storageUri": f"pvc://models/digits/{version}"}
        self.patch({"predictor": {"canaryTrafficPercent": percent, "model": model}})
        self.until_ready()

    def settings(self) -> Object:
        """What the cluster was started with."""
        found: Object = json.loads(self.home.settings.read_text())
        return found

    def get(self, name: str = "digits", namespace: str = "default") -> Object:
        """An InferenceService."""
        answer = self.kubectl("get", "isvc", name, "-n", namespace, "-o", "json")
        if answer.code:
            raise AssertionError(answer.error)
        found: Object = json.loads(answer.output)
        return found

    def until(
        self, what: str, true: Callable[[], object], seconds: float = 60, pause: float = 0.1
    ) -> None:
        """Wait until something is true."""
        deadline = time.monotonic() + seconds
        while not true():
            if time.monotonic() > deadline:
                raise AssertionError(f"not {what} within {seconds} s\n{self.describe()}")
            time.sleep(pause)

    def until_ready(self, name: str = "digits", namespace: str = "default") -> None:
        """Wait until an InferenceService is Ready at its present generation."""

        def ready() -> bool:
            isvc = self.get(name, namespace)
            observed = isvc.get("status", {}).get("observedGeneration")
            done = condition(isvc, "Ready")["status"] == "True"
            return done and bool(observed == isvc["metadata"]["generation"])

        self.until(f"{name} ready", ready)

    @property
    def gateway(self) -> str:
        """The gateway's address, to be asked with a Host."""
        return f"http://127.0.0.1:{self.settings()['gateway_port']}"

    def predict(
        self, image: bytes, host: str = "digits.default.localhost", model: str = "digits"
    ) -> httpx.Response:
        """Send one image."""
        body = {"instances": [{"image": {"b64": base64.b64encode(image).decode()}}]}
        return self.post(json.dumps(body).encode(), host, f"/v1/models/{model}:predict")

    def post(
        self, body: bytes, host: str = "digits.default.localhost", path: str = ""
    ) -> httpx.Response:
        """Send any body."""
        return httpx.post(
            f"{self.gateway}{path or '/v1/models/digits:predict'}",
            content=body,
            headers={"host": host, "content-type": "application/json"},
            timeout=30,
        )

    def describe(self) -> str:
        """Everything that helps to understand a failure."""
        parts = [self.calumma("status").output]
        if KUBECTL:
            parts.append(self.kubectl("get", "isvc,pods,events", "-A").output)
        parts += [
            f"--- {path.name}\n{path.read_text(errors='replace')[-2000:]}"
            for path in sorted(self.home.logs.glob("*.log"))
        ]
        return "\n".join(parts)

    def programs(self) -> Mapping[str, int]:
        """The process ids of the running programs, by name."""
        lines = self.calumma("status").output.splitlines()
        rows = [line.split() for line in lines if " running " in line]
        return {row[0]: int(row[2]) for row in rows}

    def kill(self, program: str) -> None:
        """``kill -9`` the programs with this text in their name."""
        for name, pid in self.programs().items():
            if program in name:
                os.kill(pid, signal.SIGKILL)

    def processes(self) -> list[int]:
        """Everything that belongs to the home and runs."""
        mark = f"CALUMMA_SUPERVISED_BY={self.home.path}".encode()
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                if mark in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
            except OSError:
                continue
        return found

    def _run(self, argv: list[str], text: str | None = None) -> Answer:
        done = subprocess.run(
            argv,
            env=self.environment,
            input=text,
            capture_output=True,
            text=True,
            timeout=300,  # whole suites of notebooks, on a busy machine
            cwd=ROOT,
            check=False,
        )
        return Answer(done.returncode, done.stdout, done.stderr)


@contextmanager
def running(folder: Path, *words: str) -> Iterator[Cluster]:
    """A cluster that is up."""
    cluster = Cluster(folder)
    started = cluster.up(*words)
    if started.code:
        raise AssertionError(started.error)
    try:
        yield cluster
    finally:
        cluster.calumma("down")


def condition(isvc: Object, kind: str) -> Object:
    """One condition of an InferenceService; Unknown when it has none yet."""
    for each in isvc.get("status", {}).get("conditions", []):
        if each["type"] == kind:
            found: Object = each
            return found
    return {"status": "Unknown"}


def manifest(version: str = "v1", name: str = "digits", **predictor: Any) -> Object:
    """The example's manifest with another model version, name or predictor field."""
    isvc: Object = yaml.safe_load(MANIFEST.read_text())
    isvc["metadata"]["name"] = name
    isvc["spec"]["predictor"]["model"]["storageUri"] = f"pvc://models/digits/{version}"
    isvc["spec"]["predictor"].update(predictor)
    return isvc


def shares(isvc: Object) -> dict[str, int]:
    """The predictor's declared traffic by revision number."""
    traffic = isvc["status"]["components"]["predictor"]["traffic"]
    return {each["revisionName"].rsplit("-", 1)[1]: each["percent"] for each in traffic}


def image(number: int = 0) -> tuple[bytes, str]:
    """One held-out image as a PNG file, and its label."""
    held_out = digits.held_out()
    return digits.png(held_out.images[number]), str(held_out.labels[number])

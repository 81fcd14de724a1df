"""Real Triton servers and real transformers as child processes of a test."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from calumma.cluster.programs import program as programs
from calumma.cluster.programs import triton

ROOT = Path(__file__).resolve().parents[2]
FOOD11 = Path(os.environ.get("CALUMMA_FOOD11") or ROOT.parent / "shared" / "food11")


class Server(NamedTuple):
    """A running server: its address, its process and its log; ``metrics`` is Triton's."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path
    metrics: str = ""


class DidNotStart(Exception):
    """A server that ended before it was ready; the message is its log."""


def free_port() -> int:
    """A port of the kernel's choice."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextlib.contextmanager
def start_triton(
    repository: Path, scratch: Path, arguments: Sequence[str] = ()
) -> Iterator[Server]:
    """The node's Triton for a model repository, ready; ``scratch`` is a folder for its files."""
    http, metrics = free_port(), free_port()
    backends = scratch / "backends"
    for name, source in triton.backend_links().items():
        (backends / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, backends / name)
    wanted = triton.program(
        ["tritonserver", "--model-store=/mnt/models", *arguments],
        model_repository=repository,
        backends=backends,
        http_port=http,
        grpc_port=None,
        metrics_port=metrics,
        pod=_pod(scratch),
    )
    url = f"http://127.0.0.1:{http}"
    log = scratch / "triton.log"
    try:
        with _running(wanted, log) as process:
            _await(f"{url}/v2/health/ready", process, log)
            yield Server(url, process, log, f"http://127.0.0.1:{metrics}/metrics")
    finally:
        for region in shared_memory(scratch):
            region.unlink()


def shared_memory(scratch: Path) -> list[Path]:
    """The regions of the pod that :func:`start_triton` started there."""
    prefix = triton.shared_memory_prefix(_pod(scratch))
    return [path for path in Path("/dev/shm").iterdir() if path.name.startswith(prefix)]


def _pod(scratch: Path) -> str:
    return f"test-{os.getpid()}-{scratch.name}"


@contextlib.contextmanager
def start_transformer(
    application: str,
    predictor: str,
    scratch: Path,
    arguments: Sequence[str] = (),
    *,
    path: str = "/v2/health/ready",
) -> Iterator[Server]:
    """The program ``transformers/<application>`` for a predictor's ``host:port``.

    It is given once it answers GET ``path`` with 200.
    """
    port = free_port()
    argv = (
        *(sys.executable, str(ROOT / "transformers" / application / "main.py")),
        *("--model_name", application, "--predictor_host", predictor),
        *("--http_port", str(port), *arguments),
    )
    environment = {**os.environ, "CALUMMA_HTTP_HOST": "127.0.0.1"}
    url = f"http://127.0.0.1:{port}"
    log = scratch / "transformer.log"
    with _running(programs.Program(argv, environment, scratch), log) as process:
        _await(f"{url}{path}", process, log)
        yield Server(url, process, log)


@contextlib.contextmanager
def _running(wanted: programs.Program, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            wanted.argv,
            env=dict(wanted.environment),
            cwd=wanted.directory,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _await(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5):
            return
        if process.poll() is not None:
            raise DidNotStart(log.read_text(errors="replace"))
        time.sleep(0.05)
    raise TimeoutError(f"{url} did not answer; its log: {log.read_text(errors='replace')}")


class Reply(NamedTuple):
    """An HTTP reply of any status."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def post(url: str, body: bytes, **headers: str) -> Reply:
    """POST ``body``; header names are given with underscores."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(url, body, named, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=60) as reply:
            return Reply(reply.status, dict(reply.headers), reply.read())
    except urllib.error.HTTPError as refusal:
        with refusal:
            return Reply(refusal.code, dict(refusal.headers), refusal.read())


def get(url: str) -> bytes:
    """The body of a successful GET."""
    with urllib.request.urlopen(url, timeout=60) as reply:
        body: bytes = reply.read()
        return body

"""An HTTP server that answers GET as the Kubernetes API does, with the objects of a test."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml


class Api(http.server.ThreadingHTTPServer):
    """Objects by path."""

    objects: dict[str, Any]


class Handler(http.server.BaseHTTPRequestHandler):
    server: Api

    def do_GET(self) -> None:
        missing = {"kind": "Status", "code": 404, "reason": "NotFound", "message": "not found"}
        found = self.server.objects.get(self.path, missing)
        body = json.dumps(found).encode()
        self.send_response(found["code"] if found.get("kind") == "Status" else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    """A server without objects; ``KUBECONFIG`` leads to it."""
    with Api(("127.0.0.1", 0), Handler) as server:
        server.objects = {}
        cluster = {"server": f"http://127.0.0.1:{server.server_port}"}
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": cluster}],
            "users": [{"name": "u", "user": {"token": "t"}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }
        path = tmp_path / "kubeconfig"
        path.write_text(yaml.safe_dump(content))
        monkeypatch.setenv("KUBECONFIG", str(path))
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()

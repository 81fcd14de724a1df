"""A service that prints the CloudEvents that it gets, one JSON object a line.

What KServe's own test of its logger uses ``event_display`` for. Run with PORT set.
"""

from __future__ import annotations

import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    """Takes every event."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Print an event."""
        body = self.rfile.read(int(self.headers["content-length"]))
        event = {
            name.lower().removeprefix("ce-"): value
            for name, value in self.headers.items()
            if name.lower().startswith("ce-")
        }
        event["data"] = body[:200].decode("utf-8", "replace")
        sys.stdout.write(json.dumps(event) + "\n")
        sys.stdout.flush()
        self.send_response(202)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Print nothing else."""


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()

"""A server for tests of scaling: each request takes as long as it says.

The answer says how many were at work at a time. It takes half a second to start, on ``PORT``.
"""

from __future__ import annotations

import json
import os
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_lock = threading.Lock()
_state = {"working": 0, "most": 0}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        with _lock:
            _state["working"] += 1
            _state["most"] = max(_state.values())
        time.sleep(asked["seconds"])
        with _lock:
            _state["working"] -= 1
        answer = json.dumps({"pid": os.getpid(), "most": _state["most"]}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 256


if __name__ == "__main__":
    time.sleep(0.5)
    Server(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()

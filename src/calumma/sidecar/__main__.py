"""The program: ``python -m calumma.sidecar`` with the arguments of KServe's agent."""

from __future__ import annotations

import logging
import os
import sys

import uvloop

from calumma.sidecar import options, server


def main() -> int:
    """Serve until SIGTERM."""
    asked = options.parse(sys.argv[1:], os.environ)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    uvloop.run(server.serve(asked))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The router's process: ``python -m calumma.graph --graph-json SPEC --port N --gateway ADDRESS``.

The header patterns come, as in KServe, from the variable ``PROPAGATE_HEADERS``, parted by commas.
Requests under way are answered before it ends.
"""

from __future__ import annotations

import argparse
import gc
import json
import logging
import os
import random
import sys

import uvicorn
import uvloop

from calumma import errors
from calumma.graph import definition, evaluation, server, services

PATTERNS = "PROPAGATE_HEADERS"
_GRACE_SECONDS = 8
_log = logging.getLogger("calumma.graph")


async def _serve(graph: definition.Graph, options: argparse.Namespace) -> None:
    patterns = [each for each in os.environ.get(PATTERNS, "").split(",") if each]
    router = evaluation.Router(graph, random.SystemRandom())
    timeouts = graph.timeouts
    async with services.connect(
        options.gateway, options.namespace, timeouts.service_client
    ) as targets:
        config = uvicorn.Config(
            server.App(router, timeouts, targets, services.Propagation(patterns)),
            host=options.host,
            port=options.port,
            http="httptools",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            timeout_graceful_shutdown=_GRACE_SECONDS,
            timeout_keep_alive=int(timeouts.server_idle or 24 * 3600),
        )
        gc.collect()
        gc.freeze()
        _log.info("routing %s on port %d", ", ".join(graph.nodes), options.port)
        await uvicorn.Server(config).serve()


def main(arguments: list[str] | None = None) -> int:
    """Run a graph's router until a signal ends it; returns the exit status."""
    parser = argparse.ArgumentParser(prog="calumma.graph", description=__doc__)
    parser.add_argument("--graph-json", required=True, help="an InferenceGraph's spec")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--gateway", required=True, help="who answers to the cluster's names")
    parser.add_argument("--namespace", default="default", help="the graph's namespace")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    try:
        graph = definition.parse(json.loads(options.graph_json))
    except (errors.GraphError, ValueError) as error:
        _log.error("%s", error)
        return 1
    uvloop.run(_serve(graph, options))
    return 0


if __name__ == "__main__":
    sys.exit(main())

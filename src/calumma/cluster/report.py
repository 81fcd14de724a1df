"""What a person asks of a running cluster: how it is, and what its programs say."""

from __future__ import annotations

import contextlib
import functools
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx

from calumma import command, errors
from calumma.cluster import conditions, layout, lifecycle, logfile, objects
from calumma.cluster.node import client
from calumma.cluster.node import settings as settings_room
from calumma.cluster.node.record import Observed

_POLL = 0.3


async def status(home: layout.Home) -> tuple[str, bool]:
    """The cluster's state as text, and whether it is running."""
    running = lifecycle.process_id(home)
    if running is None:
        return f"No cluster is running in {home.path}; `calumma up` starts one.", False
    settings = settings_room.read(home.settings)
    rows = await lifecycle.programs_of(home)
    parts = [
        f"home        {home.path} (supervisor: process {running})",
        f"gateway     http://127.0.0.1:{settings.gateway_port}",
        f"prometheus  {_prometheus(settings)}",
        f"kubeconfig  {home.kubeconfig}",
        "",
        command.table(
            ("PROGRAM", "STATE", "PID", "AGE", "RESTARTS"), [_program(row) for row in rows]
        ),
        "",
        await _services(home),
    ]
    return "\n".join(parts), True


def log_names(home: layout.Home) -> list[str]:
    """All logs that there are, as names for :func:`logs`."""
    own = sorted(path.stem for path in home.logs.glob("*.log"))
    pods = sorted({path.parent.name for path in (home.logs / "pods").glob("*/*/*/")})
    return [*own, *pods]


def logs(home: layout.Home, name: str) -> list[Path]:
    """The logs of a program, of a pod, or of all pods of a service or graph.

    A container's is the folder with those of its runs.

    Raises ConfigurationError for a name that has none.
    """
    own = home.log(name)
    if own.exists():
        return [own]
    folder = home.logs / "pods"
    found = [path for path in folder.glob("*/*/*/") if path.parent.name == name]
    if not found:
        of_name = re.compile(rf"{re.escape(name)}(-predictor|-transformer)?-\d{{5}}-")
        found = [path for path in folder.glob("*/*/*/") if of_name.match(path.parent.name)]
    if not found:
        raise errors.ConfigurationError(
            f"There is no log of {name!r}; there are {', '.join(log_names(home)) or 'none'}."
        )
    return sorted(found, key=lambda path: path.stat().st_mtime)


def lines(logs: Sequence[Path], count: int, *, follow: bool) -> Iterator[str]:
    """The last ``count`` lines of each log, and with ``follow`` what is added, without end.

    With several logs each line is preceded by where it comes from.
    """
    readers: dict[Path, logfile.Reader] = {}
    with contextlib.ExitStack() as stack:
        while True:
            for path in logs:
                if path not in readers:
                    try:
                        readers[path] = logfile.Reader(functools.partial(_files, path), count)
                    except FileNotFoundError:
                        continue
                    stack.callback(readers[path].close)
                for line in readers[path].lines():
                    yield _labelled(path, line, logs)
            if not follow:
                return
            time.sleep(_POLL)


def _files(log: Path) -> list[Path]:
    """The files of a log, or of all runs of a container, oldest first."""
    runs = logfile.runs(log) if log.is_dir() else [log]
    return [piece for run in runs for piece in logfile.pieces(run)]


def _labelled(path: Path, line: bytes, logs: Sequence[Path]) -> str:
    text = logfile.entry(line).text.decode(errors="replace").rstrip("\n")
    return text if len(logs) == 1 else f"[{path.parent.name}/{path.name}] {text}"


def _prometheus(settings: settings_room.Settings) -> str:
    if settings.prometheus_port is None:
        return "not installed; `calumma install prometheus` and start again"
    return f"http://127.0.0.1:{settings.prometheus_port}"


def _program(row: Observed) -> tuple[str, ...]:
    pid = "" if row.pid is None else str(row.pid)
    return row.wanted.name, row.state, pid, _age(time.time() - row.since), str(row.restarts)


async def _services(home: layout.Home) -> str:
    try:
        async with client.Client(home.kubeconfig) as api:
            services = await api.list(client.INFERENCE_SERVICE)
            graphs = await api.list(client.INFERENCE_GRAPH)
    except (httpx.HTTPError, errors.ApiError) as error:
        return f"The Kubernetes API does not answer ({error}); `calumma logs api` says why."
    if not services.items and not graphs.items:
        return "No InferenceServices."
    tables = []
    if services.items:
        rows = [_service(each) for each in services.items]
        tables.append(
            command.table(("NAMESPACE", "INFERENCESERVICE", "READY", "TRAFFIC", "URL"), rows)
        )
    if graphs.items:
        rows = [_named(each) for each in graphs.items]
        tables.append(command.table(("NAMESPACE", "INFERENCEGRAPH", "READY", "URL"), rows))
    return "\n\n".join(tables)


def _service(isvc: Any) -> tuple[str, ...]:
    namespace, name, ready, url = _named(isvc)
    traffic = objects.dig(isvc, "status", "components", "predictor", "traffic", default=[])
    shares = " ".join(f"{t['revisionName'].rsplit('-', 1)[1]}={t['percent']}%" for t in traffic)
    canaries = objects.dig(isvc, "status", "canaryStatuses", default=[])
    shares += " ".join(f"{c['name']}={c['trafficPercent']}%" for c in canaries if c["ready"])
    return namespace, name, ready, shares, url


def _named(obj: Any) -> tuple[str, str, str, str]:
    """An object's namespace, name, readiness and URL."""
    ready = conditions.find(objects.dig(obj, "status", "conditions", default=[]), "Ready") or {}
    url = objects.dig(obj, "status", "url", default="")
    return objects.namespace(obj), objects.name(obj), str(ready.get("status", "Unknown")), url


def _age(seconds: float) -> str:
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{int(seconds // size)}{unit}"
    return f"{int(seconds)}s"

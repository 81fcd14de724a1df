"""``kubectl logs``: what the containers of a pod have written.

The node keeps a log for each run of a container, each line with its time
(:mod:`calumma.cluster.logfile`); this room reads the part that a client asks for. With ``follow``
it goes on, also with the runs after this one, until the pod is gone.
Source: Kubernetes' ``PodLogOptions`` and the kubelet's choice of a run.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from calumma.cluster import logfile
from calumma.cluster.api import options, printers, status
from calumma.cluster.objects import Object, dig

_BLOCK: Final = 64 * 1024
_FOLLOW_SECONDS: Final = 0.3
_UNPULLED: Final = {
    "ErrImagePull": "image can't be pulled",
    "ImagePullBackOff": "trying and failing to pull image",
}


@dataclass(frozen=True)
class Asked:
    """The part of a log that a client asks for."""

    container: str
    previous: bool
    """Whether the run before the present one is meant."""
    follow: bool
    since: bytes
    """The earliest time, as lines have it; empty for all."""
    tail: int | None
    """Lines from the end; None for all."""
    limit: int | None
    """Bytes; None for all."""
    timestamps: bool

    @property
    def onwards(self) -> bool:
        """Whether what is written later is meant too; a run before the present one has ended."""
        return self.follow and not self.previous


def asked(pod: Object, query: options.Query) -> Asked:
    """What a query asks of a pod's logs.

    Raises:
        errors.Refused: 400 where the pod has no such container, or a value is none.
    """
    container = _container(pod, query.get("container", ""))
    since = b""
    if query.get("sinceSeconds"):
        since = _moment(time.time() - _number(query, "sinceSeconds"))
    elif query.get("sinceTime"):
        seconds = printers.seconds(query["sinceTime"])
        if seconds is None:
            raise status.bad_request(f'sinceTime "{query["sinceTime"]}" is not an RFC 3339 time')
        since = _moment(seconds)
    return Asked(
        container,
        query.get("previous") in ("true", "1"),
        query.get("follow") in ("true", "1"),
        since,
        _number(query, "tailLines") if query.get("tailLines") else None,
        _number(query, "limitBytes") if query.get("limitBytes") else None,
        query.get("timestamps") in ("true", "1"),
    )


def _moment(seconds: float) -> bytes:
    """A time as lines have it; nothing is older than 1970."""
    return logfile.moment(int(max(seconds, 0.0) * 10**9))


def _number(query: options.Query, name: str) -> int:
    if not re.fullmatch(r"\d{1,18}", query[name], re.ASCII):
        raise status.bad_request(f'{name}: Invalid value: "{query[name]}": must be a number')
    return int(query[name])


def _container(pod: Object, wanted: str) -> str:
    """The container whose log is meant."""
    name = pod["metadata"]["name"]
    main = [each["name"] for each in dig(pod, "spec", "containers", default=[])]
    first = [each["name"] for each in dig(pod, "spec", "initContainers", default=[])]
    if wanted:
        if wanted in main + first:
            return wanted
        raise status.bad_request(f"container {wanted} is not valid for pod {name}")
    if len(main) == 1 and not first:
        return str(main[0])
    extra = f" or one of the init containers: [{' '.join(first)}]" if first else ""
    listed = f"[{' '.join(main)}]"
    raise status.bad_request(
        f"a container name must be specified for pod {name}, choose one of: {listed}{extra}"
    )


def opened(pod: Object, folder: Path, wanted: Asked) -> logfile.Reader:
    """A reader at the place that is meant, out of the folder with the logs of all runs.

    While a container waits to be started again, its last run is both the present and the one
    before, as the kubelet has it.

    Raises:
        errors.Refused: 400 where there is no such run.
    """
    name, container = pod["metadata"]["name"], wanted.container
    found = logfile.runs(folder)
    reported: Any = _reported(pod, container)
    if wanted.previous:
        if "running" in reported.get("state", {}):
            found = found[:-1]
        if "terminated" not in reported.get("lastState", {}) or not found:
            raise status.bad_request(
                f'previous terminated container "{container}" in pod "{name}" not found'
            )
    if found:
        with contextlib.suppress(FileNotFoundError):
            return logfile.Reader(_files(found[-1], wanted), wanted.tail)
    reason = dig(reported, "state", "waiting", "reason", default="ContainerCreating")
    why = _UNPULLED.get(reason, reason)
    raise status.bad_request(f'container "{container}" in pod "{name}" is waiting to start: {why}')


def _files(log: Path, wanted: Asked) -> Callable[[], list[Path]]:
    """The files of a run, and when it is followed those of the runs after it."""

    def files() -> list[Path]:
        runs = logfile.runs(log.parent) if wanted.onwards else [log]
        later = [each for each in runs if int(each.stem) >= int(log.stem)]
        return [piece for each in later for piece in logfile.pieces(each)]

    return files


def _reported(pod: Object, container: str) -> Object:
    """What the pod's status says of a container."""
    for field in ("containerStatuses", "initContainerStatuses"):
        for each in dig(pod, "status", field, default=[]):
            if each["name"] == container:
                found: Object = each
                return found
    return {}


async def read(
    reader: logfile.Reader, wanted: Asked, alive: Callable[[], bool]
) -> AsyncIterator[bytes]:
    """A log as asked for; following ends when ``alive`` says no more."""
    left = wanted.limit if wanted.limit is not None else 1 << 62
    with contextlib.closing(reader):
        while True:
            ended = not wanted.onwards or not alive()
            for block in _blocks(_selected(reader.lines(), wanted)):
                yield block[:left]
                left -= len(block)
                if left <= 0:
                    return
            if ended:
                return
            await asyncio.sleep(_FOLLOW_SECONDS)


def _selected(lines: Iterator[bytes], wanted: Asked) -> Iterator[bytes]:
    """The texts of the lines since a moment, each with its time where that is asked for."""
    for line in lines:
        entry = logfile.entry(line)
        if entry.time >= wanted.since:
            yield b"%s %s" % entry if wanted.timestamps else entry.text


def _blocks(parts: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes in fewer parts."""
    block: list[bytes] = []
    size = 0
    for part in parts:
        block.append(part)
        size += len(part)
        if size >= _BLOCK:
            yield b"".join(block)
            block, size = [], 0
    if block:
        yield b"".join(block)

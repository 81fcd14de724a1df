"""``kubectl logs``: what the containers of a pod have written.

The node keeps one file for each container; this room reads the part that a client asks for and,
with ``follow``, goes on until the container is gone. The files hold what the programs wrote, so the
time of a line is the one that it begins with, or that of the line before it.
Source: Kubernetes' ``PodLogOptions``.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from calumma.cluster.api import options, printers, status
from calumma.cluster.objects import Object, dig

_BLOCK: Final = 64 * 1024
_FOLLOW_SECONDS: Final = 0.3
_ISO: Final = re.compile(
    rb"\W{0,2}(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)([.,]\d+)?(Z|[+-]\d\d:?\d\d)?"
)
_GLOG: Final = re.compile(rb"[IWEF](\d\d)(\d\d) (\d\d:\d\d:\d\d)(\.\d+)?")


@dataclass(frozen=True)
class Asked:
    """The part of a log that a client asks for."""

    container: str
    follow: bool
    since: float | None
    """Seconds since 1970; None for all."""
    tail: int | None
    """Lines from the end; None for all."""
    limit: int | None
    """Bytes; None for all."""
    timestamps: bool


def asked(pod: Object, query: options.Query) -> Asked:
    """What a query asks of a pod's logs.

    Raises:
        errors.Refused: 400 where the pod has no such container, or no earlier one to show.
    """
    name = pod["metadata"]["name"]
    container = _container(pod, query.get("container", ""))
    if query.get("previous") in ("true", "1"):
        raise status.bad_request(
            f'previous terminated container "{container}" in pod "{name}" not found'
        )
    since: float | None = None
    if query.get("sinceSeconds"):
        since = time.time() - _number(query, "sinceSeconds")
    elif query.get("sinceTime"):
        since = printers.seconds(query["sinceTime"])
        if since is None:
            raise status.bad_request(f'sinceTime "{query["sinceTime"]}" is not an RFC 3339 time')
    return Asked(
        container,
        query.get("follow") in ("true", "1"),
        since,
        _number(query, "tailLines") if query.get("tailLines") else None,
        _number(query, "limitBytes") if query.get("limitBytes") else None,
        query.get("timestamps") in ("true", "1"),
    )


def _number(query: options.Query, name: str) -> int:
    if not query[name].isdigit():
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


def waiting(pod: Object, container: str) -> Exception:
    """What is answered while a container has not written anything yet."""
    states = dig(pod, "status", "containerStatuses", default=[])
    state: Any = next((each for each in states if each["name"] == container), {})
    reason = dig(state, "state", "waiting", "reason", default="ContainerCreating")
    name = pod["metadata"]["name"]
    return status.bad_request(
        f'container "{container}" in pod "{name}" is waiting to start: {reason}'
    )


async def read(path: Path, wanted: Asked, alive: Callable[[], bool]) -> AsyncIterator[bytes]:
    """The lines of a log, as asked for; following ends when ``alive`` says no more."""
    left = wanted.limit if wanted.limit is not None else 1 << 62
    with path.open("rb") as file:
        file.seek(_start(path, wanted))
        lines = _selected(file, wanted, path.stat().st_mtime)
        while True:
            for line in lines:
                if left <= 0:
                    return
                yield line[:left]
                left -= len(line)
            if not wanted.follow:
                return
            ended = not alive()
            if file.tell() > path.stat().st_size:
                file.seek(0)
            lines = _selected(file, wanted, time.time())
            if ended:
                for line in lines:
                    yield line[:left]
                return
            await asyncio.sleep(_FOLLOW_SECONDS)


def _start(path: Path, wanted: Asked) -> int:
    """Where the last so many lines begin, found from the end of the file."""
    if wanted.tail is None:
        return 0
    size = path.stat().st_size
    if wanted.tail == 0:
        return size
    found = 0
    with path.open("rb") as file:
        at = size
        while at > 0:
            length = min(_BLOCK, at)
            at -= length
            file.seek(at)
            block = file.read(length)
            end = length - 1 if at + length == size else length
            while (newline := block.rfind(b"\n", 0, end)) >= 0:
                found += 1
                if found == wanted.tail:
                    return at + newline + 1
                end = newline
    return 0


def _selected(lines: Iterable[bytes], wanted: Asked, clock: float) -> Iterable[bytes]:
    """The lines since a moment, each with its time in front where that is asked for.

    A line that says no time has that of the line before it; the first ones have ``clock``.
    """
    moment = clock
    for line in lines:
        own = line_time(line)
        moment = moment if own is None else own
        if wanted.since is not None and moment < wanted.since:
            continue
        if wanted.timestamps:
            written = datetime.fromtimestamp(moment, UTC).isoformat(timespec="microseconds")
            yield written.replace("+00:00", "Z").encode() + b" " + line
        else:
            yield line


def line_time(line: bytes) -> float | None:
    """The time with which a line begins, in seconds since 1970, or None.

    Programs write ISO 8601 or glog's short form; one without a zone is in local time.
    """
    if match := _ISO.match(line):
        day, clock, fraction, zone = (part.decode() if part else "" for part in match.groups())
        text = f"{day}T{clock}{fraction.replace(',', '.')}{zone}"
    elif match := _GLOG.match(line):
        month, number, clock, fraction = (p.decode() if p else "" for p in match.groups())
        text = f"{time.localtime().tm_year}-{month}-{number}T{clock}{fraction}"
    else:
        return None
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None
